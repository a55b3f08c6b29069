"""What synthetic heads are made of: albedo and gloss of skin, eyes, hair and clothes at a surface point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from src.data.stage.synthetic.heads import CLOTH, EYE, EYE_CENTRE, HAIR, Head
from src.utils.color import srgb_to_linear

# Monk skin tone scale (Monk 2019, skintone.google), sRGB, lightest first.
MONK_TONES = ("f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420")
_HAIR_COLOURS = ("0f0c0a", "1b1410", "2e1f16", "4a3020", "6b4a2c", "9c7748", "7a3c1e", "8d8984", "c9c4bc")
_IRIS_COLOURS = ("3b2414", "5a3a1e", "6a6a3a", "4d6b5a", "4f6f8f", "7a8a94")
_CLOTH_COLOURS = ("22262e", "6e2b2b", "2e4a38", "c8c4ba", "35435e", "8a7a5a", "111111", "5b4a68")


@dataclass(frozen=True)
class Complexion:
    """Colours of one person, linear RGB, and how strongly the details show."""

    tone: int  # 0-9 on the Monk scale, lightest first
    skin: np.ndarray
    lips: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    cloth: np.ndarray
    blush: float
    freckles: float
    beard: float
    roughness: float
    seed: int


def hex_to_linear(code: str) -> np.ndarray:
    """``'rrggbb'`` sRGB -> linear RGB float32."""
    return srgb_to_linear(np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)], np.float32) / 255)


def sample_complexion(rng: np.random.Generator, tone: int) -> Complexion:
    """Random colours around tone ``tone`` (0-9) of the Monk scale."""
    # The scale's swatches are skin as printed. As albedo they are compressed: skin reflects less than paper and,
    # with what scatters back from below the melanin, more than the darkest swatch.
    skin = hex_to_linear(MONK_TONES[tone]) * np.float32(0.68) + np.array([0.046, 0.027, 0.018], np.float32)
    # Blood under it makes it redder than paint of that tone.
    skin = skin * rng.uniform(0.94, 1.06, 3).astype(np.float32) * np.array([1.04, 0.94, 0.88], np.float32)
    depth = tone / 9
    lips = skin * np.array([0.86 - 0.10 * depth, 0.50 + 0.12 * depth, 0.52 + 0.18 * depth], np.float32)
    darkest = 4 if tone >= 6 else len(_HAIR_COLOURS)
    hair = hex_to_linear(_HAIR_COLOURS[int(rng.integers(darkest))])
    return Complexion(
        tone=tone,
        skin=skin,
        lips=lips,
        hair=hair * np.float32(rng.uniform(0.8, 1.2)),
        iris=hex_to_linear(_IRIS_COLOURS[int(rng.integers(2 if tone >= 6 else len(_IRIS_COLOURS)))]),
        cloth=hex_to_linear(_CLOTH_COLOURS[int(rng.integers(len(_CLOTH_COLOURS)))]),
        blush=float(rng.uniform(0.3, 1.0)) * (1 - 0.75 * depth),
        freckles=float(rng.uniform(0, 1)) if tone < 4 and rng.uniform() < 0.4 else 0.0,
        beard=float(rng.choice([0.0, 0.0, 0.35, 0.8])),
        roughness=float(rng.uniform(0.42, 0.55)),
        seed=int(rng.integers(2**31)),
    )


class Surface:
    """Albedo, gloss and fine relief of one person at surface points."""

    def __init__(self, head: Head, complexion: Complexion) -> None:
        self.head, self.complexion = head, complexion
        generator = torch.Generator().manual_seed(complexion.seed)
        self._noise = torch.rand((1, 1, 32, 32, 32), generator=generator) * 2 - 1

    def noise(self, points: Tensor, frequency: float) -> Tensor:
        """Smooth noise in [-1, 1] at ``(N, 3)`` points, ``frequency`` cells per unit, repeating after 31 cells."""
        cell = (points * frequency) % 31
        grid = (cell / 31 * 2 - 1).reshape(1, -1, 1, 1, 3)
        return grid_sample(self._noise, grid, align_corners=True).reshape(-1)

    def bump(self, points: Tensor, material: Tensor) -> Tensor:
        """Height of the fine relief at world points: pores, strands, cloth."""
        local = self.head.to_local(points)
        pores = 0.0005 * self.noise(local, 60) + 0.0006 * self.noise(local + 3.1, 23)
        x, y, z = local.unbind(1)
        strands = 0.004 * self.noise(torch.stack([55 * torch.atan2(x, z + 0.15), 3 * y, 3 * z], dim=1) / 12, 12)
        weave = 0.002 * self.noise(points, 40)
        height = torch.where(material == HAIR, strands, pores)
        height = torch.where(material == CLOTH, weave, height)
        return torch.where(material == EYE, torch.zeros_like(height), height)

    def shade(self, points: Tensor, material: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(albedo ``(N, 3)``, roughness ``(N,)``, specular reflectance at normal incidence ``(N,)``)."""
        local = self.head.to_local(points)
        albedo = self._skin(local)
        rough = self.complexion.roughness + 0.06 * self.noise(local, 9)
        specular = torch.full_like(rough, 0.028)
        # The forehead, nose and cheekbones are oilier than the rest.
        rough = rough - 0.06 * torch.exp(-((local[:, 0] / 0.12) ** 2)) * (local[:, 2] > 0.3)
        eye = material == EYE
        albedo = torch.where(eye[:, None], self._eyes(local), albedo)
        rough, specular = torch.where(eye, 0.09, rough), torch.where(eye, 0.04, specular)
        hair = material == HAIR
        streaks = 1 + 0.35 * self.noise(
            torch.stack([40 * torch.atan2(local[:, 0], local[:, 2] + 0.15), 2 * local[:, 1], 2 * local[:, 2]], dim=1)
            / 10,
            10,
        )
        albedo = torch.where(hair[:, None], points.new_tensor(self.complexion.hair) * streaks[:, None], albedo)
        rough, specular = torch.where(hair, 0.42, rough), torch.where(hair, 0.05, specular)
        cloth = material == CLOTH
        albedo = torch.where(cloth[:, None], points.new_tensor(self.complexion.cloth), albedo)
        rough, specular = torch.where(cloth, 0.8, rough), torch.where(cloth, 0.02, specular)
        return albedo.clamp(0.004, 0.9), rough.clamp(0.08, 0.9), specular

    def _skin(self, local: Tensor) -> Tensor:
        c, s = self.complexion, self.head.shape
        x, y, z = local[:, 0].abs(), local[:, 1], local[:, 2]
        mottled = 1 + 0.05 * self.noise(local, 5) + 0.05 * self.noise(local + 1.7, 14) + 0.03 * self.noise(local, 40)
        colour = local.new_tensor(c.skin) * mottled[:, None]
        front = (z > 0.2).float()

        def spot(cx: float, cy: float, rx: float, ry: float) -> Tensor:
            return front * torch.exp(-(((x - cx) / rx) ** 2) - ((y - cy) / ry) ** 2)

        tip = 0.06 - 0.205 * s.nose_length
        red = spot(0.25, -0.11, 0.12, 0.10) + 0.9 * spot(0, tip, 0.07, 0.06) + 0.5 * spot(0, -0.52, 0.10, 0.06)
        red = (red + 0.6 * ((x - 0.42) / 0.08).clamp(0, 1) * (z < 0.1)) * c.blush
        colour = colour * (1 - red[:, None].clamp(0, 1) * local.new_tensor([0.03, 0.17, 0.14]))
        tired = spot(0.17, -0.055, 0.09, 0.03)
        colour = colour * (1 - 0.16 * tired[:, None])
        spots = (self.noise(local + 5.3, 34) > 0.62) & (y > -0.25) & (y < 0.1)
        colour = torch.where((spots & (c.freckles > 0))[:, None], colour * (1 - 0.30 * c.freckles), colour)
        colour = self._stubble(local, colour)
        colour = self._brows(local, colour)
        lip = self._lip_mask(x, y, z)[:, None]
        return colour * (1 - lip) + lip * local.new_tensor(c.lips) * (1 + 0.08 * self.noise(local, 48)[:, None])

    def _lip_mask(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        s = self.head.shape
        across = x / (0.150 * s.mouth_width)
        centre = -0.300 + 0.005 * across**2
        top = (0.031 + 0.016 * s.lip_fullness) * (1 - across**2).clamp(min=0) ** 0.6
        bow = 0.010 * torch.exp(-((x / 0.022) ** 2))
        bottom = (0.036 + 0.024 * s.lip_fullness) * (1 - across**2).clamp(min=0) ** 0.6
        up = ((centre + top - bow - y) / 0.008).clamp(0, 1)
        down = ((y - centre + bottom) / 0.008).clamp(0, 1)
        return up * down * (across < 1) * (z > 0.3)

    def _stubble(self, local: Tensor, colour: Tensor) -> Tensor:
        c = self.complexion
        if c.beard == 0:
            return colour
        x, y, z = local[:, 0].abs(), local[:, 1], local[:, 2]
        line = -0.20 - 0.10 * torch.exp(-(((x - 0.19) / 0.09) ** 2)) + 0.16 * ((x - 0.27) / 0.15).clamp(0, 1)
        inside = ((line - y) / 0.05).clamp(0, 1) * ((y + 0.72) / 0.10).clamp(0, 1) * ((z + 0.02) / 0.1).clamp(0, 1)
        amount = (c.beard * inside * (0.8 + 0.35 * self.noise(local, 60)))[:, None].clamp(0, 1)
        return colour * (1 - amount) + amount * local.new_tensor(c.hair).clamp(max=0.12)

    def _brows(self, local: Tensor, colour: Tensor) -> Tensor:
        x, y, z = local[:, 0].abs(), local[:, 1], local[:, 2]
        along = (x - 0.055) / 0.235
        middle = 0.128 + 0.045 * along - 0.055 * along**2
        half = 0.022 * (1 - 0.6 * along.clamp(0, 1))
        hairs = 0.75 + 0.45 * self.noise(torch.stack([local[:, 0] * 4, y + 0.4 * x, z], dim=1), 30)
        amount = (1 - ((y - middle) / half) ** 2).clamp(0, 1) * ((along + 0.05) / 0.12).clamp(0, 1)
        amount = (amount * ((1.02 - along) / 0.15).clamp(0, 1) * (z > 0.2) * hairs)[:, None].clamp(0, 0.92)
        return colour * (1 - amount) + amount * local.new_tensor(self.complexion.hair).clamp(max=0.15)

    def _eyes(self, local: Tensor) -> Tensor:
        c = self.complexion
        centre = torch.stack([local[:, 0].sign() * EYE_CENTRE[0], torch.full_like(local[:, 1], EYE_CENTRE[1])], dim=1)
        radius = (local[:, :2] - centre).norm(dim=1)
        white = local.new_tensor([0.62, 0.58, 0.56]).expand(len(local), 3)
        rays = 1 + 0.5 * torch.sin(40 * torch.atan2(local[:, 1] - centre[:, 1], local[:, 0] - centre[:, 0]))
        iris = local.new_tensor(c.iris) * (0.7 + 0.4 * rays[:, None]) * (1 + 0.6 * (radius[:, None] / 0.042))
        colour = torch.where((radius < 0.043)[:, None], iris, white)
        colour = torch.where(((radius > 0.038) & (radius < 0.045))[:, None], colour * 0.35, colour)
        return torch.where((radius < 0.018)[:, None], torch.full_like(colour, 0.004), colour)
