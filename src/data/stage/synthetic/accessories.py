"""Hats and glasses over a head at rest, in head units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from src.data.stage.synthetic.distance_fields import Field, capsule, ellipsoid, isosurface, smooth_max, union
from src.data.stage.synthetic.meshes import CLOTH, FRAME, Mesh

_WIRE = 0.013  # radius of a glasses' frame
_HAT_CHANCE, _GLASSES_CHANCE = 0.12, 0.22


@dataclass(frozen=True)
class Accessories:
    """What one person wears on the head."""

    hat: str | None  # beanie or cap
    glasses: str | None  # round or square


def sample_accessories(rng: np.random.Generator, hair_style: str) -> Accessories:
    """Hats go with hair that leaves room for them."""
    hat, glasses = (str(rng.choice(kinds)) for kinds in (("beanie", "cap"), ("round", "square")))
    wears_hat, wears_glasses = rng.uniform() < _HAT_CHANCE, rng.uniform() < _GLASSES_CHANCE
    roomy = hair_style not in ("afro", "bun")
    return Accessories(hat if wears_hat and roomy else None, glasses if wears_glasses else None)


def make_accessories(
    worn: Accessories, skull: Field, hair_thickness: float, eye: tuple[float, float, float], voxel: float
) -> list[Mesh]:
    """Meshes of what is ``worn``; eye: where the left one's lids are, glasses stand before it."""
    parts = []
    if (kind := worn.hat) is not None:
        thickness = hair_thickness + 0.03
        low, high = (-0.9, -0.1, -1.0), (0.9, 1.1, 1.1)
        parts.append(isosurface(lambda p: hat(p, kind, skull, thickness), low, high, 1.2 * voxel, CLOTH))
    if (frame := worn.glasses) is not None:
        low, high = (-0.62, eye[1] - 0.25, -0.3), (0.62, eye[1] + 0.2, eye[2] + 0.25)
        parts.append(isosurface(lambda p: glasses(p, frame, eye), low, high, 0.008, FRAME))
    return [part for part in parts if part is not None]


def hat(local: Tensor, kind: str, skull: Field, thickness: float) -> Tensor:
    """Signed distance bound ``(N,)``: over the skull, lower at the back."""
    x, y, z = local.unbind(1)
    rim = 0.24 + 0.26 * z
    shape = smooth_max(skull(local) - thickness, rim - y, 0.03)
    if kind == "beanie":
        fold = smooth_max(skull(local) - thickness - 0.03, (y - rim - 0.09).abs() - 0.07, 0.03)
        return union(shape, fold, 0.02) + 0.006 * torch.sin(70 * torch.atan2(x, z + 0.1))
    peak = torch.stack([x, y - 0.40 + 0.35 * x * x + 0.25 * (z - 0.6), z], dim=1)
    return union(shape, ellipsoid(peak, (0, 0, 0.55), (0.34, 0.022, 0.36)), 0.02)


def glasses(local: Tensor, kind: str, eye: tuple[float, float, float]) -> Tensor:
    """Signed distance bound ``(N,)``: two rims, a bridge, and the sides back to the ears."""
    p = torch.stack([local[:, 0].abs(), local[:, 1], local[:, 2]], dim=1)
    x, y, z = p.unbind(1)
    front = eye[2] + 0.075 - 0.25 * (x - eye[0]).clamp(min=0)  # wraps a little about the face
    power = 2 if kind == "round" else 5
    across, up = (x - eye[0]) / 0.135, (y - eye[1] + 0.02) / 0.105
    ring = ((across.abs() ** power + up.abs() ** power + 1e-9) ** (1 / power) - 1) * 0.115
    rim = torch.sqrt(ring**2 + (z - front) ** 2) - _WIRE
    near, side = eye[2] + 0.075, eye[0] + 0.14
    bridge = capsule(p, (0, eye[1] + 0.02, near + 0.01), (eye[0] - 0.13, eye[1] + 0.0, near), _WIRE)
    temple = capsule(p, (side, eye[1] + 0.02, near - 0.05), (side + 0.17, eye[1] + 0.03, -0.12), _WIRE)
    return union(torch.minimum(rim, bridge), temple, 0.01)
