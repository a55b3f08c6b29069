"""From captures and environments to a training set, one subject at a time.

    out_root/metadata.json splits.json env_maps/NAME.hdr
    out_root/subjects/ID/{flat_lit.exr, mask.png, metadata.json, relit/NAME.exr}

A subject is made in a hidden folder that gets its name when it is complete: what has the name is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.data.stage.captures import Capture, check_sizes, read_blocks, reduced_size
from src.data.stage.environments import read_environment
from src.data.stage.mask import make_mask
from src.data.stage.olat import accumulate, plan_blocks
from src.data.stage.set_metadata import FRAME, METADATA, UNITS, coefficients_of
from src.data.stage.settings import Settings
from src.utils.atomic import atomic_folder
from src.utils.cli import InputError, some_names
from src.utils.compositing import put_before
from src.utils.content_hash import record_files
from src.utils.image_io import write_display, write_linear
from src.utils.json_files import read_json, write_json
from src.utils.process_pool import run_in_processes
from src.utils.sphere import perspective_directions, sample_environment


@dataclass(frozen=True)
class SubjectJob:
    """All that a worker needs for one subject; plain data, so that it can be sent to a spawned process."""

    capture: Capture
    captures_root: Path
    out_root: Path
    settings: Settings
    environments: tuple[str, ...]
    coefficients: np.ndarray  # (1 + E, L, 3): flat-lit, then the environments
    mask: str  # where it comes from
    made_from: dict[str, str]  # what identifies the set, the lights and the mask
    memory_gb: float

    @property
    def folder(self) -> Path:
        return self.out_root / "subjects" / self.capture.name

    def records(self, known: dict) -> dict[str, dict[str, str]]:
        """What the files hold that the subject is made from: see :func:`record_files`."""
        beside = {"given": self.capture.mask, "rembg": self.capture.full_light}.get(self.mask)
        return {
            "images": record_files(self.capture.images, known.get("images")),
            "beside": record_files([beside] if beside else [], known.get("beside")),
        }


def make_jobs(
    out_root: Path,
    captures_root: Path,
    captures: Sequence[Capture],
    masks: Sequence[str],
    metadata: dict,
    *,
    settings: Settings,
    memory_gb: float,
) -> list[SubjectJob]:
    """One job per capture below ``captures_root``, each within ``memory_gb``."""
    environments = tuple(metadata["environments"])
    return [
        SubjectJob(
            capture,
            captures_root,
            out_root,
            settings,
            environments,
            coefficients_of(metadata, capture.light_set, environments),
            mask,
            {
                "set": metadata["fingerprint"],
                "lights": metadata["made_from"]["lights"][capture.light_set],
                "mask": mask,
            },
            memory_gb,
        )
        for capture, mask in zip(captures, masks, strict=True)
    ]


def is_finished(job: SubjectJob, changes: list[str]) -> bool:
    """Whether the subject is there, made from what it would be made from now.

    Where it is there and was made from something else, it is not, and its name joins ``changes``.
    """
    path = job.folder / METADATA
    if not path.exists():
        return False
    metadata: Any = read_json(path)
    known = metadata.get("captures", {}) if isinstance(metadata, dict) else {}
    records = job.records(known)
    is_same = all(known.get(name, {}).get("content") == record["content"] for name, record in records.items())
    if not is_same or metadata.get("made_from") != job.made_from:
        changes.append(job.capture.name)
        return False
    if {**known, **records} != known:  # copied or touched: so that the files need not be read next time
        write_json(path, {**metadata, "captures": {**known, **records}})
    return True


def prepare_subjects(jobs: Sequence[SubjectJob], workers: int, overwrite: bool = False) -> list[InputError]:
    """Make all subjects that are not finished, in parallel processes, with a progress bar.

    Returns what is wrong with those that could not be made; nothing of them is left, and the others are done.
    Raises InputError where subjects are there that were made from other captures, unless ``overwrite``.
    """
    changes: list[str] = []
    waiting = [job for job in jobs if not is_finished(job, changes)]
    if changes and not overwrite:
        was = "was" if len(changes) == 1 else "were"
        raise InputError(
            jobs[0].out_root / "subjects",
            f"{some_names(changes)} {was} made from other captures, masks or settings",
            "choose another --out_root, or --overwrite to make them again",
        )
    if changes:
        print(f"made again, from what is new: {some_names(changes)}")
    if len(waiting) < len(jobs):
        print(f"{len(jobs) - len(waiting)} of {len(jobs)} subjects are finished already")
    return run_in_processes(prepare_subject, waiting, workers, "relighting")


def prepare_subject(job: SubjectJob) -> None:
    """Make one subject: all of it or nothing."""
    with atomic_folder(job.folder) as folder:
        _write_subject(job, folder)


def _write_subject(job: SubjectJob, folder: Path) -> None:
    settings, capture = job.settings, job.capture
    records = job.records({})  # before anything is read: what changes meanwhile is noticed next time
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
                rays = perspective_directions(height, width, settings.fov_degrees)
                picture = put_before(sample_environment(environment, rays), picture, mask[..., None])
            write_linear(folder / "relit" / f"{name}.exr", picture)
    write_json(
        folder / METADATA,
        {
            "made_from": job.made_from,
            "identity": capture.identity,
            "light_set": capture.light_set,
            "lights": lights,
            "image_size": [height, width],
            "mask": job.mask,
            "captures": {
                "folder": capture.images[0].parent.relative_to(job.captures_root).as_posix(),
                "files": [path.name for path in capture.images],
                **records,
            },
            "units": UNITS,
            "frame": FRAME,
            "exposure": settings.exposure,
            "coefficients": f"metadata.json of the training set: light_sets / {capture.light_set} / coefficients",
        },
    )
