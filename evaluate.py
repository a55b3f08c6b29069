"""Measure results against references: a table, JSON, a plot.

  python evaluate.py lightmap --data_dir DIR --bundle day.tod
  python evaluate.py lightmap --data_dir DIR --ckpt RUN/best.ckpt
  python evaluate.py lightmap --data_dir DIR --peers all --json peers.json --plot peers.png

Quality is measured by the protocol of Tencent's rendering contest (HPRC): 256 x 256 tiles, valid texels only, the
peak is the tile's largest value, mean over tiles and hours. bpp are bits per texel of the map per frame.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from src.utils import cli

SIREN = "siren"
PEER_NAMES = ("pca", "pca_x265", SIREN, "avif", "jxl", "x265", "bc7", "astc")
PLOT_SUFFIXES = (".png", ".svg", ".pdf")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    lightmap = tasks.add_parser("lightmap", help="coded lightmaps against their images", description=__doc__)
    lightmap.set_defaults(run=evaluate_lightmap)
    add = lightmap.add_argument
    add("--data_dir", type=Path, required=True, help="folder of exr, hdr, png or jpg lightmaps, or an HPRC folder")
    add("--lightmap", action="append", metavar="LEVEL:ID", help="only this one of an HPRC set; repeatable")
    add("--hours", type=cli.hour_list, help="hour of each image in natural order, for example 0,5.9,12")
    files = {"type": Path, "nargs": "+", "action": "append", "metavar": "FILE"}
    add("--bundle", **files, help="bundle, one per lightmap; repeat the flag for other qualities")
    add("--ckpt", **files, help="checkpoint, one per lightmap; repeatable too")
    add("--peers", type=peer_list, help=f"comma-separated, of {', '.join(PEER_NAMES)}; or all")
    add("--siren_ckpt", type=Path, nargs="+", metavar="FILE", help="checkpoint of the peer siren, one per lightmap")
    add("--lpips_weights", type=Path, help="AlexNet weights of LPIPS (default: torch's cache, else no LPIPS)")
    add("--json", type=Path, help="write all figures, also per frame, to this file")
    add("--plot", type=plot_path, help="write the rate-distortion plot to this file (png, svg or pdf)")
    arguments = parser.parse_args(argv)
    arguments.peers = arguments.peers or []
    if not (arguments.bundle or arguments.ckpt or arguments.peers):
        lightmap.error("argument --bundle: nothing to measure: give --bundle, --ckpt or --peers")
    return arguments


def peer_list(text: str) -> list[str]:
    """``'pca,avif'`` or ``'all'`` -> names of peers in the order given."""
    names = list(PEER_NAMES) if text == "all" else text.split(",")
    for name in names:
        if name not in PEER_NAMES:
            raise argparse.ArgumentTypeError(f"unknown peer {name!r}, known are {', '.join(PEER_NAMES)} and all")
    return list(dict.fromkeys(names))


def plot_path(text: str) -> Path:
    if Path(text).suffix.lower() not in PLOT_SUFFIXES:
        raise argparse.ArgumentTypeError(f"{text!r} does not end in one of {', '.join(PLOT_SUFFIXES)}")
    return Path(text)


def evaluate_lightmap(arguments: argparse.Namespace) -> int:
    from src.data.lightmap_frames import open_lightmaps
    from src.evaluation.lightmap_coders import file_coder, measure_coders, peer_coders
    from src.evaluation.lightmap_files import open_bundle, open_checkpoint
    from src.evaluation.lightmap_report import OURS, format_hours, format_table, plot_rate_distortion, write_json

    skipped: dict[str, str] = {}
    lightmaps = open_lightmaps(arguments.data_dir, arguments.hours, arguments.lightmap or ())
    loaded = [lightmap.load() for lightmap in lightmaps]
    lpips = find_lpips(arguments.lpips_weights, skipped)

    own = (("--bundle", arguments.bundle, open_bundle), ("--ckpt", arguments.ckpt, open_checkpoint))
    coders = [
        file_coder(OURS, files, flag, opened, len(lightmaps)) for flag, groups, opened in own for files in groups or ()
    ]
    own_count = len(coders)
    if SIREN in arguments.peers and arguments.siren_ckpt:
        coders.append(file_coder(SIREN, arguments.siren_ckpt, "--siren_ckpt", open_checkpoint, len(lightmaps)))
    elif SIREN in arguments.peers:
        skipped[SIREN] = "give the checkpoint of a default train.py run with --siren_ckpt"
    coders += peer_coders([name for name in arguments.peers if name != SIREN], skipped)

    rows = measure_coders(coders, lightmaps, loaded, lpips)
    for row in rows[:own_count]:
        print(f"{row.coder}, {row.setting}\n{format_hours(row)}\n")
    print(format_table(rows))
    for name, reason in skipped.items():
        print(f"skipped {name}: {reason}")
    if arguments.plot:
        plot_rate_distortion(arguments.plot, rows, arguments.data_dir.resolve().name)
    if arguments.json:
        write_json(arguments.json, arguments.data_dir, lightmaps, rows, skipped)
    return 0


def find_lpips(weights: Path | None, skipped: dict[str, str]) -> Callable | None:
    """LPIPS if its weights are here; if they are absent and were not asked for, the reason goes into ``skipped``."""
    from src.utils.metrics import load_lpips

    try:
        return load_lpips("alex", weights)
    except cli.InputError as error:
        if weights is not None:
            raise
        skipped["LPIPS"] = str(error)
        return None


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
