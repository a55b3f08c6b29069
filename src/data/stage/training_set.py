"""From captures and environments to a training set: what is common to all subjects, then one subject at a time.

    out_root/metadata.json splits.json env_maps/NAME.hdr
    out_root/subjects/ID/{flat_lit.exr, mask.png, metadata.json, relit/NAME.exr}

A subject is made in a hidden folder that gets its name when it is complete: what has the name is whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from src.data.stage.captures import Capture, Stage, check_sizes, read_blocks, reduced_size
from src.data.stage.environments import EnvironmentPlan, read_environment, write_environment
from src.data.stage.mask import make_mask
from src.data.stage.olat import LightCells, accumulate, plan_blocks
from src.utils.atomic import atomic_folder
from src.utils.cli import InputError
from src.utils.image_io import write_display, write_linear
from src.utils.json_files import read_json, write_json
from src.utils.process_pool import run_in_processes
from src.utils.sphere import perspective_directions, sample_environment

FRAME = "right-handed, +Y up, camera on +Z looking towards -Z"
UNITS = "linear radiance; OLATs under a light of irradiance 1 times the exposure; flat-lit = environment of radiance 1"
COMPOSITES = ("none", "background")


@dataclass(frozen=True)
class Settings:
    """What decides the content of a training set, beside the captures and environments themselves."""

    weights: str = "smooth"
    transfer: str = "srgb"
    image_size: int | None = None
    exposure: float = 1.0
    normalize_exposure: bool = False
    composite: str = "none"
    fov_degrees: float = 30.0


@dataclass(frozen=True)
class SubjectJob:
    """All that a worker needs for one subject; plain data, so that it can be sent to a spawned process."""

    capture: Capture
    out_root: Path
    settings: Settings
    environments: tuple[str, ...]
    coefficients: np.ndarray  # (1 + E, L, 3): flat-lit, then the environments
    mask: str
    fingerprint: str
    memory_gb: float


def write_common(out_root: Path, stage: Stage, plans: Sequence[EnvironmentPlan], settings: Settings) -> dict:
    """Write ``env_maps/`` and ``metadata.json``; returns the latter's content.

    When it is there already it must have come from the same settings, lights and environments (InputError otherwise).
    """
    path = out_root / "metadata.json"
    fingerprint = _fingerprint(stage, plans, settings)
    if path.exists():
        metadata = read_json(path)
        if not isinstance(metadata, dict) or metadata.get("fingerprint") != fingerprint:
            raise InputError(
                out_root,
                "holds a training set made from other settings, lights or environments",
                "choose another --out_root, or delete it",
            )
        return metadata
    gains = {}
    for plan in plans:
        gains[plan.name] = write_environment(
            plan, out_root / "env_maps" / f"{plan.name}.hdr", settings.normalize_exposure
        )
    metadata = {
        "format": "delit training set 1",
        "fingerprint": fingerprint,
        "units": UNITS,
        "frame": FRAME,
        **asdict(settings),
        "environments": {
            plan.name: {
                "source": plan.source.name,
                "rotation_degrees": plan.rotation_degrees,
                "exposure": gains[plan.name],
            }
            for plan in plans
        },
        "light_sets": {
            name: _describe_lights(LightCells(directions, settings.weights), out_root, plans)
            for name, directions in stage.light_sets.items()
        },
    }
    write_json(path, metadata)
    return metadata


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


def coefficients_of(metadata: dict, light_set: str, environments: Sequence[str]) -> np.ndarray:
    """``(1 + E, L, 3)`` float32 from ``metadata.json``: flat-lit's, then those of the environments."""
    lights = metadata["light_sets"][light_set]
    flat = np.repeat(np.asarray(lights["solid_angles"], np.float32)[:, None], 3, axis=1)
    return np.stack([flat, *(np.asarray(lights["coefficients"][name], np.float32) for name in environments)])


def make_jobs(
    out_root: Path,
    captures: Sequence[Capture],
    masks: Sequence[str],
    metadata: dict,
    *,
    settings: Settings,
    memory_gb: float,
) -> list[SubjectJob]:
    """One job per capture, each within ``memory_gb``."""
    environments = tuple(metadata["environments"])
    return [
        SubjectJob(
            capture,
            out_root,
            settings,
            environments,
            coefficients_of(metadata, capture.light_set, environments),
            mask,
            metadata["fingerprint"],
            memory_gb,
        )
        for capture, mask in zip(captures, masks, strict=True)
    ]


