"""Texel coordinates: x first, pixel centres, [-1, 1]; ``x = (i + 0.5) / W * 2 - 1``."""

from __future__ import annotations

import torch
from torch import Tensor


def texel_xy(index: Tensor, height: int, width: int) -> Tensor:
    """Centres of the texels with row-major ``index`` (any shape, integer) -> ``... x 2`` float32 in (-1, 1)."""
    row = torch.div(index, width, rounding_mode="floor")
    column = index - row * width
    x = (column.float() + 0.5) * (2.0 / width) - 1.0
    y = (row.float() + 0.5) * (2.0 / height) - 1.0
    return torch.stack((x, y), dim=-1)


def texel_index(xy: Tensor, height: int, width: int) -> Tensor:
    """Row-major index of the texel that contains ``xy`` (``... x 2``), int64; points outside go to the border."""
    column = ((xy[..., 0] + 1.0) * (width / 2.0)).floor().long().clamp_(0, width - 1)
    row = ((xy[..., 1] + 1.0) * (height / 2.0)).floor().long().clamp_(0, height - 1)
    return row * width + column
