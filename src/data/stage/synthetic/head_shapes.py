"""Faces, ears and necks as signed distance functions, and the variation between people.

Units: a head is some 1.45 high and sits about the origin, +Y up, facing +Z. Distances are bounds: smooth unions of
ellipsoids are not exact. All functions take points ``(N, 3)`` float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from src.data.stage.synthetic.clothes import neck
from src.data.stage.synthetic.distance_fields import capsule, cone, difference, ellipsoid, smooth_max, sphere, union

EYE_CENTRE = (0.178, 0.03, 0.392)
EYE_RADIUS = 0.088


@dataclass(frozen=True)
class HeadShape:
    """What makes one head differ from another; lengths in head units."""

    cranium: tuple[float, float, float]
    face_width: float
    jaw_width: float
    chin: float
    cheek: float
    brow: float
    nose_length: float
    nose_width: float
    nose_depth: float
    lip_fullness: float
    mouth_width: float
    eye_opening: float
    ear: float
    neck: float


def sample_shape(rng: np.random.Generator) -> HeadShape:
    """A random head."""

    def vary(mean: float, spread: float) -> float:
        return float(mean * (1 + spread * rng.uniform(-1, 1)))

    return HeadShape(
        cranium=(vary(0.47, 0.05), vary(0.52, 0.06), vary(0.58, 0.05)),
        face_width=vary(1.0, 0.07),
        jaw_width=vary(1.0, 0.16),
        chin=vary(1.0, 0.3),
        cheek=vary(1.0, 0.35),
        brow=vary(1.0, 0.45),
        nose_length=vary(1.0, 0.15),
        nose_width=vary(1.0, 0.28),
        nose_depth=vary(1.0, 0.18),
        lip_fullness=vary(1.0, 0.35),
        mouth_width=vary(1.0, 0.13),
        eye_opening=vary(1.0, 0.22),
        ear=vary(1.0, 0.18),
        neck=vary(1.0, 0.13),
    )


class Head:
    """The distance functions of one :class:`HeadShape`."""

    def __init__(self, shape: HeadShape) -> None:
        self.shape = shape

    def skin(self, points: Tensor) -> Tensor:
        """Signed distance bound ``(N,)`` to face, ears and neck."""
        x, y, z = points.unbind(1)
        face = self._face(torch.stack([x.abs(), y, z], dim=1))
        return union(face, neck(points, self.shape.neck), 0.10)

    def skull(self, points: Tensor) -> Tensor:
        """Signed distance bound ``(N,)`` to the cranium."""
        return ellipsoid(points, (0, 0.25, -0.08), self.shape.cranium)

    def _face(self, p: Tensor) -> Tensor:
        s = self.shape
        d = self.skull(p)
        d = union(d, ellipsoid(p, (0, -0.10, 0.10), (0.385 * s.face_width, 0.50, 0.42)), 0.16)
        d = union(d, ellipsoid(p, (0, -0.36, 0.13), (0.315 * s.jaw_width, 0.22, 0.33)), 0.12)
        d = union(d, ellipsoid(p, (0, -0.53, 0.37), (0.13 * s.jaw_width, 0.085 * s.chin, 0.10)), 0.13)
        d = union(d, sphere(p, (0.25 * s.face_width, -0.09, 0.335), 0.115 + 0.03 * s.cheek), 0.14)
        # Eye socket before the brow, so that the brow stays in front of it.
        d = difference(d, ellipsoid(p, (0.175, 0.03, 0.555), (0.125, 0.075, 0.12)), 0.09)
        d = union(d, capsule(p, (0.05, 0.125, 0.478), (0.27, 0.125, 0.385), 0.03 + 0.022 * s.brow), 0.09)
        d = self._nose(p, d)
        d = self._mouth(p, d)
        d = self._lids(p, d)
        return self._ears(p, d)

    def _nose(self, p: Tensor, d: Tensor) -> Tensor:
        s = self.shape
        tip = (0.0, 0.06 - 0.205 * s.nose_length, 0.50 + 0.155 * s.nose_depth)
        d = union(d, cone(p, (0.0, 0.085, 0.475), tip, 0.036, 0.058 * (0.6 + 0.4 * s.nose_width)), 0.055)
        wing = (0.062 * s.nose_width, tip[1] - 0.022, tip[2] - 0.075)
        d = union(d, ellipsoid(p, wing, (0.037 * s.nose_width, 0.034, 0.052)), 0.045)
        d = union(d, sphere(p, (0.0, tip[1] - 0.035, tip[2] - 0.05), 0.032), 0.035)
        nostril = (0.036 * s.nose_width, tip[1] - 0.068, tip[2] - 0.038)
        return difference(d, ellipsoid(p, nostril, (0.019 * s.nose_width, 0.022, 0.030)), 0.016)

    def _mouth(self, p: Tensor, d: Tensor) -> Tensor:
        s = self.shape
        d = union(d, ellipsoid(p, (0, -0.305, 0.355), (0.165, 0.135, 0.145)), 0.09)
        x, y, z = p.unbind(1)
        # Lips follow the teeth's arch: bent back towards the corners, the upper one with a cupid's bow.
        across = (x / (0.155 * s.mouth_width)).clamp(max=1.3)
        bent = torch.stack([x, y - 0.005 * across**2 - 0.002, z + 0.085 * across**2], dim=1)
        bow = 0.008 * torch.exp(-((x / 0.022) ** 2))
        upper = torch.stack([bent[:, 0], bent[:, 1] + bow, bent[:, 2]], dim=1)
        full = s.lip_fullness
        width = 0.152 * s.mouth_width
        d = union(d, ellipsoid(upper, (0, -0.281, 0.484), (width, 0.028 * full, 0.044)), 0.018)
        d = union(d, ellipsoid(bent, (0, -0.332, 0.478), (0.86 * width, 0.034 * full, 0.046)), 0.018)
        d = difference(d, ellipsoid(bent, (0, -0.303, 0.535), (width, 0.0045, 0.040)), 0.010)
        groove = capsule(p, (0, -0.215, 0.528), (0, -0.25, 0.532), 0.012)
        d = difference(d, groove, 0.025)
        return difference(d, ellipsoid(p, (0, -0.405, 0.505), (0.09, 0.018, 0.025)), 0.05)

    def _lids(self, p: Tensor, d: Tensor) -> Tensor:
        """Two shells around the eyeball, cut open by a slit that is lower at the inner corner."""
        x, y = p[:, 0], p[:, 1]
        shell = sphere(p, EYE_CENTRE, EYE_RADIUS + 0.013)
        across = (x - EYE_CENTRE[0]) / EYE_RADIUS
        tilt = 0.008 * across
        height = self.shape.eye_opening * (1 - 0.85 * across**2).clamp(min=-0.6)
        upper_edge = EYE_CENTRE[1] + tilt + 0.029 * height
        lower_edge = EYE_CENTRE[1] + tilt - 0.028 * height
        slit = torch.maximum(y - upper_edge, lower_edge - y)
        lids = smooth_max(shell, -slit, 0.010)
        return union(d, lids, 0.022)

    def _ears(self, p: Tensor, d: Tensor) -> Tensor:
        s = self.shape
        side = s.cranium[0] * 0.98
        centre = p.new_tensor((side, 0.0, -0.07))
        # Turned outwards and leaning back.
        q = (p - centre) @ _rotate_y(-24).T @ _rotate_x(-10).T
        origin = (0.0, 0.0, 0.0)
        ear = ellipsoid(q, origin, (0.035, 0.145 * s.ear, 0.085 * s.ear))
        ear = union(ear, ellipsoid(q, (0.0, -0.105 * s.ear, 0.025), (0.03, 0.05, 0.04)), 0.03)
        ear = difference(ear, ellipsoid(q, (0.035, 0.02, 0.012), (0.03, 0.092 * s.ear, 0.052 * s.ear)), 0.018)
        ear = union(ear, ellipsoid(q, (0.012, -0.015, 0.004), (0.014, 0.055 * s.ear, 0.016)), 0.015)
        return union(d, ear, 0.03)


def _rotate_y(degrees: float) -> Tensor:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=torch.float32)


def _rotate_x(degrees: float) -> Tensor:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[1, 0, 0], [0, c, -s], [0, s, c]], dtype=torch.float32)
