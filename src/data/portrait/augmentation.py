"""Augmentation of whole batches on their device: pose, skin and camera, for training sets of few people.

Randomness comes from the generators that are passed in, never from global state.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from src.utils.color import linear_to_srgb, srgb_to_linear
from src.utils.seeding import on_device

ROLL_DEGREES = 5.0  # standard deviation; at most twice as much
SCALES = (0.9, 1.1)
SHIFT = 0.06  # of half the picture
WILD_SCALES, WILD_SHIFT = (0.6, 1.8), 0.35
WARP = 0.02  # of half the picture: faces of other proportions
WARP_KNOTS = 8
SKIN_TONE = 0.2  # standard deviation of the log of the albedo's factor
SKIN_TINT = 0.04
SKIN_TEXTURE = 0.05
BRIGHTEST_ALBEDO = 0.9


class Pose(NamedTuple):
    """How N pictures are moved: for :func:`move`, and what it does to directions about the camera."""

    grid: Tensor  # N x S x S x 2: where each pixel of the new picture lies in the old one, corners at -1 and 1
    rotation: Tensor  # N x 3 x 3: directions of the old camera's frame -> the new one's; a mirroring has determinant -1
    scale: Tensor  # N: of the picture


def uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def normal(generator: torch.Generator, sigma: float, *shape: int) -> Tensor:
    """Clamped to two sigma."""
    return sigma * torch.randn(shape, generator=generator).clamp(-2, 2)


def random_pose(
    generator: torch.Generator, count: int, size: int, device: torch.device | str = "cpu", is_wild: bool = False
) -> Pose:
    """Roll, scale, shift, mirroring and a smooth warp, drawn on the CPU; ``is_wild``: from a tight face to much air."""
    scales, most = (WILD_SCALES, WILD_SHIFT) if is_wild else (SCALES, SHIFT)
    roll = torch.deg2rad(normal(generator, ROLL_DEGREES, count))
    scale = torch.exp(uniform(generator, math.log(scales[0]), math.log(scales[1]), count))
    shift = uniform(generator, -most, most, count, 1, 1, 2)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    warp = normal(generator, WARP, count, 2, WARP_KNOTS, WARP_KNOTS)
    roll, scale, shift, mirror, warp = (drawn.to(device) for drawn in (roll, scale, shift, mirror, warp))

    centres = (torch.arange(size, device=device) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    new = (torch.stack([x, y], dim=-1) - shift) / scale.view(-1, 1, 1, 1)
    cosine, sine = roll.cos(), roll.sin()
    back = torch.stack([mirror * cosine, -mirror * sine, sine, cosine], dim=-1).view(-1, 1, 1, 2, 2)
    old = (back @ new.unsqueeze(-1)).squeeze(-1)
    old = old + F.interpolate(warp, (size, size), mode="bilinear", align_corners=True).permute(0, 2, 3, 1)

    zero, one = torch.zeros_like(roll), torch.ones_like(roll)
    rows = [mirror * cosine, -sine, zero, mirror * sine, cosine, zero, zero, zero, one]
    return Pose(old, torch.stack(rows, dim=-1).view(-1, 3, 3), scale)


def still_pose(count: int, size: int) -> Pose:
    """Pictures stay as they are."""
    centres = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    grid = torch.stack([x, y], dim=-1).expand(count, -1, -1, -1)
    return Pose(grid, torch.eye(3).expand(count, 3, 3), torch.ones(count))


def move(pictures: Tensor, pose: Pose) -> Tensor:
    """N x C x S x S pictures moved; beyond their border they go on as there."""
    grid = pose.grid.to(pictures.device)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)


def skin_factor(generator: torch.Generator, flat_lit: Tensor, mask: Tensor) -> Tensor:
    """N x 3 x S x S by which lit and flat-lit skin may both be multiplied: other tones, tints and blemishes.

    ``flat_lit`` N x 3 x S x S and ``mask`` N x 1 x S x S say how far up the tone may go.
    """
    count, _, size, _ = flat_lit.shape
    tone = normal(generator, SKIN_TONE, count, 1, 1, 1) + normal(generator, SKIN_TINT, count, 3, 1, 1)
    texture = flat_lit.new_zeros(count, 1, size, size)
    for knots in (8, 32):
        spots = normal(generator, SKIN_TEXTURE, count, 1, min(knots, size), min(knots, size))
        texture = texture + F.interpolate(spots.to(flat_lit.device), (size, size), mode="bilinear", align_corners=False)
    mean = (flat_lit * mask).sum((1, 2, 3)) / (3 * mask.sum((1, 2, 3))).clamp_min(1e-6)
    highest = (BRIGHTEST_ALBEDO / mean.clamp_min(1e-3)).view(-1, 1, 1, 1)
    return torch.exp(tone.to(flat_lit.device) + texture).clamp_max(highest)


def photograph(generator: torch.Generator, relit: Tensor) -> Tensor:
    """What a camera makes of linear pictures N x 3 x S x S: noise, clipped highlights, 8 bits; each for some."""
    count = len(relit)
    device = relit.device
    clips, noises, rounds = (torch.rand(count, generator=generator) < share for share in (0.6, 0.5, 0.4))
    overexposure = uniform(generator, 0.0, 0.03, count)
    photons = torch.exp(uniform(generator, math.log(300), math.log(10_000), count)).view(-1, 1, 1, 1).to(device)
    noise = torch.randn(relit.shape, generator=on_device(generator, device), device=device)

    brightest = relit[..., ::4, ::4].amax(1).flatten(1).sort(dim=1).values
    place = ((1 - overexposure) * (brightest.shape[1] - 1)).long().to(device)
    white = brightest.gather(1, place[:, None]).clamp_min(1e-6).view(-1, 1, 1, 1)
    counts = relit / white * photons
    noisy = ((counts + noise * (counts + 4.0).sqrt()) * (white / photons)).clamp_min(0)
    relit = torch.where(noises.view(-1, 1, 1, 1).to(device), noisy, relit)
    relit = torch.where(clips.view(-1, 1, 1, 1).to(device), relit.minimum(white), relit)
    rounded = (clips & rounds).nonzero().flatten().to(device)
    white = white[rounded]
    relit[rounded] = srgb_to_linear((linear_to_srgb(relit[rounded] / white) * 255).round() / 255) * white
    return relit