def is_finished(job: SubjectJob) -> bool:
    """Whether the subject is there, from the same settings; InputError when it is there from others."""
    path = job.out_root / "subjects" / job.capture.name / "metadata.json"
    if not path.exists():
        return False
    metadata = read_json(path)
    if not isinstance(metadata, dict) or metadata.get("fingerprint") != job.fingerprint:
        raise InputError(path.parent, "was made from other settings", "choose another --out_root, or delete it")
    return True


def prepare_subjects(jobs: Sequence[SubjectJob], workers: int) -> list[InputError]:
    """Make all subjects that are not finished, in parallel processes, with a progress bar.

    Returns what is wrong with those that could not be made; nothing of them is left, and the others are done.
    """
    waiting = [job for job in jobs if not is_finished(job)]
    if len(waiting) < len(jobs):
        print(f"{len(jobs) - len(waiting)} of {len(jobs)} subjects are finished already")
    return run_in_processes(prepare_subject, waiting, workers, "relighting")


def prepare_subject(job: SubjectJob) -> None:
    """Make one subject: all of it or nothing."""
    with atomic_folder(job.out_root / "subjects" / job.capture.name) as folder:
        _write_subject(job, folder)


def _write_subject(job: SubjectJob, folder: Path) -> None:
    settings, capture = job.settings, job.capture
    height, width = size = reduced_size(*check_sizes(capture), settings.image_size)
    count, lights = job.coefficients.shape[:2]
    blocks = plan_blocks(height, width, count, lights, job.memory_gb)
    mask = None
    for first in range(0, count, blocks.environments):
        chosen = slice(first, min(first + blocks.environments, count))
        planes = np.ascontiguousarray(np.moveaxis(job.coefficients[chosen], 2, 0)) * np.float32(settings.exposure)
        sums = np.empty((3, planes.shape[1], height * width), np.float32)
        maximum = np.zeros((3, height * width), np.float32)
        for light, olats in read_blocks(capture.images, blocks.lights, settings.transfer, size):
            part = np.ascontiguousarray(planes[:, :, light : light + olats.shape[1]])
            accumulate(sums, part, olats, fresh=light == 0)
            if mask is None:
                np.maximum(maximum, olats.max(axis=1), out=maximum)
        if mask is None:
            mask = make_mask(capture, job.mask, maximum.T.reshape(height, width, 3), settings.transfer)
            write_display(folder / "mask.png", mask)
        for index in range(planes.shape[1]):
            picture = sums[:, index].T.reshape(height, width, 3)
            if first + index == 0:
                write_linear(folder / "flat_lit.exr", picture)
                continue
            name = job.environments[first + index - 1]
            if settings.composite == "background":
                environment = read_environment(job.out_root / "env_maps" / f"{name}.hdr")
                picture = put_before(environment, picture, mask, settings.fov_degrees)
            write_linear(folder / "relit" / f"{name}.exr", picture)
    write_json(
        folder / "metadata.json",
        {
            "fingerprint": job.fingerprint,
            "identity": capture.identity,
            "light_set": capture.light_set,
            "lights": lights,
            "image_size": [height, width],
            "mask": job.mask,
            "source": str(capture.images[0].parent),
            "units": UNITS,
            "frame": FRAME,
            "exposure": settings.exposure,
            "coefficients": f"metadata.json of the training set: light_sets / {capture.light_set} / coefficients",
        },
    )


def put_before(environment: np.ndarray, person: np.ndarray, mask: np.ndarray, fov_degrees: float) -> np.ndarray:
    """The ``(H, W, 3)`` picture with the environment behind the person, through the camera's vertical field of view.

    An OLAT stage is dark behind the person, so the picture is the person times its coverage already; outside the mask
    what the stage itself shows is dropped.
    """
    height, width = mask.shape
    background = sample_environment(environment, perspective_directions(height, width, fov_degrees))
    coverage = mask[..., None]
    return np.where(coverage > 0, person, 0) + (1 - coverage) * background


def _fingerprint(stage: Stage, plans: Sequence[EnvironmentPlan], settings: Settings) -> str:
    """Changes when anything that the pictures depend on changes; environments by name, size and turn."""
    digest = hashlib.sha256(repr(sorted(asdict(settings).items())).encode())
    for name, directions in sorted(stage.light_sets.items()):
        digest.update(name.encode())
        digest.update(directions.round(6).tobytes())
    for plan in plans:
        digest.update(repr((plan.name, plan.source.stat().st_size, plan.rotation_degrees)).encode())
    return digest.hexdigest()[:16]
