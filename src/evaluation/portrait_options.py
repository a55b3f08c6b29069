"""The flags that ``evaluate.py delit`` and ``evaluate.py relit`` share."""

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
