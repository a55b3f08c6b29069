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

from src.utils import cli

PEER_NAMES = ("pca", "pca_x265", "pca_bc4", "pca_astc", "planes", "siren", "avif", "jxl", "x265", "bc7", "astc")
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
PLOT_SUFFIXES = (".png", ".svg", ".pdf")
SHEET_SUFFIXES = (".png", ".jpg", ".jpeg")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    add_lightmap(tasks)
    add_delit(tasks)
    add_relit(tasks)
    return parser.parse_args(argv)


def add_lightmap(tasks: argparse._SubParsersAction) -> None:
    lightmap = tasks.add_parser("lightmap", help="coded lightmaps against their images", description=LIGHTMAP)
    lightmap.set_defaults(run=evaluate_lightmap)
    add = lightmap.add_argument
    add("--data_dir", type=Path, required=True, help="folder of exr, hdr, png or jpg lightmaps, or an HPRC folder")
    add("--lightmap", action="append", metavar="LEVEL:ID", help="only this one of an HPRC set; repeatable")
    add("--exr_layer", metavar="NAME", help="of EXR files with several layers, the one to read")
    add("--hours", type=cli.hour_list, help="hour of each image in natural order, for example 0,5.9,12")
    files = {"type": Path, "nargs": "+", "action": "append", "metavar": "FILE"}
    add("--bundle", **files, help="bundle, one per lightmap, or the set's folder; repeat for others")
    add("--ckpt", **files, help="checkpoint, one per lightmap, or the run's folder; repeatable too")
    add("--peers", type=peer_list, default=[], help=f"comma-separated, of {', '.join(PEER_NAMES)}; or all")
    add("--between", type=Path, metavar="DIR", help="the same lightmaps at hours that were not trained on, to compare")
    add("--siren_ckpt", type=Path, nargs="+", metavar="FILE", help="checkpoint of the peer siren, one per lightmap")
    add("--peer_minutes", type=cli.positive_float, default=1.0, help="training of planes, per lightmap and size")
    add("--lpips_weights", type=Path, help="AlexNet weights of LPIPS (default: torch's cache, else no LPIPS)")
    add("--json", type=Path, help="write all figures, also per frame, to this file")
    add("--plot", type=plot_path, help="write the rate-distortion plot to this file (png, svg or pdf)")


def add_delit(tasks: argparse._SubParsersAction) -> None:
    delit = tasks.add_parser("delit", help="delighting against true flat-lit pictures and lights", description=DELIT)
    delit.set_defaults(run=evaluate_delit)
    add = delit.add_argument
    add("--data_root", type=Path, help="training set as prepare_olat.py writes it")
    answers = delit.add_mutually_exclusive_group()
    answers.add_argument("--checkpoint", type=Path, nargs="+", metavar="FILE", help="one row for each (default: "
        "weights/delit.pth of the repository)")  # fmt: skip
    answers.add_argument("--predictions", type=Path, metavar="DIR", help="what inference wrote for subjects/")
    add("--split", choices=("val", "train", "all"), default="val", help="which pairs (splits.json, or as below)")
    add("--val_subjects", nargs="+", metavar="NAME", help="held out: names, or how many")
    add("--val_envs", nargs="+", metavar="NAME", help="held out: names, or how many")
    add("--image_size", type=cli.positive_int, help="pictures are compared at (default: the first checkpoint's, 512)")
    add("--env_height", type=cli.positive_int, help="rows of the true environments (default: likewise, 128)")
    add("--olat_root", type=Path, help="the subjects' OLATs, for the oracle")
    add("--exr_layer", metavar="NAME", help="of EXR files with several layers, the one to read")
    add("--lights", type=Path, help="lights whose c_l count (default: lights.json in --olat_root, 331 even ones)")
    add("--videos", type=Path, metavar="DIR", help="NAME_flat_lit.mp4, measured for steadiness")
    add("--video_inputs", type=Path, metavar="DIR", help="their inputs, NAME.mp4 ... (default: in --videos)")
    add("--json", type=Path, help="write all figures, also of every pair, to this file")
    add("--contact_sheet", type=sheet_path, metavar="FILE", help="picture of the first row's worst cases (png or jpg)")
    add("--lpips_weights", type=Path, help="AlexNet weights of LPIPS (default: torch's cache, else no LPIPS)")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")


