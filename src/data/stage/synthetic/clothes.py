"""Necks, shoulders and what is worn over them, as distance fields in head units that do not turn with the head."""

from __future__ import annotations

import torch
from torch import Tensor

from src.data.stage.synthetic.distance_fields import capsule, cone, difference, ellipsoid, smooth_max, sphere, union


def neck(points: Tensor, width: float) -> Tensor:
    """Signed distance bound ``(N,)`` to the neck and the shoulders below it."""
    x, y, z = points.unbind(1)
    p = torch.stack([x.abs(), y, z], dim=1)
    column = cone(p, (0, -0.35, -0.13), (0, -1.05, -0.20), 0.225 * width, 0.25 * width)
    # Two muscles from behind the ears to the breastbone, and the Adam's apple.
    column = union(column, capsule(p, (0.20 * width, -0.40, -0.12), (0.05, -1.0, 0.02), 0.05), 0.07)
    column = union(column, sphere(p, (0, -0.70, 0.045 * width), 0.035), 0.06)
    return union(_shoulders(p, 1.0), column, 0.14)


def clothes(points: Tensor, shoulders: float, neck_width: float, collar: float) -> Tensor:
    """Signed distance bound ``(N,)`` to what is worn: a neckline, a body down to the hips, upper arms.

    collar: 0 an open neckline, 1 a collar that stands up to the chin.
    """
    x, y, z = points.unbind(1)
    p = torch.stack([x.abs(), y, z], dim=1)
    body = union(_shoulders(p, shoulders), _trunk(p, shoulders), 0.2) - 0.035
    opening = cone(p, (0, -0.55, -0.14), (0, -1.08, -0.02), 0.33 * neck_width, 0.24)
    body = difference(body, opening, 0.03)
    if collar > 0:
        top = -0.95 + 0.30 * collar
        ring = cone(p, (0, top, -0.14), (0, -1.1, -0.17), 0.275 * neck_width, 0.30 * neck_width)
        hollow = cone(p, (0, top + 0.2, -0.13), (0, -1.1, -0.17), 0.245 * neck_width, 0.26 * neck_width)
        ring = smooth_max(difference(ring, hollow, 0.015), y - top - 0.25 * (z + 0.2).clamp(-0.2, 0.1), 0.02)
        body = union(body, ring, 0.05)
    return body


def _shoulders(p: Tensor, width: float) -> Tensor:
    slope = cone(p, (0.10, -0.78, -0.24), (0.72 * width, -1.14, -0.22), 0.15, 0.17)
    chest = ellipsoid(p, (0, -1.62, -0.20), (0.92 * width, 0.62, 0.40))
    return union(chest, slope, 0.18)


def _trunk(p: Tensor, width: float) -> Tensor:
    flat = p * p.new_tensor([1.0, 1.0, 1.5])
    trunk = cone(flat, (0.25 * width, -1.6, -0.30), (0.22 * width, -4.5, -0.30), 0.47 * width, 0.42)
    arm = cone(p, (0.86 * width, -1.30, -0.22), (1.06 * width, -3.6, -0.15), 0.19, 0.15)
    return union(trunk, arm, 0.08)
