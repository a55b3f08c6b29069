"""Reconstruct lightmaps at any time of day.

python infer.py --ckpt RUN/best.ckpt --time 12 --out recon_12.png
python infer.py --latent_path RUN/latent_map.npy --f2_path RUN/f2_state_dict.pt --time 18 --out recon_18.png
python infer.py --ckpt RUN/best.ckpt --time 0,5.9,12 --out recon_{time}.png     recon_0000.png, recon_0590.png, ...
python infer.py --ckpt RUN/best.ckpt --time 0:24:0.5 --out day.mp4
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
    add("--ckpt", type=Path, help="checkpoint of train.py")
    add("--latent_path", type=Path, help="exported latent_map.npy; goes with --f2_path")
    add("--f2_path", type=Path, help="exported f2_state_dict.pt or f2_ts.pt")
    add("--time", type=cli.hour_list, required=True, help="hour (24 is 0), list 0,5.9,12 or start:stop:step")
    add("--out", type=Path, required=True, help="png, jpg, exr or hdr; {time} becomes hour x 100 (0590); or mp4")
    add("--fps", type=cli.positive_float, default=24.0, help="frames per second of an mp4")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    arguments = parser.parse_args(argv)
    if (arguments.latent_path is None) != (arguments.f2_path is None):
        parser.error("argument --latent_path: --latent_path and --f2_path go together")
    if (arguments.ckpt is None) == (arguments.latent_path is None):
        parser.error("argument --ckpt: give either --ckpt or --latent_path with --f2_path")
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

    from src.models.compressor import load, load_exported
    from src.training.distributed import resolve_device
    from src.utils.color import srgb_to_linear
    from src.utils.image_io import HDR_SUFFIXES, require_writable, write_display, write_linear
    from src.utils.video_io import VideoWriter

    if not is_video:
        require_writable(arguments.out)
    device = resolve_device(arguments.device)
    if arguments.ckpt is not None:
        decoder = load(arguments.ckpt, device)
    else:
        decoder = load_exported(arguments.latent_path, arguments.f2_path, device)
    frames = tqdm(decoder.frames(arguments.time), total=len(arguments.time), unit="frame", disable=len(paths) < 2)

    if is_video:
        with VideoWriter(arguments.out, arguments.fps) as video:
            for frame in frames:
                video.write(frame)
    else:
        for path, frame in zip(paths, frames, strict=True):
            if path.suffix.lower() in HDR_SUFFIXES:
                write_linear(path, srgb_to_linear(frame))
            else:
                write_display(path, frame)
    print(f"wrote {paths[0]}" if len(paths) == 1 else f"wrote {len(paths)} files, {paths[0]} to {paths[-1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
