"""Heads as signed distance functions: anatomy, hair, clothes and the variation between people.

Units: a head is some 1.45 high and sits about the origin, +Y up, facing +Z. Distances are bounds (smooth unions of
ellipsoids are not exact), so they are marched with a factor below one. All functions take points ``(N, 3)`` float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SKIN, EYE, HAIR, CLOTH = range(4)
HAIR_STYLES = ("bald", "cropped", "short", "afro", "bob", "long", "bun")
EYE_CENTRE = (0.178, 0.03, 0.392)
_EYE_RADIUS = 0.088
_PIVOT = (0.0, -0.55, -0.12)


@dataclass(frozen=True)
class HeadShape:
    """What makes one head differ from another; lengths in head units, angles in degrees."""

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
    shoulders: float
    hair: str
    hair_thickness: float
    hairline: float
    yaw: float
    pitch: float
    roll: float


def sample_shape(rng: np.random.Generator, hair: str | None = None) -> HeadShape:
    """A random head; ``hair`` fixes the style."""

    def vary(mean: float, spread: float) -> float:
        return float(mean * (1 + spread * rng.uniform(-1, 1)))

    style = hair or HAIR_STYLES[int(rng.integers(len(HAIR_STYLES)))]
    thickness = {"bald": 0.0, "cropped": 0.012, "short": 0.045, "afro": 0.17, "bob": 0.075, "long": 0.07, "bun": 0.03}
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
        shoulders=vary(1.0, 0.12),
        hair=style,
        hair_thickness=vary(thickness[style], 0.25),
        hairline=vary(1.0, 0.06),
        yaw=float(rng.uniform(-22, 22)),
        pitch=float(rng.uniform(-8, 8)),
        roll=float(rng.uniform(-5, 5)),
    )


class Head:
    """The distance functions of one :class:`HeadShape`."""

    def __init__(self, shape: HeadShape) -> None:
        self.shape = shape
        self._rotation = torch.tensor(_pose(shape), dtype=torch.float32)

    def to_local(self, points: Tensor) -> Tensor:
        """World points in the head's own frame, before it was turned on its neck."""
        pivot = points.new_tensor(_PIVOT)
        return (points - pivot) @ self._rotation + pivot

    def distance(self, points: Tensor) -> Tensor:
        """Signed distance bound ``(N,)`` to whatever is nearest."""
        return self.distances(points).amin(dim=1)

    def distances(self, points: Tensor) -> Tensor:
        """Signed distance bounds ``(N, 4)`` to skin, eyes, hair and clothes."""
        local = self.to_local(points)
        x, y, z = local.unbind(1)
        mirrored = torch.stack([x.abs(), y, z], dim=1)
        neck, cloth = self._body(points)
        skin, eyes = self._face(mirrored)
        skin = _union(skin, neck, 0.10)
        hair = self._hair(local, mirrored)
        return torch.stack([skin, eyes, hair, cloth], dim=1)

    def _face(self, p: Tensor) -> tuple[Tensor, Tensor]:
        s = self.shape
        d = _ellipsoid(p, (0, 0.25, -0.08), s.cranium)
        d = _union(d, _ellipsoid(p, (0, -0.10, 0.10), (0.385 * s.face_width, 0.50, 0.42)), 0.16)
        d = _union(d, _ellipsoid(p, (0, -0.36, 0.13), (0.315 * s.jaw_width, 0.22, 0.33)), 0.12)
        d = _union(d, _ellipsoid(p, (0, -0.53, 0.37), (0.13 * s.jaw_width, 0.085 * s.chin, 0.10)), 0.13)
        d = _union(d, _sphere(p, (0.25 * s.face_width, -0.09, 0.335), 0.115 + 0.03 * s.cheek), 0.14)
        # Eye socket before the brow, so that the brow stays in front of it.
        d = _difference(d, _ellipsoid(p, (0.175, 0.03, 0.555), (0.125, 0.075, 0.12)), 0.09)
        d = _union(d, _capsule(p, (0.05, 0.125, 0.478), (0.27, 0.125, 0.385), 0.03 + 0.022 * s.brow), 0.09)
        d = self._nose(p, d)
        d = self._mouth(p, d)
        d = self._lids(p, d)
        d = self._ears(p, d)
        return d, _sphere(p, EYE_CENTRE, _EYE_RADIUS)

    def _nose(self, p: Tensor, d: Tensor) -> Tensor:
        s = self.shape
        tip = (0.0, 0.06 - 0.205 * s.nose_length, 0.50 + 0.155 * s.nose_depth)
        d = _union(d, _cone(p, (0.0, 0.085, 0.475), tip, 0.036, 0.058 * (0.6 + 0.4 * s.nose_width)), 0.055)
        wing = (0.062 * s.nose_width, tip[1] - 0.022, tip[2] - 0.075)
        d = _union(d, _ellipsoid(p, wing, (0.037 * s.nose_width, 0.034, 0.052)), 0.045)
        d = _union(d, _sphere(p, (0.0, tip[1] - 0.035, tip[2] - 0.05), 0.032), 0.035)
        nostril = (0.036 * s.nose_width, tip[1] - 0.068, tip[2] - 0.038)
        return _difference(d, _ellipsoid(p, nostril, (0.019 * s.nose_width, 0.022, 0.030)), 0.016)

    def _mouth(self, p: Tensor, d: Tensor) -> Tensor:
        s = self.shape
        d = _union(d, _ellipsoid(p, (0, -0.305, 0.355), (0.165, 0.135, 0.145)), 0.09)
        x, y, z = p.unbind(1)
        # Lips follow the teeth's arch: bent back towards the corners, the upper one with a cupid's bow.
        across = (x / (0.155 * s.mouth_width)).clamp(max=1.3)
        bent = torch.stack([x, y - 0.005 * across**2 - 0.002, z + 0.085 * across**2], dim=1)
        bow = 0.008 * torch.exp(-((x / 0.022) ** 2))
        upper = torch.stack([bent[:, 0], bent[:, 1] + bow, bent[:, 2]], dim=1)
        full = s.lip_fullness
        width = 0.152 * s.mouth_width
        d = _union(d, _ellipsoid(upper, (0, -0.281, 0.484), (width, 0.028 * full, 0.044)), 0.018)
        d = _union(d, _ellipsoid(bent, (0, -0.332, 0.478), (0.86 * width, 0.034 * full, 0.046)), 0.018)
        d = _difference(d, _ellipsoid(bent, (0, -0.303, 0.535), (width, 0.0045, 0.040)), 0.010)
        groove = _capsule(p, (0, -0.215, 0.528), (0, -0.25, 0.532), 0.012)
        d = _difference(d, groove, 0.025)
        return _difference(d, _ellipsoid(p, (0, -0.405, 0.505), (0.09, 0.018, 0.025)), 0.05)

    def _lids(self, p: Tensor, d: Tensor) -> Tensor:
        """Two shells around the eyeball, cut open by a slit that is lower at the inner corner."""
        x, y = p[:, 0], p[:, 1]
        shell = _sphere(p, EYE_CENTRE, _EYE_RADIUS + 0.013)
        across = (x - EYE_CENTRE[0]) / _EYE_RADIUS
        tilt = 0.008 * across
        height = self.shape.eye_opening * (1 - 0.85 * across**2).clamp(min=-0.6)
        upper_edge = EYE_CENTRE[1] + tilt + 0.029 * height
        lower_edge = EYE_CENTRE[1] + tilt - 0.028 * height
        slit = torch.maximum(y - upper_edge, lower_edge - y)
        lids = _smooth_max(shell, -slit, 0.010)
        return _union(d, lids, 0.022)

    def _ears(self, p: Tensor, d: Tensor) -> Tensor:
        s = self.shape
        side = s.cranium[0] * 0.98
        centre = p.new_tensor((side, 0.0, -0.07))
        # Turned outwards and leaning back.
        q = (p - centre) @ _rotate_y(-24).T @ _rotate_x(-10).T
        origin = (0.0, 0.0, 0.0)
        ear = _ellipsoid(q, origin, (0.035, 0.145 * s.ear, 0.085 * s.ear))
        ear = _union(ear, _ellipsoid(q, (0.0, -0.105 * s.ear, 0.025), (0.03, 0.05, 0.04)), 0.03)
        ear = _difference(ear, _ellipsoid(q, (0.035, 0.02, 0.012), (0.03, 0.092 * s.ear, 0.052 * s.ear)), 0.018)
        ear = _union(ear, _ellipsoid(q, (0.012, -0.015, 0.004), (0.014, 0.055 * s.ear, 0.016)), 0.015)
        return _union(d, ear, 0.03)

    def _body(self, points: Tensor) -> tuple[Tensor, Tensor]:
        s = self.shape
        x, y, z = points.unbind(1)
        p = torch.stack([x.abs(), y, z], dim=1)
        neck = _cone(p, (0, -0.35, -0.13), (0, -1.05, -0.20), 0.225 * s.neck, 0.25 * s.neck)
        # Two muscles from behind the ears to the breastbone, and the Adam's apple.
        neck = _union(neck, _capsule(p, (0.20 * s.neck, -0.40, -0.12), (0.05, -1.0, 0.02), 0.05), 0.07)
        neck = _union(neck, _sphere(p, (0, -0.70, 0.045 * s.neck), 0.035), 0.06)
        slope = _cone(p, (0.10, -0.78, -0.24), (0.72 * s.shoulders, -1.14, -0.22), 0.15, 0.17)
        torso = _ellipsoid(p, (0, -1.62, -0.20), (0.92 * s.shoulders, 0.62, 0.40))
        body = _union(_union(torso, slope, 0.18), neck, 0.14)
        opening = _cone(p, (0, -0.55, -0.14), (0, -1.08, -0.02), 0.33 * s.neck, 0.24)
        cloth = _difference(_union(torso, slope, 0.18) - 0.035, opening, 0.03)
        return body, cloth

    def _hair(self, local: Tensor, p: Tensor) -> Tensor:
        s = self.shape
        if s.hair == "bald":
            return torch.full_like(local[:, 0], 10.0)
        thick = s.hair_thickness
        x, y, z = p.unbind(1)
        radii = tuple(radius + thick for radius in s.cranium)
        cap = _ellipsoid(p, (0, 0.25, -0.08), radii)
        # Uncovered: the face below a hairline that recedes at the temples and leaves the ears free.
        line = 0.40 * s.hairline - 0.11 * ((x / 0.33) ** 2).clamp(max=2.2) + 0.012 * torch.sin(11 * x)
        front = (y - line) * 0.8 - (z - 0.28) * 0.62
        below = y + 0.12 + 0.55 * (z + 0.10).clamp(min=-0.35)
        if s.hair == "afro":
            cap = _ellipsoid(p, (0, 0.30, -0.14), (radii[0] * 1.05, radii[1] * 1.02, radii[2] * 0.98))
            front = (y - 0.9 * line) * 0.8 - (z - 0.34) * 0.55
            below = y + 0.25
        if s.hair in ("bob", "long"):
            bottom = -0.48 if s.hair == "bob" else -1.02
            length = 0.25 - bottom
            curtain = _ellipsoid(p, (0, 0.25 - 0.44 * length, -0.16), (0.53 + 0.5 * thick, 0.62 * length, 0.44))
            cap = _union(cap, curtain, 0.12)
            opening = _ellipsoid(p, (0, -0.22, 0.44), (0.37, 0.60 * s.hairline, 0.55))
            opening = _union(opening, _capsule(p, (0, -0.45, 0.34), (0, -1.3, 0.34), 0.40), 0.12)
            cap = _difference(cap, opening, 0.04)
            below = y - bottom
        strands = self._strands(local)
        hair = _smooth_max(cap, -front, 0.03) if s.hair not in ("bob", "long") else cap
        hair = _smooth_max(hair, -below, 0.03) + strands
        if s.hair == "bun":
            hair = _union(hair, _sphere(p, (0, 0.78, -0.34), 0.17) + strands, 0.05)
        return hair

    def _strands(self, local: Tensor) -> Tensor:
        """A fine relief: locks that fall from the crown, or curls."""
        x, y, z = local.unbind(1)
        if self.shape.hair == "afro":
            return 0.012 * torch.sin(31 * x) * torch.sin(29 * y) * torch.sin(33 * z)
        around = torch.atan2(x, z + 0.15)
        fine = torch.sin(46 * around + 4 * torch.sin(5 * y)) + 0.6 * torch.sin(83 * around + 3 * torch.sin(7 * y + 1))
        crown = (1 - (y - 0.2) / 0.6).clamp(0.1, 1)  # locks meet at the crown: no relief there
        return 0.10 * self.shape.hair_thickness * fine * crown


