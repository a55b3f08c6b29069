"""What all subjects of a training set share: ``env_maps/``, and ``metadata.json``, which says what it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.data.stage.captures import Stage
from src.data.stage.environments import EnvironmentPlan, read_environment, write_environment
from src.data.stage.olat import LightCells
from src.data.stage.settings import Settings
from src.utils.cli import InputError, some_names
from src.utils.content_hash import combined_hash, record_files
from src.utils.image_io import natural_key
from src.utils.json_files import read_json, write_json

FRAME = "right-handed, +Y up, camera on +Z looking towards -Z"
UNITS = "linear radiance; OLATs under a light of irradiance 1 times the exposure; flat-lit = environment of radiance 1"
FORMAT = "delit training set 1"
METADATA = "metadata.json"


def read_metadata(out_root: Path) -> dict | None:
    """The content of a training set's ``metadata.json``, None without one; InputError where it is something else."""
    path = out_root / METADATA
    if not path.exists():
        return None
    metadata = read_json(path)
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise InputError(path, f"is not that of a {FORMAT!r}", "make the set with prepare_olat.py")
    return metadata


def write_common(
    out_root: Path, stage: Stage, plans: Sequence[EnvironmentPlan], settings: Settings, overwrite: bool = False
) -> dict:
    """Write ``env_maps/`` and ``metadata.json``; returns the latter's content.

    When it is there already it must have come from the same settings, lights and environments, by their content
    (InputError otherwise), or is written anew with ``overwrite``. Captures with other lights may be added.
    """
    before = read_metadata(out_root)
    files = _record_sources(plans, before)
    made_from = _describe_origin(stage, plans, settings, {name: record["content"] for name, record in files.items()})
    differences = [] if before is None else _differences(before.get("made_from"), made_from)
    if differences and not overwrite:
        raise InputError(
            out_root,
            f"holds a training set made from {' and '.join(differences)}",
            "choose another --out_root, or --overwrite to make it again",
        )
    if before is None or differences:
        # Without it what an interruption leaves is no set: nothing would vouch for half of the maps.
        (out_root / METADATA).unlink(missing_ok=True)
        environments, light_sets = _write_environments(out_root, plans, settings), {}
    else:
        environments, light_sets = before["environments"], dict(before["light_sets"])
        made_from["lights"] = {**before["made_from"]["lights"], **made_from["lights"]}
    for name, directions in stage.light_sets.items():
        if name not in light_sets:
            light_sets[name] = _describe_lights(LightCells(directions, settings.weights), out_root, plans)
    content = {
        "format": FORMAT,
        "fingerprint": combined_hash([made_from["settings"], made_from["environments"]]),
        "made_from": made_from,
        "source_files": files,
        "units": UNITS,
        "frame": FRAME,
        **settings.record(),
        "environments": environments,
        "light_sets": light_sets,
    }
    if content != before:
        write_json(out_root / METADATA, content)
    for name in (before or content)["environments"].keys() - environments.keys():
        (out_root / "env_maps" / f"{name}.hdr").unlink(missing_ok=True)
    return content


def coefficients_of(metadata: dict, light_set: str, environments: Sequence[str]) -> np.ndarray:
    """``(1 + E, L, 3)`` float32 from ``metadata.json``: flat-lit's, then those of the environments."""
    lights = metadata["light_sets"][light_set]
    flat = np.repeat(np.asarray(lights["solid_angles"], np.float32)[:, None], 3, axis=1)
    return np.stack([flat, *(np.asarray(lights["coefficients"][name], np.float32) for name in environments)])


def _write_environments(out_root: Path, plans: Sequence[EnvironmentPlan], settings: Settings) -> dict:
    return {
        plan.name: {
            "source": plan.source.name,
            "rotation_degrees": plan.rotation_degrees,
            "exposure": write_environment(
                plan, out_root / "env_maps" / f"{plan.name}.hdr", settings.normalize_exposure
            ),
        }
        for plan in plans
    }


def _describe_lights(cells: LightCells, out_root: Path, plans: Sequence[EnvironmentPlan]) -> dict:
    # From the maps as stored: what a network reads is what lit the picture.
    coefficients = {
        plan.name: cells.integrate(read_environment(out_root / "env_maps" / f"{plan.name}.hdr")) for plan in plans
    }
    return {
        "directions": cells.directions.round(7).tolist(),
        "solid_angles": [float(f"{value:.7g}") for value in cells.solid_angles()],
        "coefficients": {name: _rounded(values) for name, values in coefficients.items()},
    }


def _rounded(values: np.ndarray) -> list[list[float]]:
    return [[float(f"{value:.7g}") for value in row] for row in values]


def _record_sources(plans: Sequence[EnvironmentPlan], metadata: dict | None) -> dict[str, dict[str, str]]:
    """A record of every environment file; those whose dates and sizes are as in ``metadata`` are not read."""
    known = (metadata or {}).get("source_files", {})
    return {
        source.name: record_files([source], known.get(source.name)) for source in {plan.source: None for plan in plans}
    }


def _describe_origin(
    stage: Stage, plans: Sequence[EnvironmentPlan], settings: Settings, contents: dict[str, str]
) -> dict:
    return {
        "settings": settings.record(),
        "lights": {name: combined_hash([lights.round(6).tolist()]) for name, lights in stage.light_sets.items()},
        "environments": {
            plan.name: combined_hash([contents[plan.source.name], plan.rotation_degrees]) for plan in plans
        },
    }


def _differences(old: dict | None, new: dict) -> list[str]:
    """What changed since a set was made, in words; empty where nothing did. New sets of lights are no change."""
    if old is None:
        return ["files that an earlier version kept no record of"]
    changed = []
    settings = [
        f"{name} was {old['settings'].get(name)}, now {value}"
        for name, value in new["settings"].items()
        if old["settings"].get(name) != value
    ]
    if settings:
        changed.append(f"other settings ({', '.join(settings)})")
    lights = [name for name, value in new["lights"].items() if old["lights"].get(name, value) != value]
    if lights:
        changed.append(f"other lights ({some_names(lights)})")
    before, now = old["environments"], new["environments"]
    environments = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if environments:
        changed.append(f"other environments ({some_names(sorted(environments, key=natural_key))})")
    return changed
