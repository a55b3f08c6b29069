"""Hats, glasses and scarves over a head at rest, in head units."""

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
    union,
)
from src.data.stage.synthetic.meshes import FRAME, KNIT, Mesh

_WIRE = 0.013  # radius of a glasses' frame
_HATS = ("beanie", "cap", "brimmed", "headscarf")
_HAT_CHANCE, _GLASSES_CHANCE, _SCARF_CHANCE = 0.16, 0.22, 0.12
_TOO_FULL = {"beanie": ("afro", "bun"), "cap": ("afro", "bun"), "brimmed": ("afro", "bun")}
_HIDDEN = ("bald", "cropped", "short")  # hair that a headscarf covers


@dataclass(frozen=True)
class Accessories:
    """What one person wears on the head and about the neck."""

    hat: str | None  # beanie, cap, brimmed or headscarf
    glasses: str | None  # round or square
    scarf: bool


def sample_accessories(rng: np.random.Generator, hair_style: str) -> Accessories:
    """Hats go with hair that leaves room for them."""
    hat, glasses = (str(rng.choice(kinds)) for kinds in (_HATS, ("round", "square")))
    chances = zip(rng.uniform(size=3), (_HAT_CHANCE, _GLASSES_CHANCE, _SCARF_CHANCE), strict=True)
    wears_hat, wears_glasses, wears_scarf = (bool(drawn < chance) for drawn, chance in chances)
    fits = hair_style in _HIDDEN if hat == "headscarf" else hair_style not in _TOO_FULL[hat]
    is_wrapped = wears_hat and fits and hat == "headscarf"
    return Accessories(
        hat if wears_hat and fits else None, glasses if wears_glasses else None, wears_scarf and not is_wrapped
    )


def make_accessories(
    worn: Accessories, skull: Field, hair_thickness: float, eye: tuple[float, float, float], voxel: float
) -> list[Mesh]:
    """Meshes of what is ``worn``; eye: where the left one's lids are, glasses stand before it."""
    parts = []
    thickness = hair_thickness + 0.03
    if worn.hat == "headscarf":
        low, high = (-0.9, -1.3, -1.0), (0.9, 1.0, 0.7)
        parts.append(isosurface(lambda p: headscarf(p, skull, thickness), low, high, 1.2 * voxel, KNIT))
    elif (kind := worn.hat) is not None:
        low, high = (-1.0, -0.1, -1.1), (1.0, 1.1, 1.1)
        parts.append(isosurface(lambda p: hat(p, kind, skull, thickness), low, high, 1.2 * voxel, KNIT))
    if worn.scarf:
        parts.append(isosurface(scarf, (-0.6, -2.0, -0.75), (0.6, -0.5, 0.5), 1.2 * voxel, KNIT))
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
    if kind == "brimmed":
        around = torch.stack([x, y - 0.33 - 0.24 * z - 0.10 * x * x, z], dim=1)
        return union(shape, ellipsoid(around, (0, 0, 0.02), (0.80, 0.022, 0.88)), 0.04)
    peak = torch.stack([x, y - 0.40 + 0.35 * x * x + 0.25 * (z - 0.6), z], dim=1)
    return union(shape, ellipsoid(peak, (0, 0, 0.55), (0.34, 0.022, 0.36)), 0.02)


def headscarf(local: Tensor, skull: Field, thickness: float) -> Tensor:
    """Signed distance bound ``(N,)``: over head, ears and neck, open about the face."""
    p = torch.stack([local[:, 0].abs(), local[:, 1], local[:, 2]], dim=1)
    x, y, z = p.unbind(1)
    shape = union(skull(local) - thickness, ellipsoid(p, (0, -0.15, -0.06), (0.55, 0.62, 0.54)), 0.12)
    shape = union(shape, cone(p, (0, -0.62, -0.10), (0, -1.12, -0.14), 0.37, 0.46), 0.12)
    folds = 0.010 * torch.sin(16 * (y + 0.8 * x) + 4 * torch.sin(3 * torch.atan2(x, z + 0.1)))
    return difference(shape + folds, ellipsoid(p, (0, -0.10, 0.55), (0.315, 0.475, 0.60)), 0.03)


def scarf(local: Tensor) -> Tensor:
    """Signed distance bound ``(N,)``: twice about the neck, in folds, with two ends that hang in front."""
    x, y, z = local.unbind(1)
    around = torch.atan2(x, z + 0.14)
    height = -0.90 + 0.05 * torch.cos(around)
    ring = torch.stack([torch.hypot(x, 0.95 * (z + 0.14)) - 0.325, 0.5 * (y - height)], dim=1).norm(dim=1) - 0.085
    flat = local * local.new_tensor([1.0, 1.0, 2.2])
    ends = [
        cone(flat, (side * 0.10, -1.0, 0.55), (side * 0.15, -1.0 - length, 0.62), 0.07, 0.10)
        for side, length in ((1, 0.75), (-1, 0.6))
    ]
    shape = union(ring, torch.minimum(*ends), 0.05)
    return shape + 0.010 * torch.sin(34 * y + 5 * torch.sin(2 * around) + 3 * around)


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
