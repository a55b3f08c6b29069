"""Colours between texels: which four texels surround a point, and how much each counts. The reference for engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

Filter = Literal["bilinear", "nearest"]
FLOAT32_STEP = 2.0**-24  # of coordinates near 1: a point so close to a texel's centre, in widths of the map, is there


def require_filter(name: str) -> None:
    """Raises ``ValueError`` for a filter that there is not."""
    if name not in get_args(Filter):
        raise ValueError(f"filter {name!r} is none of {', '.join(get_args(Filter))}")


def surrounding_texels(uv: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """``uv`` N x 2 in [0, 1] -> (row-major texels N x 4 int64, their bilinear weights N x 4 float64, which sum to 1).

    Texel i of a row has its centre at ``u = (i + 0.5) / width``; v runs downwards, row 0 at its top. Beyond the
    outermost centres the border's texels go on.
    """
    rows, down = _surrounding(uv[:, 1].double(), height)
    columns, right = _surrounding(uv[:, 0].double(), width)
    texels = rows.unsqueeze(2) * width + columns.unsqueeze(1)
    return texels.flatten(1), (down.unsqueeze(2) * right.unsqueeze(1)).flatten(1)


def _surrounding(coordinate: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Along one axis: N x 2 indices of texels and their weights."""
    place = (coordinate * size - 0.5).clamp(0.0, size - 1.0)
    centre = place.round()
    place = torch.where((place - centre).abs() <= size * FLOAT32_STEP, centre, place)
    first = place.floor()
    share = place - first
    index = first.long()
    return torch.stack((index, (index + 1).clamp_max(size - 1)), 1), torch.stack((1.0 - share, share), 1)


def weights_of_valid(weights: Tensor, valid: Tensor, name: Filter) -> Tensor:
    """Bilinear ``weights`` N x 4 as a filter uses them where some texels are not ``valid`` N x 4: they sum to 1 again.

    All are 0 where no valid texel has a weight. ``"nearest"`` gives all to the valid texel of the largest weight, to
    the first of several.
    """
    weights = torch.where(valid, weights, 0.0)
    if name == "nearest":
        largest, which = weights.max(dim=1, keepdim=True)
        return torch.zeros_like(weights).scatter_(1, which, (largest > 0).to(weights.dtype))
    total = weights.sum(dim=1, keepdim=True)
    return torch.where(total > 0, weights / total, 0.0)


def weighted_colours(
    decode: Callable[[Tensor, Tensor], Tensor], texels: Tensor, weights: Tensor, hours: Tensor
) -> Tensor:
    """Sums of colours: ``decode(texels M, hours M) -> M x 3``, asked once and for the texels alone that have a weight.

    ``texels`` and ``weights`` N x 4, ``hours`` N or 1 -> N x 3 float32. A weight of 1 changes no bit.
    """
    points = [torch.nonzero(column).flatten() for column in weights.unbind(1)]  # of each of the four texels
    chosen = torch.cat([column[rows] for column, rows in zip(texels.unbind(1), points, strict=True)])
    colours = decode(chosen, hours if len(hours) == 1 else hours[torch.cat(points)])
    sums = colours.new_zeros(len(texels), 3)
    for column, rows, part in zip(
        weights.unbind(1), points, colours.split([len(rows) for rows in points]), strict=True
    ):
        sums[rows] += part * column[rows, None].float()
    return sums
