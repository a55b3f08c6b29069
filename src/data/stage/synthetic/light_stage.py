"""A synthetic light stage: captures of made-up heads and environments, in the same folders as real ones.

stage/olat/ID001/{000.exr ... 330.exr, mask.png}  stage/olat/lights.json  stage/env_maps/env_001.hdr
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from src.data.stage.set_metadata import FRAME
from src.data.stage.synthetic.sky import KINDS, make_environment
from src.utils.atomic import atomic_folder
from src.utils.cli import InputError
from src.utils.image_io import write_display, write_linear
from src.utils.json_files import read_json, write_json
from src.utils.process_pool import run_in_processes
from src.utils.sphere import fibonacci_sphere

_TONES = 10


@dataclass(frozen=True)
class HeadJob:
    """One head to capture."""

    folder: Path
    index: int
    seed: int
    lights: int
    size: int


def make_light_stage(
    stage: Path,
    *,
    subjects: int,
    lights: int = 331,
    environments: int = 12,
    size: int = 256,
    seed: int = 0,
    workers: int = 1,
) -> Path:
    """Write captures of ``subjects`` heads and ``environments`` maps below ``stage``; returns the captures' folder.

    Heads that are there already are kept. Raises InputError when they were made with other numbers.
    """
    if lights < 4:
        raise InputError("--num_lights", f"{lights} lights are too few", "give at least 4")
    description = {"format": "synthetic light stage 1", "lights": lights, "size": size, "seed": seed}
    path = stage / "stage.json"
    if path.exists() and read_json(path) != description:
        raise InputError(stage, "was made with other lights, size or seed", "choose another --out_root, or delete it")
    write_json(path, description)
    write_json(
        stage / "olat" / "lights.json", {"frame": FRAME, "directions": fibonacci_sphere(lights).round(6).tolist()}
    )
    for index in range(environments):
        file = stage / "env_maps" / f"env_{index + 1:03d}.hdr"
        if not file.exists():
            rng = np.random.default_rng([seed, 1, index])
            write_linear(file, make_environment(rng, KINDS[index % len(KINDS)]))
    jobs = [HeadJob(stage / "olat" / f"ID{index + 1:03d}", index, seed, lights, size) for index in range(subjects)]
    waiting = [job for job in jobs if not job.folder.exists()]
    for error in run_in_processes(capture_head, waiting, workers, "capturing"):
        raise error
    return stage / "olat"


def capture_head(job: HeadJob) -> None:
    """Render one head under every light; its folder gets its name when it is complete."""
    import torch

    from src.data.stage.synthetic.heads import HAIR_STYLES, Head, sample_shape
    from src.data.stage.synthetic.rendering import render_olats
    from src.data.stage.synthetic.skin import Surface, sample_complexion

    rng = np.random.default_rng([job.seed, 0, job.index])
    # Tones and styles in an order in which any few neighbours already span the whole scale.
    tone = job.index * 7 % _TONES
    shape = sample_shape(rng, HAIR_STYLES[(job.index * 3 + job.seed) % len(HAIR_STYLES)])
    complexion = sample_complexion(rng, tone)
    head = Head(shape)
    with torch.inference_mode(), atomic_folder(job.folder) as folder:
        coverage, pictures = render_olats(head, Surface(head, complexion), fibonacci_sphere(job.lights), job.size)
        for light, picture in enumerate(pictures):
            write_linear(folder / f"{light:03d}.exr", picture)
        write_display(folder / "mask.png", coverage)
        write_json(folder / "person.json", {"monk_tone": tone + 1, **asdict(shape)})
