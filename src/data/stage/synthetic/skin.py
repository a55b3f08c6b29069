"""What synthetic people are made of: albedo, gloss and fine relief of skin, eyes, hair and clothes.

All of it is a function of the position at rest in head units (eyes: on the unit sphere that looks along +Z), so one
description serves every mesh; where a face's features are stands in its :class:`FaceMarks`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import map_coordinates

from src.data.stage.synthetic.complexion import HAEMOGLOBIN, MELANIN, Complexion
from src.data.stage.synthetic.meshes import CLOTH, EYE, FRAME, GUMS, HAIR, KNIT, LASH, SKIN, TEETH
from src.data.stage.synthetic.shading import Reflectance

_CELLS = 32
_IRIS_ANGLE = 0.46  # radians from the eye's axis
_PUPIL_ANGLE = 0.19
_COLLAR_Y, _CHEST_Z = -1.02, -0.05  # heights above are about the neck; the chest is in front of this


@dataclass(frozen=True)
class FaceMarks:
    """Where features lie on the face at rest, head units, seen from the front; left and right are mirror images."""

    lips: np.ndarray  # (K, 2) outline, counter-clockwise
    brow: np.ndarray  # (K, 2) middle line of the brow at x > 0, from the nose outwards
    eye: tuple[float, float]
    nose_tip: tuple[float, float]
    cheek: tuple[float, float]
    mouth_y: float
    chin_y: float
    front_z: float  # the features are in front of this


class Noise:
    """Smooth noise in [-1, 1] in space, repeating after 32 cells."""

    def __init__(self, seed: int) -> None:
        self._values = np.random.default_rng(seed).uniform(-1, 1, (_CELLS,) * 3).astype(np.float32)

    def __call__(self, points: np.ndarray, frequency: float) -> np.ndarray:
        """``(N,)`` at points ``(N, 3)``; ``frequency`` in cells per unit of length."""
        return map_coordinates(self._values, (points * frequency).T, order=1, mode="grid-wrap")


class PersonSurface:
    """A :class:`~src.data.stage.synthetic.camera.Surface` of one person."""

    def __init__(self, complexion: Complexion, marks: FaceMarks) -> None:
        self.complexion, self.marks = complexion, marks
        self._noise = Noise(complexion.seed)

    def relief(self, rest: np.ndarray, material: np.ndarray) -> np.ndarray:
        """Heights ``(N,)``: pores and fine folds, strands, weave."""
        height = np.zeros(len(rest), np.float32)
        skin = (material == SKIN) | (material == GUMS)
        p = rest[skin]
        height[skin] = 0.0011 * self._noise(p, 60) + 0.0010 * self._noise(p + 3.1, 23) + 0.0012 * self._noise(p, 9)
        hair = material == HAIR
        height[hair] = 0.006 * self._strands(rest[hair], 4.0)
        cloth = material == CLOTH
        height[cloth] = 0.0018 * self._noise(rest[cloth], 40) + 0.012 * self._noise(rest[cloth], 4)
        knit = material == KNIT
        height[knit] = 0.003 * self._noise(rest[knit], 45) + 0.006 * self._noise(rest[knit], 5)
        return height

    def shade(self, rest: np.ndarray, material: np.ndarray) -> Reflectance:
        albedo = np.full((len(rest), 3), 0.02, np.float32)
        roughness, specular = np.full(len(rest), 0.4, np.float32), np.full(len(rest), 0.04, np.float32)
        parts: dict[int, Callable[[np.ndarray], Any]] = {SKIN: self._skin, EYE: self._eye, HAIR: self._hair}
        parts |= {CLOTH: self._cloth, KNIT: self._knit, TEETH: self._teeth, GUMS: self._gums, LASH: self._lash}
        for kind, describe in parts.items():
            chosen = np.flatnonzero(material == kind)
            if len(chosen):
                albedo[chosen], roughness[chosen], specular[chosen] = describe(rest[chosen])
        roughness[material == FRAME] = 0.2
        return Reflectance(albedo.clip(0.004, 0.9), roughness.clip(0.08, 0.95), specular)

    def _skin(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | float]:
        c = self.complexion
        lips = self._lips(p)
        melanin, blood = self._pigments(p)
        melanin = melanin * (1 - lips) + lips * c.lip_melanin
        blood = blood * (1 - lips) + lips * (c.lip_blood + 0.15 * self._noise(p, 48))
        colour = c.skin * np.exp(-melanin[:, None] * MELANIN - (blood * c.blood)[:, None] * HAEMOGLOBIN)
        colour = self._made_up(p, colour, lips)
        colour = _mix(colour, np.minimum(c.hair, 0.12), np.maximum(self._stubble(p), self._scalp(p)))
        colour = _mix(colour, np.minimum(c.hair, 0.15), self._brows(p))
        oily = np.exp(-((p[:, 0] / 0.12) ** 2)) * (p[:, 2] > self.marks.front_z)  # forehead, nose, chin
        rough = c.roughness + 0.06 * self._noise(p, 9) - 0.06 * oily - 0.10 * lips
        return colour, rough, c.specular * (1 + 0.3 * self._noise(p, 30))

    def _made_up(self, p: np.ndarray, colour: np.ndarray, lips: np.ndarray) -> np.ndarray:
        c, m = self.complexion, self.marks
        front = p[:, 2] > m.front_z
        x, y = np.abs(p[:, 0]) - m.eye[0], p[:, 1] - m.eye[1]
        if c.lipstick is not None:
            colour = _mix(colour, c.lipstick, 0.85 * lips)
        if c.eyeshadow is not None:
            lid = front * np.exp(-((x / 0.085) ** 2) - ((y - 0.045) / 0.038) ** 2)
            colour = _mix(colour, c.eyeshadow, 0.75 * lid)
        if c.eyeliner:
            rim = (np.hypot(x / 0.086, y / (0.036 + 0.004 * (y > 0))) - 1) / 0.17
            colour = _mix(colour, np.full(3, 0.012, np.float32), c.eyeliner * front * np.exp(-(rim**2)))
        return colour

    def _pigments(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Melanin and haemoglobin above the person's mean, ``(N,)`` each."""
        c, m = self.complexion, self.marks
        x, y = np.abs(p[:, 0]), p[:, 1]
        front = p[:, 2] > m.front_z

        def spot(place: tuple[float, float], rx: float, ry: float) -> np.ndarray:
            return front * np.exp(-(((x - place[0]) / rx) ** 2) - ((y - place[1]) / ry) ** 2)

        red = spot(m.cheek, 0.13, 0.11) + 0.9 * spot(m.nose_tip, 0.07, 0.06) + 0.5 * spot((0, m.chin_y), 0.1, 0.06)
        ears = ((x - 0.42) / 0.08).clip(0, 1) * (p[:, 2] < 0.1)
        under_eye = spot((m.eye[0], m.eye[1] - 0.085), 0.09, 0.03)
        lids = spot(m.eye, 0.10, 0.06)
        blood = c.blush * (0.55 * red + 0.30 * ears) + 0.12 * under_eye + 0.10 * lids
        blood += c.unevenness * (0.10 * self._noise(p + 7.7, 6) + 0.08 * self._noise(p + 1.7, 15))
        blood += 0.05 * self._noise(p, 40)
        melanin = c.unevenness * (0.08 * self._noise(p + 6.1, 2) + 0.06 * self._noise(p, 4))
        melanin += 0.06 * self._noise(p + 4.4, 14) + 0.05 * self._noise(p + 2.2, 55)
        melanin += c.unevenness * (0.14 * under_eye + 0.08 * lids)
        if c.freckles:
            dots = ((self._noise(p + 5.3, 36) - 0.45) / 0.2).clip(0, 1)
            melanin += 0.8 * c.freckles * dots * np.exp(-(((y - m.cheek[1]) / 0.22) ** 2)) * front
        melanin += 1.6 * c.moles * ((self._noise(p + 9.1, 11) - 0.90) / 0.05).clip(0, 1)
        return melanin, blood

    def _lips(self, p: np.ndarray) -> np.ndarray:
        inside = -_distance_to_polygon(p[:, :2].astype(np.float64), self.marks.lips)
        return ((inside + 0.004) / 0.010).clip(0, 1) * (p[:, 2] > self.marks.front_z)

    def _stubble(self, p: np.ndarray) -> np.ndarray:
        c, m = self.complexion, self.marks
        if not c.stubble:
            return np.zeros(len(p), np.float32)
        x, y = np.abs(p[:, 0]), p[:, 1] - m.mouth_y
        line = 0.10 - 0.10 * np.exp(-(((x - 0.19) / 0.09) ** 2)) + 0.16 * ((x - 0.27) / 0.15).clip(0, 1)
        inside = ((line - y) / 0.05).clip(0, 1) * ((p[:, 1] - m.chin_y + 0.17) / 0.10).clip(0, 1)
        inside = inside * ((p[:, 2] + 0.02) / 0.1).clip(0, 1) * (1 - self._lips(p))
        return (c.stubble * inside * (0.8 + 0.35 * self._noise(p, 60) + 0.2 * self._noise(p, 90))).clip(0, 1)

    def _scalp(self, p: np.ndarray) -> np.ndarray:
        """Roots of shaved hair, where it would grow."""
        x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
        line = 0.44 - 0.11 * np.minimum((x / 0.33) ** 2, 2.2)
        grows = (((y - line) * 0.8 - (z - 0.28) * 0.62) / 0.08).clip(0, 1) * ((y + 0.25) / 0.15).clip(0, 1)
        return self.complexion.scalp * grows * (0.8 + 0.3 * self._noise(p, 60)).clip(0, 1)

    def _brows(self, p: np.ndarray) -> np.ndarray:
        brow = self.marks.brow
        x, y = np.abs(p[:, 0]), p[:, 1]
        along = (x - brow[0, 0]) / (brow[-1, 0] - brow[0, 0])
        middle = np.interp(x, brow[:, 0], brow[:, 1])
        half = 0.026 * (1 - 0.6 * along.clip(0, 1))
        hairs = 0.75 + 0.5 * self._noise(np.stack([p[:, 0] * 4, y + 0.4 * x, p[:, 2]], axis=1), 30)
        amount = (1 - ((y - middle) / half) ** 2).clip(0, 1) * ((along + 0.05) / 0.12).clip(0, 1)
        amount = amount * ((1.02 - along) / 0.15).clip(0, 1) * (p[:, 2] > self.marks.front_z) * hairs
        return (self.complexion.brows * 1.3 * amount).clip(0, 0.92)

    def _eye(self, p: np.ndarray) -> tuple[np.ndarray, float, float]:
        """``p`` on the unit sphere; the iris about +Z."""
        angle = np.arctan2(np.hypot(p[:, 0], p[:, 1]), p[:, 2])
        around = np.arctan2(p[:, 1], p[:, 0])
        white = np.array([0.66, 0.60, 0.57], np.float32) * (1 + 0.04 * self._noise(p, 9))[:, None]
        pink = 0.25 * ((angle - 0.5) / 0.9).clip(0, 1)
        white = white * np.exp(-pink[:, None] * HAEMOGLOBIN * 2)
        rays = 1 + 0.25 * np.sin(40 * around + 3 * self._noise(p, 6)) + 0.25 * self._noise(p, 14)
        iris = self.complexion.iris * (rays * (0.7 + 0.8 * angle / _IRIS_ANGLE))[:, None]
        iris = iris * (1 - 0.7 * ((angle - 0.85 * _IRIS_ANGLE) / (0.15 * _IRIS_ANGLE)).clip(0, 1))[:, None]
        colour = _mix(iris, white, ((angle - _IRIS_ANGLE) / 0.04).clip(0, 1))
        return _mix(np.full_like(colour, 0.004), colour, ((angle - _PUPIL_ANGLE) / 0.03).clip(0, 1)), 0.08, 0.035

    def _strands(self, p: np.ndarray, fineness: float) -> np.ndarray:
        around = np.arctan2(p[:, 0], p[:, 2] + 0.15)
        return self._noise(np.stack([12 * fineness * around, 3 * p[:, 1], 3 * p[:, 2]], axis=1), 1)

    def _hair(self, p: np.ndarray) -> tuple[np.ndarray, float, float]:
        streaks = 1 + 0.3 * self._strands(p, 3.5) + 0.3 * self._strands(p + 0.7, 8)
        return self.complexion.hair * streaks[:, None], 0.5, 0.016

    def _cloth(self, p: np.ndarray) -> tuple[np.ndarray, float, float]:
        c = self.complexion
        x, y = p[:, 0], p[:, 1]
        second = {
            "plain": np.zeros(len(p)),
            "stripes": np.sin(55 * (y if c.seed % 2 else x)) > 0.2,
            "checks": 0.5 * (np.sin(45 * x) > 0.1) + 0.5 * (np.sin(45 * y) > 0.1),
            "dots": (np.sin(40 * x) * np.sin(40 * y)) > 0.6,
            "print": ((self._noise(p + 2.7, 7) + 0.5 * self._noise(p, 15)) > 0.12),
        }[c.pattern]
        weave = 1 + 0.08 * self._noise(p, 70) + 0.05 * self._noise(p, 30)
        second_cloth = c.second_cloth if c.outfit == "one" else 0.6 * c.cloth + 0.4 * c.second_cloth
        colour = _mix(np.broadcast_to(c.cloth, p.shape), second_cloth, second)
        if c.outfit == "suit":
            colour = self._under_jacket(p, colour)
        elif c.outfit == "shirt":
            placket = (np.abs(np.abs(x) - 0.035) < 0.005) | (np.hypot(x, (y + 0.1) % 0.2 - 0.1) < 0.016)
            colour = _mix(colour, 0.45 * colour, placket & (p[:, 2] > _CHEST_Z) & (y < _COLLAR_Y))
        return colour * weave[:, None], 0.8, 0.012

    def _under_jacket(self, p: np.ndarray, jacket: np.ndarray) -> np.ndarray:
        """A shirt's collar about the neck, a V of it between the lapels, and a tie on that for some."""
        c = self.complexion
        x, y, front = np.abs(p[:, 0]), p[:, 1], p[:, 2] > _CHEST_Z
        end = -1.65 - 0.3 * (c.seed % 7) / 6
        half = 0.22 * (y - end) / (_COLLAR_Y - end)
        is_collar = (y > _COLLAR_Y) & (x < 0.34)
        lapel = front & (y > end) & (x < half + 0.10 * (1 - (y - end) / (_COLLAR_Y - end)) + 0.04)
        colour = _mix(jacket, 0.7 * jacket, lapel)
        colour = _mix(colour, np.broadcast_to(c.second_cloth, p.shape), is_collar | (front & (y > end) & (x < half)))
        if c.tie is not None:
            tie = front & (y < _COLLAR_Y + 0.06) & (y > end) & (x < 0.04 + 0.05 * (_COLLAR_Y - y).clip(0, None))
            stripes = 0.5 + 0.5 * np.sign(np.sin(60 * (p[:, 0] + y))) * (c.seed % 2)
            colour = _mix(colour, c.tie * (0.6 + 0.4 * stripes)[:, None], tie & (x < half + 0.05))
        return colour

    def _knit(self, p: np.ndarray) -> tuple[np.ndarray, float, float]:
        c = self.complexion
        bands = 0.7 * (np.sin(26 * p[:, 1]) > 0.55) if c.seed % 3 == 0 else np.zeros(len(p))
        weave = 1 + 0.12 * self._noise(p, 45) + 0.06 * self._noise(p, 90)
        return _mix(np.broadcast_to(c.knit, p.shape), c.second_cloth, bands) * weave[:, None], 0.85, 0.010

    def _teeth(self, p: np.ndarray) -> tuple[np.ndarray, float, float]:
        return np.array([0.74, 0.67, 0.55], np.float32) * (1 + 0.05 * self._noise(p, 20))[:, None], 0.25, 0.04

    def _gums(self, p: np.ndarray) -> tuple[np.ndarray, float, float]:
        return np.array([0.30, 0.085, 0.08], np.float32) * (1 + 0.1 * self._noise(p, 20))[:, None], 0.3, 0.03

    def _lash(self, p: np.ndarray) -> tuple[np.ndarray, float, float]:
        # Lashes are modelled as sheets: half of what shows between them is the lid.
        shade = 0.4 * self.complexion.skin + 0.6 * np.minimum(self.complexion.hair, 0.03)
        return np.broadcast_to(shade, p.shape), 0.6, 0.02


def _mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """``(N, 3)``: ``share`` ``(N,)`` of the second."""
    return first + (second - first) * np.asarray(share, np.float32)[:, None]


def _distance_to_polygon(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Signed distance ``(N,)`` of points ``(N, 2)`` to a closed polygon ``(K, 2)``, below zero inside."""
    nearest = np.full(len(points), np.inf)
    inside = np.zeros(len(points), bool)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        edge = end - start
        relative = points - start
        along = (relative @ edge / (edge @ edge)).clip(0, 1)
        nearest = np.minimum(nearest, ((relative - along[:, None] * edge) ** 2).sum(axis=1))
        crosses = (start[1] <= points[:, 1]) != (end[1] <= points[:, 1])
        slope = edge[0] / edge[1] if edge[1] else 0.0
        inside ^= crosses & (points[:, 0] < start[0] + slope * (points[:, 1] - start[1]))
    return np.where(inside, -1, 1) * np.sqrt(nearest)