def _pose(shape: HeadShape) -> np.ndarray:
    yaw, pitch, roll = (math.radians(angle) for angle in (shape.yaw, shape.pitch, shape.roll))
    about_y = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    about_z = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


def _rotate_y(degrees: float) -> Tensor:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=torch.float32)


def _rotate_x(degrees: float) -> Tensor:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[1, 0, 0], [0, c, -s], [0, s, c]], dtype=torch.float32)


def _sphere(p: Tensor, centre: tuple, radius: float) -> Tensor:
    return (p - p.new_tensor(centre)).norm(dim=1) - radius


def _ellipsoid(p: Tensor, centre: tuple, radii: tuple) -> Tensor:
    """Distance bound of an ellipsoid by its gradient (first order: exact at the surface)."""
    q = p - p.new_tensor(centre)
    inverse = 1 / p.new_tensor(radii)
    k0 = (q * inverse).norm(dim=1)
    k1 = (q * inverse**2).norm(dim=1)
    return k0 * (k0 - 1) / k1.clamp(min=1e-6)


def _capsule(p: Tensor, start: tuple, end: tuple, radius: float) -> Tensor:
    return _cone(p, start, end, radius, radius)


def _cone(p: Tensor, start: tuple, end: tuple, radius_start: float, radius_end: float) -> Tensor:
    """A capsule whose radius changes from one end to the other."""
    a, axis = p.new_tensor(start), p.new_tensor(end) - p.new_tensor(start)
    along = (((p - a) @ axis) / axis.dot(axis)).clamp(0, 1)
    return (p - a - along[:, None] * axis).norm(dim=1) - (radius_start + along * (radius_end - radius_start))


def _union(a: Tensor, b: Tensor, k: float) -> Tensor:
    """Smooth minimum (quadratic polynomial, blend radius ``k``)."""
    h = (k - (a - b).abs()).clamp(min=0) / k
    return torch.minimum(a, b) - h * h * (0.25 * k)


def _smooth_max(a: Tensor, b: Tensor, k: float) -> Tensor:
    return -_union(-a, -b, k)


def _difference(a: Tensor, b: Tensor, k: float) -> Tensor:
    return _smooth_max(a, -b, k)
