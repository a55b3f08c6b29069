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
from typing import TYPE_CHECKING

from src.data.stage.settings import COMPOSITES, MASK_SOURCES, TRANSFERS, WEIGHTS, Settings
from src.utils.cli import (
    EXIT_WRONG_INPUT,
    InputError,
    Parser,
    parse_shard,
    positive_float,
    positive_int,
    script,
    some_names,
)
from src.utils.json_files import write_json

if TYPE_CHECKING:
    from src.data.stage.captures import Stage
    from src.data.stage.synthetic.people import Framing


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--out_root", type=Path, required=True, help="training set to write: subjects/, env_maps/, splits.json")
    add("--olat_root", type=Path, help="a folder per subject with one picture per light, or FaceOLAT's CamXX folders")
    add(
        "--lights",
        type=Path,
        help="lights.json, a text file of positions, or FaceOLAT's folder of light_pattern "
        "files (default: lights.json in --olat_root)",
    )
    add("--env_dir", type=Path, help="equirectangular .hdr and .exr environments")
    add("--transfer", choices=TRANSFERS, default="srgb", help="how png and avif pictures are encoded")
    add("--exr_layer", metavar="NAME", help="of EXR files with several layers, the one to read")
    add("--image_size", type=positive_int, help="rows of the written pictures (default: as captured)")
    add("--weights", choices=WEIGHTS, default="smooth", help="how directions are dealt to lights")
    add("--rotations", type=positive_int, default=1, help="evenly turned versions of each environment")
    add("--exposure", type=positive_float, default=1.0, help="factor on all pictures of people")
    add("--normalize_exposure", action="store_true", help="bring each environment to a mean luminance of 1")
    add("--composite", choices=COMPOSITES, default="none", help="what is behind the person")
    add("--fov", type=positive_float, default=30.0, help="vertical field of view in degrees, for the background")
    add("--mask", choices=MASK_SOURCES, default="auto", help="auto: the given one, else from the OLAT maximum")
    add("--mask_root", type=Path, help="folder of NAME.png or NAME/mask.png")
    add("--cameras", nargs="+", metavar="CAM", help="FaceOLAT cameras (default: all)")
    add(
        "--calibration",
        help="FaceOLAT cameras: Metashape .xml, a folder of them, a .json of 3 x 3 rotations, or "
        "'stage' to leave the lights in the stage's frame",
    )
    add("--frame_offset", type=int, default=0, help="FaceOLAT: number in the file name minus frame in the light file")
    add("--val_subjects", nargs="+", metavar="NAME", help="held out: names, or how many (default: a tenth)")
    add("--val_envs", nargs="+", metavar="NAME", help="held out: names, or how many (default: a tenth)")
    add("--max_memory_gb", type=positive_float, default=4.0, help="bound on all workers together")
    add("--workers", type=positive_int, default=os.cpu_count() or 1, help="subjects at a time")
    add("--shard", type=parse_shard, default=(0, 1), metavar="I/N", help="make the I-th of N shares of the subjects")
    add("--overwrite", action="store_true", help="make again what was made from other captures or settings")
    add("--contact_sheet", type=Path, help="picture of some subjects under some environments to write")
    add("--synthetic", type=positive_int, metavar="N", help="make a light stage of N people and prepare that")
    add("--clips", type=positive_int, metavar="N", help="make N clips of people who move, alone or beside a stage")
    add("--head_model", type=Path, metavar="DIR", help="a clone of the ICT-FaceKit (default: procedural heads)")
    add("--max_yaw", type=float, default=60.0, help="degrees that people of the synthetic stage turn away, up to 80")
    add(
        "--focal_length",
        type=positive_float,
        nargs=2,
        default=(45.0, 135.0),
        metavar=("MIN", "MAX"),
        help="of the synthetic stage's cameras in millimetres on full frame",
    )
    add(
        "--shot",
        type=positive_float,
        nargs=2,
        default=(1.15, 2.4),
        metavar=("MIN", "MAX"),
        help="picture height of the synthetic stage in heads: a tight face 1, half a body 3.5",
    )
    add("--num_lights", type=positive_int, default=331, help="lights of the synthetic stage")
    add("--num_envs", type=positive_int, default=12, help="environments of the synthetic stage")
    add("--seed", type=int, default=0, help="of the synthetic stage")
    args = parser.parse_args(argv)
    makes_set = args.synthetic is not None or args.olat_root is not None
    is_captured = args.olat_root is not None and args.synthetic is None
    if (not makes_set and args.clips is None) or (is_captured and args.env_dir is None):
        raise InputError("--olat_root, --env_dir", "both are needed", "give them, or --synthetic 12")
    if not makes_set and args.contact_sheet is not None:
        raise InputError("--contact_sheet", "shows subjects, not clips", "leave it out, or add --synthetic 12")
    if args.synthetic is not None and args.olat_root is not None:
        raise InputError("--synthetic", "makes captures of its own", "leave --olat_root out")
    if args.synthetic is not None and args.shard != (0, 1):
        raise InputError("--shard", "a synthetic stage is made by one run", "prepare its captures with --olat_root")
    check_framing(args)
    return args


