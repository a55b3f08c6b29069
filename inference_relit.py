"""Flat-lit portraits, or photos that are delighted first, in any light.

    python inference_relit.py --flat_lit portrait_flat_lit.png --env studio.hdr --out relit.png
    python inference_relit.py --input photo.jpg --env studio.hdr --env_rotation 0:360:2 --background env --out turn.mp4
    python inference_relit.py --input photo.jpg --light_from other.jpg --out relit.exr
    python inference_relit.py --flat_lit clip_flat_lit.mp4 --env studio.hdr --out clip_relit.mp4

The network is asked once per picture; a further rotation of the light is one small product. exr and hdr hold linear
radiance in the light as it is; png, jpg and mp4 are exposed so that the person is as bright as flat-lit. --out without
an extension is a folder of EXR frames.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from src.utils.cli import InputError, Parser, angle_list, positive_float, script


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--flat_lit", type=Path, metavar="FILE", help="flat-lit picture, video or folder of frames")
    source.add_argument("--input", type=Path, metavar="FILE", help="picture or video in any light, delighted first")
    light = parser.add_mutually_exclusive_group(required=True)
    light.add_argument("--env", type=Path, metavar="FILE", help="environment, hdr or exr, twice as wide as high")
    light.add_argument(
        "--light_from", type=Path, metavar="FILE", help="the light that delighting finds in this picture"
    )
    add("--out", type=Path, required=True, help="picture, .mp4, or a folder for EXR frames")
    add("--env_rotation", type=angle_list, default=[0.0], metavar="DEGREES", help="turn of the light about the "
        "vertical: 30, 0,90,180 or 0:360:2; several make a turntable, or go along with a video")  # fmt: skip
    add("--background", default="keep", help="keep, env, a colour or a picture: what is seen behind the person")
    add("--mask", type=Path, metavar="FILE", help="where the person is (default: alpha, or what the network says)")
    add("--exposure", type=exposure, metavar="FACTOR", help="of the light, or auto: the person as bright as flat-lit "
        "(default: 1 for exr and hdr, else auto)")  # fmt: skip
    add("--checkpoint", type=Path, help="of train_relit.py (default: weights/relit.pth of the repository)")
    add("--delit_checkpoint", type=Path, help="of train_delit.py, for --input and --light_from (default: weights/"
        "delit.pth of the repository)")  # fmt: skip
    add("--no_crop", action="store_true", help="show the network whole pictures instead of the portrait about the face")
    add("--temporal", choices=("ema", "none"), default="ema", help="videos: running averages along the motion, or each "
        "frame for itself")  # fmt: skip
    add("--fps", type=positive_float, default=30.0, help="pictures per second of turntables and folders of frames")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return parser.parse_args(argv)


def exposure(text: str) -> float | None:
    """``auto`` or a factor above 0; auto is 0."""
    return 0.0 if text == "auto" else positive_float(text)


@script
def main(argv: Sequence[str] | None = None) -> int:
    args = parse_arguments(argv)

    from src.inference.relit.jobs import Relighting, light_of, relight_still, relight_video
    from src.inference.relit.outputs import is_linear, require_fitting
    from src.inference.work_list import is_video
    from src.training.distributed import resolve_device

    source = args.flat_lit or args.input
    for path in filter(None, (source, args.env, args.light_from, args.mask)):
        if not path.exists():
            raise InputError(path, "no such file", "check the name")
    sequence = is_video(source)
    require_fitting(args.out, sequence or len(args.env_rotation) > 1)
    if args.exposure is None:
        args.exposure = 1.0 if is_linear(args.out) else 0.0

    relighting = Relighting(args.checkpoint, args.delit_checkpoint, resolve_device(args.device), not args.no_crop)
    lighting = light_of(args, relighting)
    print((relight_video if sequence else relight_still)(args, relighting, lighting))
    return 0


if __name__ == "__main__":
    sys.exit(main())