def add_relit(tasks: argparse._SubParsersAction) -> None:
    relit = tasks.add_parser("relit", help="relighting against true pictures", description=RELIT)
    relit.set_defaults(run=evaluate_relit)
    add = relit.add_argument
    add("--data_root", type=Path, help="training set as prepare_olat.py writes it")
    add("--checkpoint", type=Path, nargs="+", metavar="FILE", help="of train_relit.py; rows for each")
    add("--delit_checkpoint", type=Path, metavar="FILE", help="delight what was relit, and compare: the circle")
    add("--split", choices=("val", "train", "all"), default="val", help="which pairs (splits.json, or as below)")
    add("--val_subjects", nargs="+", metavar="NAME", help="held out: names, or how many")
    add("--val_envs", nargs="+", metavar="NAME", help="held out: names, or how many")
    add("--image_size", type=cli.positive_int, help="pictures are compared at (default: the first checkpoint's, 512)")
    add("--olat_root", type=Path, help="the subjects' OLATs: pictures in turned light, and true normals")
    add("--exr_layer", metavar="NAME", help="of EXR files with several layers, the one to read")
    add("--lights", type=Path, help="of --olat_root (default: lights.json in it)")
    add("--videos", type=Path, metavar="DIR", help="NAME_relit.mp4, measured for steadiness")
    add("--video_inputs", type=Path, metavar="DIR", help="their inputs, NAME.mp4 ... (default: in --videos)")
    add("--json", type=Path, help="write all figures, also of every pair, to this file")
    add("--contact_sheet", type=sheet_path, metavar="FILE", help="picture of the first row's worst cases (png or jpg)")
    add("--lpips_weights", type=Path, help="AlexNet weights of LPIPS (default: torch's cache, else no LPIPS)")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")


def peer_list(text: str) -> list[str]:
    """``'pca,avif'`` or ``'all'`` -> names of peers in the order given."""
    names = list(PEER_NAMES) if text == "all" else text.split(",")
    for name in names:
        if name not in PEER_NAMES:
            raise argparse.ArgumentTypeError(f"unknown peer {name!r}, known are {', '.join(PEER_NAMES)} and all")
    return list(dict.fromkeys(names))


def plot_path(text: str) -> Path:
    return path_ending_in(PLOT_SUFFIXES, text)


def sheet_path(text: str) -> Path:
    return path_ending_in(SHEET_SUFFIXES, text)


def path_ending_in(suffixes: Sequence[str], text: str) -> Path:
    if Path(text).suffix.lower() not in suffixes:
        raise argparse.ArgumentTypeError(f"{text!r} does not end in one of {', '.join(suffixes)}")
    return Path(text)


def evaluate_lightmap(arguments: argparse.Namespace) -> int:
    from src.evaluation.lightmap.run import run

    return run(
        arguments.data_dir,
        hours=arguments.hours,
        lightmaps=arguments.lightmap or (),
        bundles=arguments.bundle or (),
        checkpoints=arguments.ckpt or (),
        peers=arguments.peers,
        siren_checkpoints=arguments.siren_ckpt or (),
        peer_minutes=arguments.peer_minutes,
        between_dir=arguments.between,
        lpips_weights=arguments.lpips_weights,
        json_path=arguments.json,
        plot_path=arguments.plot,
    )


def evaluate_delit(arguments: argparse.Namespace) -> int:
    from src.evaluation.delit.run import run
    from src.training.distributed import resolve_device

    arguments.device = resolve_device(arguments.device)
    return run(arguments)


def evaluate_relit(arguments: argparse.Namespace) -> int:
    from src.evaluation.relit.run import run
    from src.training.distributed import resolve_device

    arguments.device = resolve_device(arguments.device)
    return run(arguments)


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)

    from src.utils.exr_layers import exr_layer

    with exr_layer(arguments.exr_layer):
        return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