def check_framing(args: argparse.Namespace) -> None:
    if not 0 <= args.max_yaw <= 80:
        raise InputError("--max_yaw", f"{args.max_yaw:g} degrees", "give 0 to 80")
    limits = (("--focal_length", args.focal_length, 15, 600, "mm"), ("--shot", args.shot, 0.8, 4, "heads"))
    for flag, (low, high), least, most, unit in limits:
        if not least <= low <= high <= most:
            raise InputError(flag, f"{low:g} {high:g}", f"give the smaller first, within {least:g} to {most:g} {unit}")


def find_stage(args: argparse.Namespace) -> Stage:
    from src.data.stage.captures import lights_file, open_stage
    from src.data.stage.faceolat import find_faceolat_captures, is_faceolat

    lights = lights_file(args.olat_root, args.lights)
    if not is_faceolat(lights):
        return open_stage(args.olat_root, lights, args.mask_root)
    if args.calibration is None:
        raise InputError(
            "--calibration",
            "FaceOLAT needs the cameras' rotations",
            "give its camera files, or 'stage' to leave the lights in the stage's frame",
        )
    calibration = None if args.calibration == "stage" else Path(args.calibration)
    return find_faceolat_captures(
        args.olat_root,
        lights,
        calibration=calibration,
        cameras=args.cameras,
        transfer=args.transfer,
        frame_offset=args.frame_offset,
        mask_root=args.mask_root,
    )


@script
def main(argv: Sequence[str] | None = None) -> int:
    args = parse_arguments(argv)

    from src.utils.exr_layers import exr_layer

    with exr_layer(args.exr_layer):
        if args.clips is not None:
            film(args)
        return prepare(args) if args.synthetic is not None or args.olat_root is not None else 0


def film(args: argparse.Namespace) -> None:
    from src.data.stage.environments import list_environments
    from src.data.stage.synthetic.clips import ClipSettings, make_clips

    settings = ClipSettings(
        lights=args.num_lights,
        size=args.image_size or 256,
        seed=args.seed,
        weights=args.weights,
        exposure=args.exposure,
        normalize_exposure=args.normalize_exposure,
        framing=framing_of(args),
    )
    environments = tuple(list_environments(args.env_dir)) if args.env_dir is not None else ()
    make_clips(
        args.out_root / "clips",
        args.clips,
        settings,
        head_model=args.head_model,
        environments=environments,
        workers=args.workers,
    )
    print(f"{args.clips} clips of {settings.frames} frames in {args.out_root / 'clips'}")


def framing_of(args: argparse.Namespace) -> Framing:
    from src.data.stage.synthetic.people import Framing

    return Framing(args.max_yaw, tuple(args.focal_length), tuple(args.shot))


def prepare(args: argparse.Namespace) -> int:
    from src.data.portrait.overview import write_contact_sheet
    from src.data.portrait.splits import update_splits
    from src.data.stage.environments import list_environments, plan_environments
    from src.data.stage.mask import mask_source
    from src.data.stage.set_metadata import write_common
    from src.data.stage.training_set import make_jobs, prepare_subjects

    if args.synthetic is not None:
        from src.data.stage.synthetic.light_stage import make_light_stage

        args.olat_root = make_light_stage(
            args.out_root / "stage",
            subjects=args.synthetic,
            lights=args.num_lights,
            environments=args.num_envs,
            size=args.image_size or 256,
            seed=args.seed,
            workers=args.workers,
            framing=framing_of(args),
            head_model=args.head_model,
        )
        args.env_dir = args.env_dir or args.out_root / "stage" / "env_maps"

    stage = find_stage(args)
    environments = list_environments(args.env_dir)
    plans = plan_environments(environments, args.rotations)
    passed_over = sorted(path.name for path in args.env_dir.iterdir() if path not in environments)
    if passed_over:
        print(f"passed over in {args.env_dir}, no .hdr or .exr: {some_names(passed_over)}")
    settings = Settings(
        weights=args.weights,
        transfer=args.transfer,
        image_size=args.image_size,
        exposure=args.exposure,
        normalize_exposure=args.normalize_exposure,
        composite=args.composite,
        fov_degrees=args.fov,
        exr_layer=args.exr_layer,
    )
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
