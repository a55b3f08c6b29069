"""Light-stage captures and HDR environments -> a training set for delighting.

From one-light-at-a-time (OLAT) pictures, a folder per subject:

    python prepare_olat.py --olat_root captures --lights lights.json --env_dir hdris --out_root data

From FaceOLAT as it is published (CamXX/IDxxxxx/IDxxxxx.000001.avif):

    python prepare_olat.py --olat_root FaceOLAT --lights FaceOLAT/lights --calibration FaceOLAT/cameras \\
        --cameras Cam06 --image_size 1024 --transfer gamma22 --env_dir hdris --out_root data

Without captures, on a synthetic light stage:

    python prepare_olat.py --synthetic 12 --out_root runs/stage --contact_sheet runs/stage.jpg

with heads of the ICT-FaceKit (github.com/ICT-VGL/ICT-FaceKit) instead of procedural ones:

    python prepare_olat.py --synthetic 100 --head_model ICT-FaceKit --max_yaw 80 --out_root runs/stage

Clips of people who move, under light that stays and light that turns (runs/clips/clips):

    python prepare_olat.py --clips 20 --num_lights 96 --image_size 128 --out_root runs/clips

The same command again continues: finished subjects are kept, half-written ones are made again; what was made from
other captures, environments or settings is refused, or with --overwrite made again. A subject that cannot be made is
named, exit status 2; the others are made.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from src.data.stage import capture_options
from src.data.stage.synthetic import options as synthetic_options
from src.utils.cli import EXIT_WRONG_INPUT, Parser, parse_shard, positive_float, positive_int, script, some_names
from src.utils.json_files import write_json


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--out_root", type=Path, required=True, help="training set to write: subjects/, env_maps/, splits.json")
    add("--val_subjects", nargs="+", metavar="NAME", help="held out: names, or how many (default: a tenth)")
    add("--val_envs", nargs="+", metavar="NAME", help="held out: names, or how many (default: a tenth)")
    add("--max_memory_gb", type=positive_float, default=4.0, help="bound on all workers together")
    add("--workers", type=positive_int, default=os.cpu_count() or 1, help="subjects at a time")
    add("--shard", type=parse_shard, default=(0, 1), metavar="I/N", help="make the I-th of N shares of the subjects")
    add("--overwrite", action="store_true", help="make again what was made from other captures or settings")
    add("--contact_sheet", type=Path, help="picture of some subjects under some environments to write")
    capture_options.add_arguments(parser)
    synthetic_options.add_arguments(parser)
    args = parser.parse_args(argv)
    synthetic_options.check_arguments(args)
    return args


@script
def main(argv: Sequence[str] | None = None) -> int:
    args = parse_arguments(argv)

    from src.utils.exr_layers import exr_layer

    with exr_layer(args.exr_layer):
        if args.clips is not None:
            synthetic_options.film(args)
        if args.synthetic is not None:
            args.olat_root, args.env_dir = synthetic_options.make_stage(args)
        return prepare(args) if args.olat_root is not None else 0


def prepare(args: argparse.Namespace) -> int:
    from src.data.portrait.overview import write_contact_sheet
    from src.data.portrait.splits import update_splits
    from src.data.stage.environments import list_environments, plan_environments
    from src.data.stage.mask import mask_source
    from src.data.stage.set_metadata import write_common
    from src.data.stage.training_set import make_jobs, prepare_subjects

    stage = capture_options.find_stage(args)
    environments = list_environments(args.env_dir)
    plans = plan_environments(environments, args.rotations)
    passed_over = sorted(path.name for path in args.env_dir.iterdir() if path not in environments)
    if passed_over:
        print(f"passed over in {args.env_dir}, no .hdr or .exr: {some_names(passed_over)}")
    settings = capture_options.settings_of(args)
    mine = stage.captures[args.shard[0] :: args.shard[1]]
    masks = [mask_source(capture, args.mask) for capture in mine]
    splits = update_splits(
        args.out_root / "splits.json",
        {capture.name: capture.identity for capture in stage.captures},
        {plan.name: plan.source.stem for plan in plans},
        args.val_subjects,
        args.val_envs,
    )

    metadata = write_common(args.out_root, stage, plans, settings, args.overwrite)
    write_json(args.out_root / "splits.json", splits)
    share_gb = args.max_memory_gb / min(args.workers, max(1, len(mine)))
    jobs = make_jobs(args.out_root, args.olat_root, mine, masks, metadata, settings=settings, memory_gb=share_gb)
    errors = prepare_subjects(jobs, args.workers, args.overwrite)
    print(f"{len(jobs) - len(errors)} subjects under {len(plans)} environments in {args.out_root}")
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    if args.contact_sheet and len(errors) < len(jobs):
        write_contact_sheet(args.out_root, args.contact_sheet)
    return EXIT_WRONG_INPUT if errors else 0


if __name__ == "__main__":
    sys.exit(main())
