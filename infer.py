"""Reconstruct lightmaps at any time of day.

python infer.py --bundle day.tod --time 12 --out recon_12.exr
python infer.py --ckpt RUN/best.ckpt --time 12 --out recon_12.png
python infer.py --latent_path RUN/latent_map.npy --f2_path RUN/f2_state_dict.pt --time 18 --out recon_18.png
python infer.py --ckpt RUN/best.ckpt --time 0,5.9,12 --out recon_{time}.png     recon_0000.png, recon_0590.png, ...
python infer.py --ckpt RUN/best.ckpt --time 0:24:0.5 --out day.mp4
python infer.py --bundle day.tod --time 12 --size 128x128 --out noon_128.exr     a mip level

exr and hdr hold linear radiance. png, jpg and mp4 show what was trained on png or jpg as it was, and radiance times
--exposure, sRGB encoded, clipped at white; the exposure is the same for all hours, by default 1 / the day's peak
(what 99.5 % of the brightest hour's texels stay below).

--size gives means of areas in linear light, over valid texels alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from src.utils import cli

VIDEO_SUFFIX = ".mp4"


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("--bundle", type=Path, help="bundle of train.py or export_latent.py")
    add("--ckpt", type=Path, help="checkpoint of train.py")
    add("--latent_path", type=Path, help="exported latent_map.npy; goes with --f2_path")
    add("--f2_path", type=Path, help="exported f2_state_dict.pt or f2_ts.pt")
    add("--lightmap", metavar="LEVEL:ID", help="which of the lightmaps that share a file")
    add("--time", type=cli.hour_list, required=True, help="hour (24 is 0), list 0,5.9,12 or start:stop:step")
    add("--out", type=Path, required=True, help="png, jpg, exr or hdr; {time} becomes hour x 100 (0590); or mp4")
    add("--size", type=cli.picture_size, metavar="WxH", help="at most the lightmap's; mip levels are halves of it")
    add("--exposure", type=cli.positive_float, help="factor on linear values for png, jpg and mp4")
    add("--fps", type=cli.positive_float, default=24.0, help="frames per second of an mp4")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    arguments = parser.parse_args(argv)
    if (arguments.latent_path is None) != (arguments.f2_path is None):
        parser.error("argument --latent_path: --latent_path and --f2_path go together")
    if sum(path is not None for path in (arguments.ckpt, arguments.latent_path, arguments.bundle)) != 1:
        parser.error("argument --ckpt: give either --ckpt, or --latent_path with --f2_path, or --bundle")
    return arguments


def picture_paths(template: Path, hours: Sequence[float]) -> list[Path]:
    """The file of each hour. Raises :class:`InputError` when several hours would share one name."""
    paths = [Path(str(template).replace("{time}", f"{round(hour * 100):04d}")) for hour in hours]
    if len(set(paths)) < len(paths):
        raise cli.InputError("--out", f"{template} gives several hours one name", "put {time} into it, or give an mp4")
    return paths


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    is_video = arguments.out.suffix.lower() == VIDEO_SUFFIX
    paths = [arguments.out] if is_video else picture_paths(arguments.out, arguments.time)

    from tqdm import tqdm

    from src.export.bundle import read_bundle
    from src.models.compressor import load, load_exported
    from src.models.lightmap_decoder import LightmapDecoder
    from src.training.distributed import resolve_device
    from src.utils.color import expose, linear_to_srgb, srgb_to_linear
    from src.utils.image_io import HDR_SUFFIXES, require_writable, write_display, write_linear
    from src.utils.resize import reduce_valid
    from src.utils.video_io import VideoWriter

    if not is_video:
        require_writable(arguments.out)
    device = resolve_device(arguments.device)
    decoder: LightmapDecoder
    if arguments.bundle is not None:
        decoder = read_bundle(arguments.bundle, device)
    elif arguments.ckpt is not None:
        decoder = load(arguments.ckpt, device)
    else:
        decoder = load_exported(arguments.latent_path, arguments.f2_path, device)
    if decoder.lightmap_names and arguments.lightmap is None:
        known = ", ".join(decoder.lightmap_names)
        raise cli.InputError("--lightmap", "the file holds several lightmaps", f"pick one of {known}")
    if arguments.lightmap is not None:
        decoder = decoder.lightmap(arguments.lightmap)
    width, height = arguments.size or (decoder.width, decoder.height)
    if width > decoder.width or height > decoder.height:
        problem = f"{width}x{height} is more than the lightmap's {decoder.width}x{decoder.height}"
        raise cli.InputError("--size", problem, "give at most that")
    frames = decoder.frames(arguments.time)
    if (width, height) != (decoder.width, decoder.height):
        mask = decoder.mask()
        if decoder.is_radiance:
            frames = (reduce_valid(frame, mask, height, width) for frame in frames)
        else:
            frames = (linear_to_srgb(reduce_valid(srgb_to_linear(frame), mask, height, width)) for frame in frames)
    frames = tqdm(frames, total=len(arguments.time), unit="frame", disable=len(paths) < 2)

    exposure = arguments.exposure or (1.0 / decoder.peak if decoder.is_radiance else None)
    if is_video:
        with VideoWriter(arguments.out, arguments.fps) as video:
            for frame in frames:
                video.write(expose(frame, exposure, decoder.is_radiance))
    else:
        for path, frame in zip(paths, frames, strict=True):
            if path.suffix.lower() in HDR_SUFFIXES:
                write_linear(path, frame if decoder.is_radiance else srgb_to_linear(frame))
            else:
                write_display(path, expose(frame, exposure, decoder.is_radiance))
    print(f"wrote {paths[0]}" if len(paths) == 1 else f"wrote {len(paths)} files, {paths[0]} to {paths[-1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
