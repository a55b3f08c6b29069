"""Clips of synthetic people who move, under light that stays and light that turns, with all that is true of them.

clips/clips.json  clips/CLIP001/{clip.json, env.hdr, flat_lit/000.exr ..., still/, turning/, mask/000.png, flow/}
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from src.data.stage.environments import mean_luminance, read_environment
from src.data.stage.olat import LightCells
from src.data.stage.set_metadata import FRAME, UNITS
from src.data.stage.synthetic.complexion import sample_complexion
from src.data.stage.synthetic.flow import backward_flow
from src.data.stage.synthetic.ict_model import check_head_model
from src.data.stage.synthetic.light_stage import make_rig, refuse_another, tone_and_style
from src.data.stage.synthetic.meshes import Scene
from src.data.stage.synthetic.motion import FRAMES_PER_SECOND, sample_motion
from src.data.stage.synthetic.people import Framing, sample_view
from src.data.stage.synthetic.rendering import render_olats
from src.data.stage.synthetic.skin import PersonSurface
from src.data.stage.synthetic.sky import KINDS, make_environment
from src.utils.atomic import atomic_folder
from src.utils.cli import InputError
from src.utils.content_hash import content_hash
from src.utils.image_io import write_display, write_linear
from src.utils.json_files import write_json
from src.utils.process_pool import run_in_processes
from src.utils.sphere import fibonacci_sphere, rotate_environment_y

FORMAT = "synthetic clips 3"
FRAMES = 48
LIGHTINGS = ("flat_lit", "still", "turning")  # folders of linear pictures
_EVERY, _HELD_OUT = 10, 1  # of every ten clips, and of every ten environments, the second is for validation


@dataclass(frozen=True)
class ClipSettings:
    """What decides how clips come out, beside their number."""

    lights: int = 331
    size: int = 256
    frames: int = FRAMES
    seed: int = 0
    weights: str = "smooth"
    exposure: float = 1.0
    normalize_exposure: bool = False
    framing: Framing = field(default_factory=Framing)


@dataclass(frozen=True)
class ClipJob:
    """One clip to make."""

    folder: Path
    index: int
    settings: ClipSettings
    head_model: Path | None
    environments: tuple[Path, ...]


def make_clips(
    root: Path,
    count: int,
    settings: ClipSettings,
    *,
    head_model: Path | None = None,
    environments: tuple[Path, ...] = (),
    workers: int = 1,
) -> None:
    """Write ``count`` clips below ``root``; those that are there already are kept.

    environments: files to light them by; without any they are made up. Raises InputError where clips are there that
    were made from other settings or environments, or by an older version.
    """
    if settings.lights < 4:
        raise InputError("--num_lights", f"{settings.lights} lights are too few", "give at least 4")
    if head_model is not None:
        check_head_model(head_model)
    contents = {path.name: content_hash(path) for path in environments}
    description = {
        "format": FORMAT,
        "heads": "procedural" if head_model is None else "ICT-FaceKit",
        "environments": contents,
        "units": UNITS,
        "frame": FRAME,
        "frames_per_second": FRAMES_PER_SECOND,
        **asdict(settings),
        "framing": settings.framing.record(),
    }
    refuse_another(root / "clips.json", description)
    write_json(root / "clips.json", description)
    jobs = [ClipJob(root / f"CLIP{index + 1:03d}", index, settings, head_model, environments) for index in range(count)]
    waiting = [job for job in jobs if not job.folder.exists()]
    for error in run_in_processes(make_clip, waiting, workers, "filming", "clip"):
        raise error


def make_clip(job: ClipJob) -> None:
    """Render one clip; the folder gets its name when it is complete."""
    settings = job.settings
    rng = np.random.default_rng([settings.seed, 2, job.index])
    tone, style = tone_and_style(job.index, settings.seed)
    view, camera = sample_view(rng, settings.framing)
    complexion = sample_complexion(rng, tone)
    motion = sample_motion(rng, settings.framing, settings.frames)
    environment, origin = _environment(rng, job)
    turning = np.arange(settings.frames) * (rng.choice([-1, 1]) * rng.uniform(90, 360) / settings.frames)
    rig = make_rig(rng, style, view.frame_height / settings.size, job.head_model)
    surface = PersonSurface(complexion, rig.marks)
    before: Scene | None = None
    with atomic_folder(job.folder) as folder:
        write_linear(folder / "env.hdr", environment)
        light = _Light(settings, read_environment(folder / "env.hdr"))  # as stored: as a network reads it
        for frame, moment in enumerate(motion):
            file = f"{frame:03d}.exr"
            mesh = rig.posed(moment.pose, moment.strengths, moment.gaze).shifted(np.array(moment.sway))
            scene = Scene(mesh)
            coverage, olats = render_olats(scene, surface, view, light.directions, settings.size)
            for name, picture in zip(LIGHTINGS, light.pictures(olats, turning[frame]), strict=True):
                write_linear(folder / name / file, picture)
            write_display(folder / "mask" / f"{frame:03d}.png", coverage)
            if before is not None:
                write_linear(folder / "flow" / file, backward_flow(scene, before, view, settings.size))
            before = scene
        about = {
            "split": "val" if job.index % _EVERY == _HELD_OUT else "train",
            "frames": settings.frames,
            "frames_per_second": FRAMES_PER_SECOND,
            "environment": origin,
            "turning_degrees": turning.tolist(),
            "monk_tone": tone + 1,
            **rig.about,
            "camera": camera,
            "motion": [asdict(moment) for moment in motion],
        }
        write_json(folder / "clip.json", about)


class _Light:
    """Sums of OLATs that are pictures under the three lightings of a clip."""

    def __init__(self, settings: ClipSettings, environment: np.ndarray) -> None:
        self._exposure, self._environment = np.float32(settings.exposure), environment
        self._cells = LightCells(fibonacci_sphere(settings.lights), settings.weights)
        self.directions = self._cells.directions
        flat = np.repeat(self._cells.solid_angles()[:, None], 3, axis=1).astype(np.float32)
        self._fixed = [flat, self._cells.integrate(environment)]

    def pictures(self, olats: Iterable[np.ndarray], turned_degrees: float) -> np.ndarray:
        """``(3, H, W, 3)`` in the order of ``LIGHTINGS``; one OLAT at a time is held."""
        turned = self._cells.integrate(rotate_environment_y(self._environment, turned_degrees))
        weights = self._exposure * np.stack([*self._fixed, turned])
        return sum(weights[:, light, None, None] * olat for light, olat in enumerate(olats))


def _environment(rng: np.random.Generator, job: ClipJob) -> tuple[np.ndarray, dict]:
    """What lights the clip: a file at a random angle, or made up; and what to write down about it."""
    kind, degrees = KINDS[job.index % len(KINDS)], float(rng.uniform(0, 360))
    if job.environments:
        held = job.index % _EVERY == _HELD_OUT
        ours = [path for index, path in enumerate(job.environments) if (index % _EVERY == _HELD_OUT) == held]
        source = (ours or job.environments)[job.index % len(ours or job.environments)]
        environment = rotate_environment_y(read_environment(source), degrees)
        origin: dict = {"source": source.name, "rotation_degrees": degrees}
    else:
        environment, origin = make_environment(rng, kind), {"kind": kind}
    if job.settings.normalize_exposure:
        environment = environment / np.float32(mean_luminance(environment))
    return environment, origin
