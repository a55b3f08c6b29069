"""Scenes as they are outside of a laboratory: lamps and gels, backgrounds of another light, things in front of faces.

Randomness comes from the generators that are passed in.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from src.data.portrait.augmentation import normal, uniform
from src.data.portrait.pair_batch import PairBatch

SHARE_STAGE_LAMPS, SHARE_BACKGROUND, SHARE_OCCLUDED, SHARE_TINTED = 0.35, 0.5, 0.2, 0.5
POINT_SHARPNESS = (30.0, 1500.0)  # of exp(k (cos - 1))
LAMP_POWER = (0.5, 8.0)  # in mean radiances of the environment
DIMMED = (0.02, 1.0)  # what is left of the environment
GEL, WHITE_LAMP = 0.7, 0.1  # standard deviation of the log of a lamp's colour
CLUTTER = 0.6  # standard deviation of the log of its radiance
SHARE_CURTAIN, FOLDS = 0.3, (3.0, 16.0)  # of clutter; across the picture
OCCLUDER_RADII = (0.1, 0.6)  # of half the picture
_KNOTS = 6


def lobe(directions: Tensor, centre: Tensor, sharpness: Tensor) -> Tensor:
    """n x h x w: ``exp(k (cos - 1))`` about n x 3 unit centres with a mean of 1 over the sphere's h x w x 3."""
    shape = torch.exp(sharpness.view(-1, 1, 1) * (torch.einsum("hwc,nc->nhw", directions, centre) - 1))
    # The lobe's integral is 2 pi / k (1 - exp(-2 k)).
    return shape * (2 * sharpness / (1 - torch.exp(-2 * sharpness))).view(-1, 1, 1)


