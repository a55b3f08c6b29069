"""FaceOLAT as it is published (Rao et al. 2025, "3DPR"): ``CamXX/IDxxxxx/IDxxxxx.000001.avif|exr``.

Two files describe the lights. ``light_pattern_per_frame.json`` lists ``[frame, light]`` for 349 frames, light 1-331 or
0 for a frame with all lights on, every 21st frame; ``light_pattern_metadata.json`` has ``light_positions``, 331 points
in millimetres, y up, on a sphere of some 1.7 m that is not about the origin. Camera files are Agisoft Metashape's,
``NNN.xml`` for the participant of ``IDxxNNN``.

An environment belongs to the camera here (its centre column is behind it), so the lights are turned into each
camera's frame: the same as turning the environment with the camera, with one set of maps for all cameras.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.data.stage.captures import Capture, Stage, find_mask, read_picture, subject_folders
from src.data.stage.lights import directions_about_centre
from src.utils.cli import InputError
from src.utils.image_io import IMAGE_SUFFIXES
from src.utils.json_files import read_json

PATTERN_FILE = "light_pattern_per_frame.json"
METADATA_FILE = "light_pattern_metadata.json"
# OpenCV's and Metashape's camera looks along +Z with y down; ours along -Z with y up.
_FROM_OPENCV = np.diag([1.0, -1.0, -1.0])
# A full-light frame has 331 lights at a lower power each; it outshines any single light by far more than this.
_FULL_LIGHT_RATIO = 2.0


def is_faceolat(lights: Path) -> bool:
    """Whether ``--lights`` names FaceOLAT's light files: their folder, or one of them."""
    return (lights / PATTERN_FILE).is_file() or lights.name in (PATTERN_FILE, METADATA_FILE)


def read_light_files(lights: Path) -> tuple[dict[int, int], list[int], np.ndarray]:
    """(frame of each light, counted from 0; full-light frames; unit directions ``(L, 3)`` in the stage's frame)."""
    folder = lights if lights.is_dir() else lights.parent
    metadata = read_json(folder / METADATA_FILE)
    if not isinstance(metadata, dict) or "light_positions" not in metadata:
        raise InputError(folder / METADATA_FILE, "has no light_positions", "give FaceOLAT's own file")
    positions = np.asarray(metadata["light_positions"], dtype=np.float64)
    directions = directions_about_centre(folder / METADATA_FILE, positions)
    path = folder / PATTERN_FILE
    pattern: Any = read_json(path)
    is_pairs = isinstance(pattern, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(value, int) for value in pair) for pair in pattern
    )
    if not is_pairs:
        raise InputError(path, "is not a list of [frame, light] pairs", "give FaceOLAT's own file")
    full = [frame for frame, light in pattern if light == 0]
    shown = [light for _, light in pattern if light != 0]
    if sorted(shown) != list(range(1, len(directions) + 1)):
        raise InputError(
            path,
            f"does not show each of the {len(directions)} lights of {METADATA_FILE} exactly once",
            "give two files that belong together",
        )
    return {light - 1: frame for frame, light in pattern if light != 0}, full, directions


def find_faceolat_captures(
    olat_root: Path,
    lights: Path,
    *,
    calibration: Path | None,
    cameras: Sequence[str] | None,
    transfer: str,
    frame_offset: int = 0,
    mask_root: Path | None = None,
) -> Stage:
    """Every subject of every camera (or of ``cameras``) under ``olat_root``.

    ``calibration``: a Metashape file, a folder of ``NNN.xml``, or JSON ``{"Cam06": 3 x 3 stage-to-camera}``; None
    leaves the lights in the stage's frame. File number = frame + ``frame_offset``. Raises InputError when frames are
    missing or when the frames that should have all lights on are not the bright ones.
    """
    frame_of_light, full_frames, directions = read_light_files(lights)
    found = [folder.name for folder in subject_folders(olat_root) if re.fullmatch(r"Cam\d+", folder.name)]
    chosen = found if cameras is None else list(cameras)
    if not chosen or set(chosen) - set(found):
        raise InputError(
            olat_root,
            f"has no camera folder {', '.join(sorted(set(chosen) - set(found))) or 'CamXX'}",
            "give the folder that holds Cam01, Cam02, ...",
        )
    captures: list[Capture] = []
    light_sets: dict[str, np.ndarray] = {}
    for camera in chosen:
        for folder in subject_folders(olat_root / camera):
            subject = folder.name
            files = _numbered_files(folder)
            _check_frames(
                folder, files, frame_of_light, full_frames=full_frames, offset=frame_offset, transfer=transfer
            )
            images = tuple(files[frame_of_light[light] + frame_offset] for light in range(len(directions)))
            full_light = next(files[f + frame_offset] for f in full_frames if f + frame_offset in files)
            light_set, rotation = _camera_rotation(calibration, camera, subject)
            light_sets.setdefault(light_set, directions @ rotation.T)
            name = subject if len(chosen) == 1 else f"{subject}_{camera}"
            mask = None if mask_root is None else find_mask(mask_root, name)
            captures.append(Capture(name, participant(subject), images, light_set, mask, full_light))
    return Stage(tuple(captures), light_sets)


