"""Measure results against references: a table, JSON, pictures.

python evaluate.py lightmap --data_dir DIR --bundle day.tod
python evaluate.py delit --data_root DIR --checkpoint RUN/checkpoint_best.pth
python evaluate.py relit --data_root DIR --checkpoint RUN/checkpoint_best.pth
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from src.evaluation.lightmap.peer_names import PEER_NAMES, peer_list
from src.evaluation.portrait_options import add_pairs_and_videos
from src.utils import cli

LIGHTMAP = """Coded lightmaps against their images: a table, JSON, a plot.

  python evaluate.py lightmap --data_dir DIR --bundle day.tod
  python evaluate.py lightmap --data_dir DIR --ckpt RUN/best.ckpt
  python evaluate.py lightmap --data_dir DIR --peers all --json peers.json --plot peers.png
  python evaluate.py lightmap --data_dir DIR --bundle day.tod --between HALF_HOURS

Quality is measured by the protocol of Tencent's rendering contest (HPRC): 256 x 256 tiles, valid texels only, the
peak is the tile's largest value, mean over tiles and hours. bpp are bits per texel of the map per frame.
"""
DELIT = """Delighting against the true flat-lit pictures and environments: tables, JSON, the worst cases as pictures.

  python evaluate.py delit --data_root DIR
  python evaluate.py delit --data_root DIR --checkpoint RUN/checkpoint_best.pth --contact_sheet worst.jpg
  python evaluate.py delit --data_root DIR --predictions RESULTS --olat_root OLATS
  python evaluate.py delit --videos RESULTS --video_inputs VIDEOS

Beside what is given stand, on the same pairs: the input picture itself taken for flat-lit, the training set's mean
environment, and with --olat_root the oracle, least squares on the person's true OLATs.
"""
RELIT = """Relighting against true pictures in light that was not trained on: tables, JSON, the worst cases as pictures.

  python evaluate.py relit --data_root DIR --checkpoint RUN/checkpoint_best.pth --contact_sheet worst.jpg
  python evaluate.py relit --data_root DIR --checkpoint RUN/checkpoint_best.pth --olat_root OLATS
  python evaluate.py relit --videos RESULTS --video_inputs VIDEOS

Beside a model stand, on the same pairs: the model in light that is not the picture's, flat-lit in the light's mean
colour, and flat-lit shaded by the light's spherical harmonics of order 2. --olat_root adds light that was turned.
"""


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    add_lightmap(tasks.add_parser("lightmap", help="coded lightmaps against their images", description=LIGHTMAP))
    add_delit(tasks.add_parser("delit", help="delighting against true flat-lit pictures and lights", description=DELIT))
    add_relit(tasks.add_parser("relit", help="relighting against true pictures", description=RELIT))
    for task in tasks.choices.values():
        task.add_argument("--exr_layer", metavar="NAME", help="of EXR files with several layers, the one to read")
        task.add_argument("--json", type=Path, help="write all figures, also of every frame or pair, to this file")
        weights = "AlexNet weights of LPIPS (default: torch's cache, else no LPIPS)"
        task.add_argument("--lpips_weights", type=Path, help=weights)
    return parser.parse_args(argv)


def add_lightmap(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data_dir", type=Path, required=True, help="folder of exr, hdr, png or jpg lightmaps, or an HPRC folder")
    add("--lightmap", action="append", default=[], metavar="LEVEL:ID", help="only this one of an HPRC set; repeatable")
    add("--hours", type=cli.hour_list, help="hour of each image in natural order, for example 0,5.9,12")
    files: dict[str, Any] = {"type": Path, "nargs": "+", "action": "append", "default": [], "metavar": "FILE"}
    add("--bundle", **files, help="bundle, one per lightmap, or the set's folder; repeat for others")
    add("--ckpt", **files, help="checkpoint, one per lightmap, or the run's folder; repeatable too")
    add("--peers", type=peer_list, default=[], help=f"comma-separated, of {', '.join(PEER_NAMES)}; or all")
    add("--between", type=Path, metavar="DIR", help="the same lightmaps at hours that were not trained on, to compare")
    add("--siren_ckpt", type=Path, nargs="+", metavar="FILE", help="checkpoint of the peer siren, one per lightmap")
    add("--peer_minutes", type=cli.positive_float, default=1.0, help="training of planes, per lightmap and size")
    add("--plot", type=cli.path_ending_in(".png", ".svg", ".pdf"), help="write the rate-distortion plot to this file")
    parser.set_defaults(device="cpu")


def add_delit(parser: argparse.ArgumentParser) -> None:
    answers = parser.add_mutually_exclusive_group()
    answers.add_argument("--checkpoint", type=Path, nargs="+", metavar="FILE", help="one row for each (default: "
        "weights/delit.pth of the repository)")  # fmt: skip
    answers.add_argument("--predictions", type=Path, metavar="DIR", help="what inference wrote for subjects/")
    add = parser.add_argument
    add("--env_height", type=cli.positive_int, help="rows of the true environments (default: the checkpoint's, 128)")
    add_pairs_and_videos(parser)


def add_relit(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--checkpoint", type=Path, nargs="+", metavar="FILE", help="of train_relit.py; rows for each")
    add("--delit_checkpoint", type=Path, metavar="FILE", help="delight what was relit, and compare: the circle")
    add_pairs_and_videos(parser)


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)

    from src.training.distributed import resolve_device
    from src.utils.exr_layers import exr_layer

    arguments.device = resolve_device(arguments.device)
    with exr_layer(arguments.exr_layer):
        if arguments.task == "lightmap":
            from src.evaluation.lightmap.run import run
        elif arguments.task == "delit":
            from src.evaluation.delit.run import run
        else:
            from src.evaluation.relit.run import run
        return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