def stage_lamps(random: torch.Generator, directions: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Light n x 3 x h x w of one lamp or two for some, and what is left of the environment, n x 1 x 1 x 1.

    A rim light from behind, a point light from in front, or two lights from behind on either side; white or of a
    saturated colour (a gel). ``directions`` h x w x 3 of the stage's frame: +Z is towards the camera.
    """
    kind = torch.randint(3, (count,), generator=random)  # rim, point, two from behind
    is_lit = torch.rand(count, generator=random) < SHARE_STAGE_LAMPS
    azimuth = torch.where(kind == 1, uniform(random, 0.0, 1.6, count), uniform(random, 1.7, 2.9, count))  # from +Z
    azimuth = azimuth * torch.where(torch.rand(count, generator=random) < 0.5, -1.0, 1.0)
    height = uniform(random, -0.3, 0.8, count)  # y
    level = (1 - height.square()).sqrt()
    first = torch.stack([level * azimuth.sin(), height, level * azimuth.cos()], dim=1)
    second = first * torch.tensor([-1.0, 1.0, 1.0])
    log_low, log_high = (math.log(bound) for bound in POINT_SHARPNESS)
    sharpness = torch.exp(uniform(random, log_low, log_high, count, 2))
    log_low, log_high = (math.log(bound) for bound in LAMP_POWER)
    power = torch.exp(uniform(random, log_low, log_high, count, 2)) * is_lit[:, None]
    power[:, 1] = torch.where(kind == 2, power[:, 1], 0.0)
    is_gel = (torch.rand(count, 2, 1, generator=random) < 0.5).float()
    colour = torch.exp(normal(random, 1.0, count, 2, 3) * (is_gel * GEL + (1 - is_gel) * WHITE_LAMP))
    colour = colour / colour.mean(2, keepdim=True) * power[..., None]
    log_low, log_high = (math.log(bound) for bound in DIMMED)
    left = torch.where(is_lit, torch.exp(uniform(random, log_low, log_high, count)), 1.0)
    device = directions.device
    lamps = sum(
        colour[:, k].to(device)[..., None, None] * lobe(directions, at.to(device), sharpness[:, k].to(device))[:, None]
        for k, at in enumerate((first, second))
    )
    assert isinstance(lamps, Tensor)
    return lamps, left.view(-1, 1, 1, 1).to(device)


def other_background(random: torch.Generator, behind: Tensor) -> Tensor:
    """What is behind n people, n x 3 x S x S, for some changed to what does not light them.

    Black as a dark stage, one colour as a studio's paper, clutter, or what is behind another of them at this one's
    brightness.
    """
    count, side = len(behind), behind.shape[-1]
    kind = torch.randint(6, (count, 1, 1, 1), generator=random)  # black, paper, clutter and another's twice as often
    is_changed = torch.rand(count, 1, 1, 1, generator=random) < SHARE_BACKGROUND
    paper = torch.exp(uniform(random, -3.0, 1.0, count, 1, 1, 1) + normal(random, 0.3, count, 3, 1, 1))
    things = torch.ones(count, 3, side, side)
    for k in (is_changed & ((kind == 2) | (kind == 3))).flatten().nonzero().flatten().tolist():
        things[k] = _clutter(random, side)
    kind, is_changed, paper, things = (drawn.to(behind.device) for drawn in (kind, is_changed, paper, things))
    mean = behind.mean((1, 2, 3), keepdim=True)
    anothers = behind.roll(1, 0) * (mean / mean.roll(1, 0).clamp_min(1e-6)).clamp_max(1e3)
    other = torch.where(kind == 0, torch.zeros_like(behind), torch.where(kind == 1, paper * mean, anothers))
    other = torch.where((kind == 2) | (kind == 3), paper * mean * things, other)
    return torch.where(is_changed, other, behind)


def _clutter(random: torch.Generator, side: int) -> Tensor:
    """3 x S x S about 1: two layers of patches or of soft blobs, from large ones to stripes and small ones, or one of
    them over the folds of a curtain."""
    layers = torch.zeros(1, 3, side, side)
    hangs = bool(torch.rand((), generator=random) < SHARE_CURTAIN)
    if hangs:
        layers += _folds(random, side)
    for _ in range(1 if hangs else 2):
        rows, columns = (min(2 ** int(torch.randint(1, 6, (), generator=random)), side) for _ in range(2))
        knots = normal(random, CLUTTER, 1, 1, rows, columns) * (1 + normal(random, CLUTTER, 1, 3, 1, 1))
        is_hard = bool(torch.rand((), generator=random) < 0.5)
        layers += F.interpolate(knots, (side, side), mode="nearest" if is_hard else "bilinear")
    return torch.exp(layers[0])


def _folds(random: torch.Generator, side: int) -> Tensor:
    """S x S about 0: waves that hang down, not quite evenly."""
    x, y = ((torch.arange(side) + 0.5) / side).view(1, -1), ((torch.arange(side) + 0.5) / side).view(-1, 1)
    count, lean, bend = uniform(random, *FOLDS, 1), normal(random, 0.15, 1), normal(random, 0.8, 1, 1, 4, 8)
    bend = F.interpolate(bend, (side, side), mode="bilinear", align_corners=False)[0, 0]
    wave = torch.sin(2 * math.pi * count * (x + lean * y) + bend)
    return CLUTTER * uniform(random, 0.5, 1.5, 1) * (wave + 0.3 * wave.abs())


def occlude(random: torch.Generator, batch: PairBatch) -> PairBatch:
    """Something in front of some people: a blob that shows another picture of the batch, or one colour of it.

    It is not of the person: the mask leaves it out.
    """
    count, _, side, _ = batch.relit.shape
    chosen = (torch.rand(count, generator=random) < SHARE_OCCLUDED).nonzero().flatten()
    if not len(chosen):
        return batch
    cover = _blobs(random, len(chosen), side)
    colour = torch.exp(normal(random, 0.4, len(chosen), 3, 1, 1))
    is_plain = torch.rand(len(chosen), 1, 1, 1, generator=random) < 0.5
    at, cover, colour, is_plain = (drawn.to(batch.relit.device) for drawn in (chosen, cover, colour, is_plain))
    texture = batch.relit.roll(1, 0)[at]
    texture = colour * torch.where(is_plain, texture.mean((2, 3), keepdim=True), texture)
    relit = batch.relit[at] * (1 - cover) + cover * texture
    return replace(
        batch,
        relit=batch.relit.index_copy(0, at, relit),
        flat_lit=batch.flat_lit.index_copy(0, at, batch.flat_lit[at] * (1 - cover)),
        mask=batch.mask.index_copy(0, at, batch.mask[at] * (1 - cover)),
    )


def _blobs(random: torch.Generator, count: int, side: int) -> Tensor:
    """n x 1 x S x S in [0, 1]: an ellipse of uneven outline each, one pixel soft."""
    centres = (torch.arange(side) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    middle, radii = uniform(random, -0.9, 0.9, count, 2, 1, 1), uniform(random, *OCCLUDER_RADII, count, 2, 1, 1)
    uneven = normal(random, 0.3, count, 1, min(_KNOTS, side), min(_KNOTS, side))
    uneven = F.interpolate(uneven, (side, side), mode="bilinear", align_corners=False)[:, 0]
    distance = torch.sqrt(((x - middle[:, 0]) / radii[:, 0]).square() + ((y - middle[:, 1]) / radii[:, 1]).square())
    inside = 1 - distance + uneven  # about 1 / radius of it to the edge
    return torch.sigmoid(4 * inside * radii.mean((1,)) * side / 2)[:, None]


def tint_for_flat_lit_alone(random: torch.Generator, batch: PairBatch) -> tuple[Tensor, PairBatch]:
    """N bool on the device, whose skin is to be tinted, and the batch in which those say nothing of the environment.

    A tint of the skin looks like one of the light. So the flat-lit picture learns from all, the environment from those
    of their own skin, at the price of no second pass through the network.
    """
    is_tinted = (torch.rand(len(batch), generator=random) < SHARE_TINTED).to(batch.relit.device)
    known = ~is_tinted if batch.has_environment is None else batch.has_environment & ~is_tinted
    return is_tinted, replace(batch, has_environment=known)
