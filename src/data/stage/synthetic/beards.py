"""Full beards as a distance field over a face at rest, in head units; they move with the face."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from src.data.stage.synthetic.distance_fields import Field, isosurface, smooth_max
from src.data.stage.synthetic.meshes import HAIR, Mesh
from src.data.stage.synthetic.skin import FaceMarks

_CHANCE = 0.12
_LIPS = (0.185, 0.062)  # half axes of what stays free about the mouth


def sample_beard(rng: np.random.Generator) -> float:
    """Thickness in head units; 0 for most."""
    thickness = float(rng.uniform(0.025, 0.085))
    return thickness if rng.uniform() < _CHANCE else 0.0


def make_beard(thickness: float, face: Field, marks: FaceMarks, voxel: float) -> list[Mesh]:
    """The beard's mesh, in a list; none where there is none."""
    if not thickness:
        return []
    low, high = (-0.52, marks.chin_y - 0.35, -0.12), (0.52, marks.mouth_y + 0.35, 0.8)
    shape = isosurface(lambda p: beard_distance(p, thickness, face, marks), low, high, voxel, HAIR)
    return [] if shape is None else [shape]


def beard_distance(points: Tensor, thickness: float, face: Field, marks: FaceMarks) -> Tensor:
    """Signed distance bound ``(N,)``: over cheeks, jaw and upper lip, longest at the chin."""
    x, y, z = points[:, 0].abs(), points[:, 1], points[:, 2]
    up = y - marks.mouth_y
    growth = 0.35 + 0.65 * torch.exp(-(((y - marks.chin_y) / 0.16) ** 2)) * (z - 0.05).clamp(0, 0.3) / 0.3
    strands = 0.12 * torch.sin(70 * points[:, 0] + 5 * torch.sin(17 * y)) + 0.10 * torch.sin(48 * y + 30 * z)
    shape = face(points) - thickness * (growth + strands * growth)
    # The upper edge runs from under the nose around the mouth's corners to before the ears.
    edge = 0.095 - 0.10 * torch.exp(-(((x - 0.19) / 0.09) ** 2)) + 0.16 * ((x - 0.27) / 0.15).clamp(0, 1)
    shape = smooth_max(shape, up - edge, 0.02)
    lips = (torch.hypot(x / _LIPS[0], up / _LIPS[1]) - 1) * _LIPS[1]
    shape = smooth_max(shape, -lips, 0.02)
    shape = smooth_max(shape, -0.02 - z, 0.03)
    return smooth_max(shape, marks.chin_y - 0.09 - thickness - y, 0.05)
