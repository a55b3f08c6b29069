"""The flags that ``evaluate.py delit`` and ``evaluate.py relit`` share, and which of them go together."""

from __future__ import annotations

import argparse
from pathlib import Path

from src.utils import cli


def add_pairs_and_videos(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data_root", type=Path, help="training set as prepare_olat.py writes it")
    add("--split", choices=("val", "train", "all"), default="val", help="which pairs (splits.json, or as below)")
    add("--val_subjects", nargs="+", metavar="NAME", help="held out: names, or how many")
    add("--val_envs", nargs="+", metavar="NAME", help="held out: names, or how many")
    add("--image_size", type=cli.positive_int, help="pictures are compared at (default: the first checkpoint's, 512)")
    add("--olat_root", type=Path, help="the subjects' OLATs: the oracle, or pictures in turned light and true normals")
    add("--lights", type=Path, help="of --olat_root (default: lights.json in it; without OLATs 331 even ones)")
    add("--videos", type=Path, metavar="DIR", help="NAME_flat_lit.mp4 or NAME_relit.mp4, measured for steadiness")
    add("--video_inputs", type=Path, metavar="DIR", help="their inputs, NAME.mp4 ... (default: in --videos)")
    sheet = cli.path_ending_in(".png", ".jpg", ".jpeg")
    add("--contact_sheet", type=sheet, metavar="FILE", help="picture of the first row's worst cases (png or jpg)")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")


def require_sense(arguments: argparse.Namespace, *of_pairs: str) -> None:
    """Raise InputError when there is nothing to measure, or a flag that would be ignored.

    ``of_pairs``: flags beside the shared ones that say nothing without ``--data_root``.
    """
    if not (arguments.data_root or arguments.videos):
        raise cli.InputError("--data_root", "nothing to measure", "give --data_root or --videos")
    for flag in (*of_pairs, "olat_root", "contact_sheet"):
        if getattr(arguments, flag) and not arguments.data_root:
            raise cli.InputError(f"--{flag}", "needs pairs to be measured on", "give --data_root")
    if arguments.video_inputs and not arguments.videos:
        raise cli.InputError("--video_inputs", "has no results to go with", "give --videos")
