"""How a synthetic person stands before the camera."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from src.data.stage.synthetic.camera import View

HEAD_HEIGHT = 1.45  # head units
_MOST_NECK_YAW = 35.0
_SENSOR_HEIGHT = 24.0  # millimetres; focal lengths are those of a full-frame camera


@dataclass(frozen=True)
class Framing:
    """What poses and cameras the people of a stage are given."""

    max_yaw: float = 60.0  # degrees to either side
    focal_length: tuple[float, float] = (45.0, 135.0)  # millimetres on full frame, from and to
    shot: tuple[float, float] = (1.15, 2.4)  # picture height in heads: a tight face 1, half a body 3.5

    def record(self) -> dict:
        """As it comes back from a JSON file."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Pose:
    """Degrees; a yaw above 0 looks to the picture's right."""

    yaw: float  # of the head against the camera
    neck_yaw: float  # of the head against the body
    pitch: float
    roll: float

    @property
    def body_yaw(self) -> float:
        return self.yaw - self.neck_yaw


def sample_pose(rng: np.random.Generator, framing: Framing) -> Pose:
    """A random pose: frontal ones are twice as frequent as those at ``max_yaw``."""
    yaw = framing.max_yaw * float(rng.choice([rng.uniform(-1, 1), rng.uniform(-1, 1) ** 3]))
    neck = float(np.clip(0.5 * yaw + rng.normal(0, 8), -_MOST_NECK_YAW, _MOST_NECK_YAW))
    return Pose(yaw, neck, float(np.clip(rng.normal(0, 7), -18, 18)), float(np.clip(rng.normal(0, 4), -12, 12)))


def sample_view(rng: np.random.Generator, framing: Framing) -> tuple[View, dict]:
    """(the camera, what to write down about it): wider shots have the head higher in the picture."""
    focal = float(np.exp(rng.uniform(*np.log(framing.focal_length))))
    heads = float(np.exp(rng.uniform(*np.log(framing.shot))))
    height = heads * HEAD_HEIGHT
    room = max(heads - 1.1, 0) * HEAD_HEIGHT  # beyond the head itself
    middle = 0.08 - room * rng.uniform(0.18, 0.38)
    centre = (float(rng.normal(0, 0.04) * height), float(middle + rng.normal(0, 0.02) * height))
    view = View(float(np.degrees(2 * np.arctan(_SENSOR_HEIGHT / 2 / focal))), height, centre)
    return view, {"focal_length_mm": focal, "shot_heads": heads, **asdict(view)}
