"""Necks, shoulders and what is worn over them, as distance fields in head units that do not turn with the head."""

from __future__ import annotations

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
from src.data.stage.synthetic.meshes import CLOTH, Mesh


def neck(points: Tensor, width: float) -> Tensor:
    """Signed distance bound ``(N,)`` to the neck and the shoulders below it."""
    p = _mirrored(points)
    column = cone(p, (0, -0.35, -0.13), (0, -1.05, -0.20), 0.225 * width, 0.25 * width)
    # Two muscles from behind the ears to the breastbone, and the Adam's apple.
    column = union(column, capsule(p, (0.20 * width, -0.40, -0.12), (0.05, -1.0, 0.02), 0.05), 0.07)
    column = union(column, sphere(p, (0, -0.70, 0.045 * width), 0.035), 0.06)
    return union(_shoulders(p, 1.0), column, 0.14)


def clothes(points: Tensor, shoulders: float, neck_width: float, collar: float, covered: Field | None = None) -> Tensor:
    """Signed distance bound ``(N,)`` to what is worn: an open neckline where ``collar`` is 0, a trunk, upper arms."""
    p = _mirrored(points)
    body = union(_shoulders(p, shoulders), _trunk(p, shoulders), 0.2)
    body = (body if covered is None else union(body, covered(points), 0.25)) - 0.035
    if collar > 0:
        return body
    return difference(body, cone(p, (0, -0.55, -0.14), (0, -1.08, -0.02), 0.33 * neck_width, 0.24), 0.03)


def stand_up_collar(points: Tensor, neck_width: float, collar: float) -> Tensor:
    """Signed distance bound ``(N,)`` to a ring about the neck; ``collar`` 1 reaches up to the chin."""
    p = _mirrored(points)
    top = -0.98 + 0.28 * collar
    ring = cone(p, (0, top, -0.14), (0, -1.2, -0.17), 0.30 * neck_width, 0.36 * neck_width)
    hollow = cone(p, (0, top + 0.2, -0.13), (0, -1.2, -0.17), 0.262 * neck_width, 0.262 * neck_width)
    slanted = p[:, 1] - top + 0.25 * (p[:, 2] + 0.2).clamp(-0.2, 0.4)  # lower in front
    return smooth_max(difference(ring, hollow, 0.015), slanted, 0.02)


def _mirrored(points: Tensor) -> Tensor:
    x, y, z = points.unbind(1)
    return torch.stack([x.abs(), y, z], dim=1)


def dress(shoulders: float, neck_width: float, collar: float, voxel: float, covered: Field | None = None) -> list[Mesh]:
    """Meshes of clothes over a body that faces the camera; ``covered``: a neck and shoulders below them."""

    def worn(points: Tensor) -> Tensor:
        return clothes(points, shoulders, neck_width, collar, covered)

    parts = [isosurface(worn, (-1.5, -4.2, -1.0), (1.5, -0.4, 0.8), 2 * voxel, CLOTH)]
    if collar > 0 and covered is None:
        low, high = (-0.5, -1.25, -0.65), (0.5, -0.5, 0.4)
        parts.append(isosurface(lambda p: stand_up_collar(p, neck_width, collar), low, high, 0.7 * voxel, CLOTH))
    return [part for part in parts if part is not None]


def _shoulders(p: Tensor, width: float) -> Tensor:
    slope = cone(p, (0.10, -0.78, -0.24), (0.72 * width, -1.14, -0.22), 0.15, 0.17)
    chest = ellipsoid(p, (0, -1.62, -0.20), (0.92 * width, 0.62, 0.40))
    return union(chest, slope, 0.18)


def _trunk(p: Tensor, width: float) -> Tensor:
    flat = p * p.new_tensor([1.0, 1.0, 1.5])
    trunk = cone(flat, (0.25 * width, -1.6, -0.30), (0.22 * width, -4.5, -0.30), 0.47 * width, 0.42)
    arm = cone(p, (0.86 * width, -1.30, -0.22), (1.06 * width, -3.6, -0.15), 0.19, 0.15)
    return union(trunk, arm, 0.08)