def participant(subject: str) -> str:
    """``ID20003`` and ``ID40003`` are two takes of participant 003."""
    match = re.fullmatch(r"ID\d\d(\d{3})", subject)
    return match[1] if match else subject


def _numbered_files(folder: Path) -> dict[int, Path]:
    files = {}
    for path in sorted(folder.iterdir()):
        match = re.fullmatch(r"[^.].*\.(\d+)", path.stem)
        if match and path.suffix.lower() in IMAGE_SUFFIXES:
            files[int(match[1])] = path
    if not files:
        raise InputError(folder, "holds no frames", f"it needs files like {folder.name}.000001.avif")
    return files


def _check_frames(
    folder: Path,
    files: dict[int, Path],
    frame_of_light: dict[int, int],
    *,
    full_frames: Sequence[int],
    offset: int,
    transfer: str,
) -> None:
    missing = sorted(frame + offset for frame in frame_of_light.values() if frame + offset not in files)
    if missing:
        raise InputError(
            folder,
            f"has no frame {', '.join(f'{number:06d}' for number in missing[:5])}"
            f"{' ...' if len(missing) > 5 else ''} ({len(missing)} missing)",
            "every light needs its frame; --frame_offset shifts the numbers",
        )
    brightness: dict[int, float] = {}

    def bright(number: int) -> float:
        if number not in brightness:
            brightness[number] = float(read_picture(files[number], transfer, height=64).mean())
        return brightness[number]

    def fits(candidate: int) -> bool:
        pairs = [
            (frame + candidate, frame + candidate + step)
            for frame in full_frames
            for step in (-1, 1)
            if frame + candidate in files and frame + candidate + step in files
        ]
        return bool(pairs) and all(bright(full) > _FULL_LIGHT_RATIO * bright(single) for full, single in pairs)

    if fits(offset):
        return
    better = [candidate for candidate in (offset - 1, offset + 1) if fits(candidate)]
    remedy = f"--frame_offset {better[0]} fits" if better else "check that frames and light files belong together"
    problem = f"the frames that should have all lights on are not the bright ones (file = frame + {offset})"
    raise InputError(folder, problem, remedy)


def _camera_rotation(calibration: Path | None, camera: str, subject: str) -> tuple[str, np.ndarray]:
    """(name of the light set, 3 x 3 rotation from the stage's frame into the camera's)."""
    if calibration is None:
        return "stage", np.eye(3)
    if calibration.suffix.lower() == ".json":
        rotations = read_json(calibration)
        if not isinstance(rotations, dict) or camera not in rotations:
            raise InputError(calibration, f"has no rotation of {camera}", 'write {"Cam06": [[3 x 3]], ...}')
        return camera, _checked_rotation(calibration, np.asarray(rotations[camera], dtype=np.float64))
    path = calibration / f"{participant(subject)}.xml" if calibration.is_dir() else calibration
    return f"{camera} of {path.stem}", read_metashape_rotation(path, camera)


def read_metashape_rotation(path: Path, camera: str) -> np.ndarray:
    """3 x 3 rotation from the stage's frame into the camera's (x right, y up, looking along -Z).

    A Metashape file holds camera-to-chunk matrices (4 x 4, row by row) and the chunk-to-world rotation.
    """
    try:
        root = ET.parse(path).getroot()
    except FileNotFoundError:
        raise InputError(path, "no such file", "check --calibration") from None
    except ET.ParseError as error:
        raise InputError(path, f"is not XML ({error})", "give a Metashape camera file") from None
    chunk = root.find("chunk")
    node = None if chunk is None else chunk.find(f"cameras//camera[@label='{camera}']/transform")
    if chunk is None or node is None or not node.text:
        raise InputError(path, f"has no pose of {camera}", "leave this camera out with --cameras")
    to_chunk = np.array(node.text.split(), dtype=np.float64).reshape(4, 4)[:3, :3]
    world = chunk.findtext("transform/rotation")
    to_world = np.eye(3) if world is None else np.array(world.split(), dtype=np.float64).reshape(3, 3)
    return _checked_rotation(path, _FROM_OPENCV @ (to_world @ to_chunk).T)


def _checked_rotation(path: Path, rotation: np.ndarray) -> np.ndarray:
    is_rotation = rotation.shape == (3, 3) and np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
    if not is_rotation or np.linalg.det(rotation) < 0:
        raise InputError(path, "holds a matrix that is not a rotation", "check the calibration")
    return rotation
