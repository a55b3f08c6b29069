"""A synthetic light stage: captures of made-up people and environments, in the same folders as real ones.

stage/olat/ID001/{000.exr ... 330.exr, mask.png, person.json}  stage/olat/lights.json  stage/env_maps/env_001.hdr
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from src.data.stage.set_metadata import FRAME
from src.data.stage.synthetic.hair import HAIR_STYLES
from src.data.stage.synthetic.ict_model import check_head_model
from src.data.stage.synthetic.people import Framing, Person, Pose, sample_pose, sample_view
from src.data.stage.synthetic.sky import KINDS, make_environment
from src.utils.atomic import atomic_folder
from src.utils.cli import InputError
from src.utils.image_io import write_display, write_linear
from src.utils.json_files import read_json, write_json
from src.utils.process_pool import run_in_processes
from src.utils.sphere import fibonacci_sphere

FORMAT = "synthetic light stage 2"
_TONES = 10


@dataclass(frozen=True)
class HeadJob:
    """One person to capture."""

    folder: Path
    index: int
    seed: int
    lights: int
    size: int
    framing: Framing
    head_model: Path | None


def make_light_stage(
    stage: Path,
    *,
    subjects: int,
    lights: int = 331,
    environments: int = 12,
    size: int = 256,
    seed: int = 0,
    workers: int = 1,
    framing: Framing | None = None,
    head_model: Path | None = None,
) -> Path:
    """Write captures of ``subjects`` people and ``environments`` maps below ``stage``; returns the captures' folder.

    head_model: a folder of the ICT-FaceKit; without it heads are procedural. People that are there already are kept.
    Raises InputError when they were made with other settings, or by an older version.
    """
    framing = framing or Framing()
    if lights < 4:
        raise InputError("--num_lights", f"{lights} lights are too few", "give at least 4")
    description = {
        "format": FORMAT,
        "heads": "procedural" if head_model is None else "ICT-FaceKit",
        "lights": lights,
        "size": size,
        "seed": seed,
        "framing": {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(framing).items()
        },
    }
    if head_model is not None:
        check_head_model(head_model)
    _refuse_another(stage, description)
    write_json(stage / "stage.json", description)
    write_json(
        stage / "olat" / "lights.json", {"frame": FRAME, "directions": fibonacci_sphere(lights).round(6).tolist()}
    )
    for index in range(environments):
        file = stage / "env_maps" / f"env_{index + 1:03d}.hdr"
        if not file.exists():
            rng = np.random.default_rng([seed, 1, index])
            write_linear(file, make_environment(rng, KINDS[index % len(KINDS)]))
    jobs = [
        HeadJob(stage / "olat" / f"ID{index + 1:03d}", index, seed, lights, size, framing, head_model)
        for index in range(subjects)
    ]
    waiting = [job for job in jobs if not job.folder.exists()]
    for error in run_in_processes(capture_head, waiting, workers, "capturing"):
        raise error
    return stage / "olat"


def _refuse_another(stage: Path, description: dict) -> None:
    path = stage / "stage.json"
    if not path.exists():
        return
    found = read_json(path)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(stage, "was made by an older version", "choose another --out_root, or delete it")
    changed = [name for name in description if found.get(name) != description[name]]
    if changed:
        raise InputError(
            stage, f"was made with another {', '.join(changed)}", "choose another --out_root, or delete it"
        )


def capture_head(job: HeadJob) -> None:
    """Render one person under every light; the folder gets its name when it is complete."""
    from src.data.stage.synthetic.complexion import sample_complexion
    from src.data.stage.synthetic.meshes import rotation
    from src.data.stage.synthetic.rendering import render_olats
    from src.data.stage.synthetic.skin import PersonSurface

    rng = np.random.default_rng([job.seed, 0, job.index])
    # Tones and styles in an order in which any few neighbours already span the whole scale.
    tone = job.index * 7 % _TONES
    style = HAIR_STYLES[(job.index * 3 + job.seed) % len(HAIR_STYLES)]
    pose = sample_pose(rng, job.framing)
    view, camera = sample_view(rng, job.framing)
    complexion = sample_complexion(rng, tone)
    person = _make_person(job, rng, pose, style, view.frame_height / job.size)
    mesh = person.mesh.moved(rotation(pose.body_yaw, 0, 0))
    with atomic_folder(job.folder) as folder:
        surface = PersonSurface(complexion, person.marks)
        coverage, pictures = render_olats(mesh, surface, view, fibonacci_sphere(job.lights), job.size)
        for light, picture in enumerate(pictures):
            write_linear(folder / f"{light:03d}.exr", picture)
        write_display(folder / "mask.png", coverage)
        about = {"hair": person.hair, "pose": asdict(pose), "camera": camera, **person.about}
        write_json(folder / "person.json", {"monk_tone": tone + 1, **about})


def _make_person(job: HeadJob, rng: np.random.Generator, pose: Pose, style: str, pixel_width: float) -> Person:
    if job.head_model is not None:
        from src.data.stage.synthetic.ict_heads import ict_person

        return ict_person(rng, pose, style, pixel_width, job.head_model)
    from src.data.stage.synthetic.procedural_heads import procedural_person

    return procedural_person(rng, pose, style, pixel_width)
