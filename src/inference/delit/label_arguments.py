"""The flags of ``inference_delit.py`` that are about pseudo labels."""

from __future__ import annotations

import argparse

from src.utils.cli import InputError, Parser

KEPT = ("e_warp_ratio<2", "sharpness_ratio>0.6", "face_share>0.8", "self_check_residual<0.6")
NOT_OF_RESULTS = {"pseudo_labels", "frames_as", "env_per_frame", "keep", "dry_run"}  # of pictures and videos


def add_label_arguments(parser: Parser) -> None:
    add = parser.add_argument
    add("--pseudo_labels", action="store_true", help="label every clip below --input as training data")
    add("--frames_as", choices=("mp4", "png"), default="mp4", help="pseudo labels: how frames and masks are stored")
    add("--env_per_frame", action="store_true", help="pseudo labels: an environment per frame too")
    add("--keep", nargs="*", default=KEPT, metavar="FIGURE<VALUE", help="pseudo labels: clips to train with")
    add("--dry_run", action="store_true", help="pseudo labels: label 3 clips, say what all take, write nothing")


def complete_label_arguments(args: argparse.Namespace) -> None:
    """Put in the exposure that goes with them; raises InputError for flags that mean nothing without them."""
    if not args.pseudo_labels and (args.env_per_frame or args.dry_run):
        raise InputError("--env_per_frame, --dry_run", "are for --pseudo_labels", "give that too, or leave them out")
    args.exposure = args.exposure or ("predicted" if args.pseudo_labels else "keep")
