"""The flags of the synthetic light stage, and what they ask for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from src.utils.cli import InputError, positive_float, positive_int

if TYPE_CHECKING:
    from src.data.stage.synthetic.people import Framing

_SIZE = 256
_MOST_YAW = 80
_RANGED = (
    ("--focal_length", (45.0, 135.0), "millimetres on full frame"),
    ("--shot", (1.15, 2.4), "picture height in heads: a tight face 1, half a body 3.5"),
)
_LIMITS = {"focal_length": (15, 600, "mm"), "shot": (0.8, 4, "heads")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of stages and clips; ``--image_size``, ``--workers`` and ``--env_dir`` are those of captures."""
    add = parser.add_argument_group("synthetic light stage").add_argument
    add("--synthetic", type=positive_int, metavar="N", help="make a light stage of N people and prepare that")
    add("--clips", type=positive_int, metavar="N", help="make N clips of people who move, alone or beside a stage")
    add("--head_model", type=Path, metavar="DIR", help="a clone of the ICT-FaceKit (default: procedural heads)")
    add("--max_yaw", type=float, default=60.0, help=f"degrees that people turn away, up to {_MOST_YAW}")
    for flag, default, meaning in _RANGED:
        add(flag, type=positive_float, nargs=2, metavar=("MIN", "MAX"), default=default, help=meaning)
    add("--num_lights", type=positive_int, default=331, help="lights of the stage")
    add("--num_envs", type=positive_int, default=12, help="environments to make up")
    add("--seed", type=int, default=0, help="decides, with a person's number, who that is")


def check_arguments(args: argparse.Namespace) -> None:
    """Raises InputError where flags contradict each other or are out of range."""
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
    if not 0 <= args.max_yaw <= _MOST_YAW:
        raise InputError("--max_yaw", f"{args.max_yaw:g} degrees", f"give 0 to {_MOST_YAW}")
    for name, (least, most, unit) in _LIMITS.items():
        low, high = getattr(args, name)
        if not least <= low <= high <= most:
            remedy = f"give the smaller first, within {least:g} to {most:g} {unit}"
            raise InputError(f"--{name}", f"{low:g} {high:g}", remedy)


def make_stage(args: argparse.Namespace) -> tuple[Path, Path]:
    """Make what ``--synthetic`` asks for; returns the folders of its captures and of the environments."""
    from src.data.stage.synthetic.light_stage import make_light_stage

    stage = args.out_root / "stage"
    captures = make_light_stage(
        stage,
        subjects=args.synthetic,
        lights=args.num_lights,
        environments=args.num_envs,
        size=args.image_size or _SIZE,
        seed=args.seed,
        workers=args.workers,
        framing=_framing(args),
        head_model=args.head_model,
    )
    return captures, args.env_dir or stage / "env_maps"


def film(args: argparse.Namespace) -> None:
    """Make what ``--clips`` asks for, and say so."""
    from src.data.stage.environments import list_environments
    from src.data.stage.synthetic.clips import ClipSettings, make_clips

    settings = ClipSettings(
        lights=args.num_lights,
        size=args.image_size or _SIZE,
        seed=args.seed,
        weights=args.weights,
        exposure=args.exposure,
        normalize_exposure=args.normalize_exposure,
        framing=_framing(args),
    )
    environments = tuple(list_environments(args.env_dir)) if args.env_dir is not None else ()
    folder = args.out_root / "clips"
    make_clips(
        folder, args.clips, settings, head_model=args.head_model, environments=environments, workers=args.workers
    )
    print(f"{args.clips} clips of {settings.frames} frames in {folder}")


def _framing(args: argparse.Namespace) -> Framing:
    from src.data.stage.synthetic.people import Framing

    return Framing(args.max_yaw, tuple(args.focal_length), tuple(args.shot))
