"""The captures that a training set was prepared from, opened again the way they were prepared.

Transfer, weights, exposure, field of view and lights are those that ``prepare_olat.py`` wrote down; where a flag or a
file says otherwise, that is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from src.data.stage.captures import LIGHTS_FILE, Capture, Stage, open_stage, subject_folders
from src.data.stage.faceolat import is_faceolat
from src.data.stage.lights import read_lights
from src.data.stage.set_metadata import METADATA, read_metadata
from src.data.stage.settings import Settings
from src.utils.cli import InputError, some_names
from src.utils.content_hash import is_same
from src.utils.exr_layers import choose_exr_layer
from src.utils.image_io import natural_key
from src.utils.json_files import read_json

_SAME_LIGHT = 1e-4  # of a unit direction: metadata keeps seven digits, lights.json may keep fewer


def open_prepared_stage(
    data_root: Path, olat_root: Path, lights: Path | None, subjects: Collection[str]
) -> tuple[Stage, list[str]]:
    """The stage with those of ``subjects`` that have captures below ``olat_root``, and what is to be said about it.

    ``lights``: what the user takes for its lights; None for ``lights.json`` in ``olat_root``, where it is there.
    A set without ``metadata.json``, made by something else, has the default settings. Raises InputError where the
    captures or lights are not those that the set was prepared from.
    """
    metadata = read_metadata(data_root)
    settings = Settings() if metadata is None else Settings.of(metadata)
    choose_exr_layer(settings.exr_layer)
    folders = subject_folders(data_root / "subjects")
    records = {folder.name: _read_record(folder, metadata) for folder in folders}
    is_recorded = all("captures" in record for record in records.values())
    if metadata is not None and is_recorded:
        places = {name: olat_root / record["captures"]["folder"] for name, record in records.items()}
        captured = [name for name in subjects if places[name].is_dir()]
        captures = [_capture(data_root / "subjects" / name, records[name], places[name]) for name in captured]
        used = dict.fromkeys(capture.light_set for capture in captures)
        light_sets = {name: np.asarray(metadata["light_sets"][name]["directions"]) for name in used}
        stage = Stage(tuple(captures), light_sets, settings)
    else:
        places = {name: olat_root / name for name in records}
        stage = replace(open_stage(olat_root, lights, data_root / "subjects", only=subjects), settings=settings)
    for name, lights_now in stage.light_sets.items():
        prepared = lights_now if metadata is None else np.asarray(metadata["light_sets"][name]["directions"])
        _require_same_lights(data_root, olat_root, lights, prepared)
    return stage, _describe(stage, metadata is not None, data_root, olat_root, places, subjects)


def _describe(
    stage: Stage,
    is_prepared: bool,
    data_root: Path,
    olat_root: Path,
    places: Mapping[str, Path],
    subjects: Collection[str],
) -> list[str]:
    """Which settings hold, and which captures and subjects go without one another."""
    settings, source = stage.settings, data_root / METADATA
    said = [
        f"OLATs {f'as {source} says' if is_prepared else f'by default, without {source}'}: "
        f"{settings.transfer} transfer, {settings.weights} weights, exposure {settings.exposure:g}, "
        f"field of view {settings.fov_degrees:g} degrees"
        f"{f', EXR layer {settings.exr_layer}' if settings.exr_layer else ''}"
    ]
    known = set(places.values())
    parents = {place.parent for place in known if place.parent.is_dir()}
    others = {folder.name for parent in parents for folder in subject_folders(parent) if folder not in known}
    if others:
        names = some_names(sorted(others, key=natural_key))
        said.append(f"left out: captures of {names}, which {data_root} was not prepared from")
    absent = set(subjects) - {capture.name for capture in stage.captures}
    if absent:
        names = some_names(sorted(absent, key=natural_key))
        said.append(f"without captures in {olat_root}, trained on as pairs alone: {names}")
    return said


def _read_record(folder: Path, metadata: dict | None) -> dict:
    """What a subject of the set records of its making; empty where it was made by something else."""
    path = folder / METADATA
    record = read_json(path) if metadata is not None and path.exists() else {}
    if not isinstance(record, dict):
        raise InputError(path, "is not that of a prepared subject", "prepare_olat.py --overwrite makes it again")
    if metadata is not None and "captures" in record and record["made_from"]["set"] != metadata.get("fingerprint"):
        problem = "was made from other settings or environments than the set"
        raise InputError(folder, problem, "prepare_olat.py --overwrite makes it again")
    return record


def _capture(subject: Path, record: dict, place: Path) -> Capture:
    """The captures of a prepared subject, in the order of its lights. InputError where they are not the same now."""
    images = tuple(place / name for name in record["captures"]["files"])
    missing = [path.name for path in images if not path.is_file()]
    if missing:
        raise InputError(
            place, f"has no {some_names(missing)}, which {subject} was made from", "restore it or prepare again"
        )
    if not is_same(record["captures"]["images"], images):
        raise InputError(place, f"has changed since {subject} was made from it", "prepare_olat.py --overwrite")
    return Capture(subject.name, record["identity"], images, record["light_set"], subject / "mask.png")


def _require_same_lights(data_root: Path, olat_root: Path, lights: Path | None, prepared: np.ndarray) -> None:
    """FaceOLAT's lights are turned into each camera's frame by the preparation: there is nothing to compare."""
    path = lights or olat_root / LIGHTS_FILE
    if is_faceolat(path) or (lights is None and not path.is_file()):
        return
    given = read_lights(path)
    if given.shape != prepared.shape or np.abs(given - prepared).max() > _SAME_LIGHT:
        raise InputError(
            path,
            f"its lights are not those that {data_root} was prepared with",
            "give the captures that belong to it, or prepare it again with --overwrite",
        )
