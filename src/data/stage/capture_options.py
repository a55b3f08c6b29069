"""The flags that say where captures are and how they become pictures, and what they ask for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from src.data.stage.settings import COMPOSITES, MASK_SOURCES, TRANSFERS, WEIGHTS, Settings
from src.utils.cli import InputError, positive_float, positive_int

if TYPE_CHECKING:
    from src.data.stage.captures import Stage

_STAGE_FRAME = "stage"  # of --calibration: lights as they are


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("captures").add_argument
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
    add("--mask", choices=MASK_SOURCES, default="auto", help="auto: the given one, else from the OLAT maximum")
    add("--mask_root", type=Path, help="folder of NAME.png or NAME/mask.png")
    add("--cameras", nargs="+", metavar="CAM", help="FaceOLAT cameras (default: all)")
    add(
        "--calibration",
        help="FaceOLAT cameras: Metashape .xml, a folder of them, a .json of 3 x 3 rotations, or "
        f"'{_STAGE_FRAME}' to leave the lights in the stage's frame",
    )
    add("--frame_offset", type=int, default=0, help="FaceOLAT: number in the file name minus frame in the light file")
    add = parser.add_argument_group("pictures").add_argument
    add("--image_size", type=positive_int, help="rows of the written pictures (default: as captured)")
    add("--weights", choices=WEIGHTS, default="smooth", help="how directions are dealt to lights")
    add("--rotations", type=positive_int, default=1, help="evenly turned versions of each environment")
    add("--exposure", type=positive_float, default=1.0, help="factor on all pictures of people")
    add("--normalize_exposure", action="store_true", help="bring each environment to a mean luminance of 1")
    add("--composite", choices=COMPOSITES, default="none", help="what is behind the person")
    add("--fov", type=positive_float, default=30.0, help="vertical field of view in degrees, for the background")


def settings_of(args: argparse.Namespace) -> Settings:
    return Settings(
        weights=args.weights,
        transfer=args.transfer,
        image_size=args.image_size,
        exposure=args.exposure,
        normalize_exposure=args.normalize_exposure,
        composite=args.composite,
        fov_degrees=args.fov,
        exr_layer=args.exr_layer,
    )


def find_stage(args: argparse.Namespace) -> Stage:
    """The captures in ``--olat_root`` with their lights, one folder per subject or as FaceOLAT is published."""
    from src.data.stage.captures import lights_file, open_stage
    from src.data.stage.faceolat import find_faceolat_captures, is_faceolat

    lights = lights_file(args.olat_root, args.lights)
    if not is_faceolat(lights):
        return open_stage(args.olat_root, lights, args.mask_root)
    if args.calibration is None:
        raise InputError(
            "--calibration",
            "FaceOLAT needs the cameras' rotations",
            f"give its camera files, or '{_STAGE_FRAME}' to leave the lights in the stage's frame",
        )
    return find_faceolat_captures(
        args.olat_root,
        lights,
        calibration=None if args.calibration == _STAGE_FRAME else Path(args.calibration),
        cameras=args.cameras,
        transfer=args.transfer,
        frame_offset=args.frame_offset,
        mask_root=args.mask_root,
    )
