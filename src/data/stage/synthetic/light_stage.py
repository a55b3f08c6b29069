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
from src.data.stage.synthetic.people import Framing, sample_pose, sample_view
from src.data.stage.synthetic.rig import Rig
from src.data.stage.synthetic.sky import KINDS, make_environment
from src.utils.atomic import atomic_folder
from src.utils.cli import InputError
from src.utils.image_io import write_display, write_linear
from src.utils.json_files import read_json, write_json
from src.utils.process_pool import run_in_processes
from src.utils.sphere import fibonacci_sphere

FORMAT = "synthetic light stage 6"
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
        "framing": framing.record(),
    }
    if head_model is not None:
        check_head_model(head_model)
    refuse_another(stage / "stage.json", description)
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


def refuse_another(path: Path, description: dict) -> None:
    """Raises InputError where ``path`` describes what was made with other settings, or by an older version."""
    if not path.exists():
        return
    remedy = "choose another --out_root, or delete it"
    found = read_json(path)
    if not isinstance(found, dict) or found.get("format") != description["format"]:
        raise InputError(path.parent, "was made by an older version", remedy)
    changed = [name for name in description if found.get(name) != description[name]]
    if changed:
        raise InputError(path.parent, f"was made with another {', '.join(changed)}", remedy)


def capture_head(job: HeadJob) -> None:
    """Render one person under every light; the folder gets its name when it is complete."""
    from src.data.stage.synthetic.complexion import sample_complexion
    from src.data.stage.synthetic.expressions import sample_expression
    from src.data.stage.synthetic.meshes import Scene
    from src.data.stage.synthetic.rendering import render_olats
    from src.data.stage.synthetic.skin import PersonSurface

    rng = np.random.default_rng([job.seed, 0, job.index])
    tone, style = tone_and_style(job.index, job.seed)
    pose = sample_pose(rng, job.framing)
    view, camera = sample_view(rng, job.framing)
    complexion = sample_complexion(rng, tone)
    rig = make_rig(rng, style, view.frame_height / job.size, job.head_model)
    mood, strengths, gaze = sample_expression(rng)
    mesh = rig.posed(pose, strengths, gaze)
    with atomic_folder(job.folder) as folder:
        surface = PersonSurface(complexion, rig.marks)
        coverage, pictures = render_olats(Scene(mesh), surface, view, fibonacci_sphere(job.lights), job.size)
        for light, picture in enumerate(pictures):
            write_linear(folder / f"{light:03d}.exr", picture)
        write_display(folder / "mask.png", coverage)
        face = {"mood": mood, "expression": strengths, "gaze": gaze}
        about = {"monk_tone": tone + 1, **rig.about, **face, "pose": asdict(pose), "camera": camera}
        write_json(folder / "person.json", about)


def tone_and_style(index: int, seed: int) -> tuple[int, str]:
    """(skin tone 0-9, haircut) of a person: in an order in which any few neighbours already span the whole scale."""
    return index * 7 % _TONES, HAIR_STYLES[(index * 2 + seed) % len(HAIR_STYLES)]


def make_rig(rng: np.random.Generator, style: str, pixel_width: float, head_model: Path | None) -> Rig:
    """A random person with hair of a ``style`` in triangles for pixels of a width in head units."""
    if head_model is not None:
        from src.data.stage.synthetic.ict_heads import ict_rig

        return ict_rig(rng, style, pixel_width, head_model)
    from src.data.stage.synthetic.procedural_heads import procedural_rig

    return procedural_rig(rng, style, pixel_width)
