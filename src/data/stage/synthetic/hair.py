"""Hair as a distance field over a skull, in head units and in the frame of the head at rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from src.data.stage.synthetic.distance_fields import (
    Field,
    capsule,
    cone,
    difference,
    ellipsoid,
    isosurface,
    smooth_max,
    sphere,
    union,
)
from src.data.stage.synthetic.meshes import HAIR, Mesh

HAIR_STYLES = ("bald", "cropped", "short", "afro", "bob", "long", "bun", "curly", "ponytail")
_THICKNESS = {"bald": 0.0, "cropped": 0.018, "short": 0.05, "afro": 0.17, "bob": 0.075, "long": 0.07, "bun": 0.035}
_THICKNESS |= {"curly": 0.10, "ponytail": 0.03}


@dataclass(frozen=True)
class Hair:
    """One haircut; thickness in head units, hairline as a factor on its mean height."""

    style: str
    thickness: float
    hairline: float


def sample_hair(rng: np.random.Generator, style: str) -> Hair:
    thickness = _THICKNESS[style] * (1 + 0.25 * rng.uniform(-1, 1))
    return Hair(style, float(thickness), float(1 + 0.08 * rng.uniform(-1, 1)))


def make_hair(hair: Hair, skull: Field, voxel: float) -> list[Mesh]:
    """The hair's mesh, in a list; none for a bald head."""
    if hair.style == "bald":
        return []
    low, high = (-0.95, -1.25, -1.1), (0.95, 1.15, 0.75)
    shape = isosurface(lambda p: hair_distance(p, hair, skull), low, high, 1.3 * voxel, HAIR)
    return [] if shape is None else [shape]


def hair_distance(local: Tensor, hair: Hair, skull: Field) -> Tensor:
    """Signed distance bound ``(N,)`` to the hair's outside over a ``skull`` with its crown near (0, 0.77, -0.1)."""
    p = torch.stack([local[:, 0].abs(), local[:, 1], local[:, 2]], dim=1)
    x, y, z = p.unbind(1)
    thick = hair.thickness
    cap = skull(local) - thick
    # Uncovered: the face below a hairline that recedes at the temples and leaves the ears free.
    line = 0.40 * hair.hairline - 0.11 * ((x / 0.33) ** 2).clamp(max=2.2) + 0.012 * torch.sin(11 * x)
    front = (y - line) * 0.8 - (z - 0.28) * 0.62
    below = y + 0.12 + 0.55 * (z + 0.10).clamp(min=-0.35)
    if hair.style == "afro":
        front = (y - 0.9 * line) * 0.8 - (z - 0.34) * 0.55
        below = y + 0.25
    if hair.style == "curly":
        front = (y - 0.86 * line) * 0.8 - (z - 0.33) * 0.58  # falls into the forehead
        below = y + 0.28 + 0.4 * (z + 0.10).clamp(min=-0.35)
    if hair.style in ("bob", "long"):
        bottom = -0.48 if hair.style == "bob" else -1.02
        length = 0.25 - bottom
        curtain = ellipsoid(p, (0, 0.25 - 0.44 * length, -0.16), (0.53 + 0.5 * thick, 0.62 * length, 0.44))
        cap = union(cap, curtain, 0.12)
        opening = ellipsoid(p, (0, -0.22, 0.44), (0.37, 0.60 * hair.hairline, 0.55))
        opening = union(opening, capsule(p, (0, -0.45, 0.34), (0, -1.3, 0.34), 0.40), 0.12)
        shape = smooth_max(difference(cap, opening, 0.04), bottom - y, 0.03)
    else:
        shape = smooth_max(smooth_max(cap, -front, 0.03), -below, 0.03)
    relief = _locks(local, hair)
    shape = shape + relief
    if hair.style == "bun":
        shape = union(shape, sphere(p, (0, 0.78, -0.34), 0.17) + relief, 0.05)
    if hair.style == "ponytail":
        tail = union(
            cone(p, (0, 0.42, -0.72), (0, 0.10, -0.86), 0.06, 0.12),
            cone(p, (0, 0.10, -0.86), (0, -0.75, -0.72), 0.12, 0.04),
            0.08,
        )
        shape = union(shape, tail + relief, 0.05)
    return shape


def _locks(local: Tensor, hair: Hair) -> Tensor:
    """A fine relief: locks that fall from the crown, or curls."""
    x, y, z = local.unbind(1)
    if hair.style == "afro":
        return 0.014 * torch.sin(31 * x) * torch.sin(29 * y) * torch.sin(33 * z)
    if hair.style == "curly":
        return (
            0.022
            * torch.sin(17 * x + 2 * torch.sin(9 * y))
            * torch.sin(15 * y)
            * torch.sin(18 * z + 2 * torch.sin(8 * x))
        )
    around = torch.atan2(x, z + 0.15)
    fine = torch.sin(46 * around + 4 * torch.sin(5 * y)) + 0.6 * torch.sin(83 * around + 3 * torch.sin(7 * y + 1))
    crown = (1 - (y - 0.2) / 0.6).clamp(0.1, 1)  # locks meet at the crown: no relief there
    return 0.10 * hair.thickness * fine * crown
