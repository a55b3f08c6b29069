"""The latent grid's loss: decibels of every frame and tile count alike, and bits have a price."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BALANCE = 0.6  # frames are weighted by mse^-BALANCE: 1 is mean PSNR alone, 0 is mean squared error alone
SMOOTH_BELOW = 0.3
_MOMENTUM = 2.0
_LARGEST_STEP = 0.3
_SMALLEST_ERROR = 1e-8


class BalancedError:
    """Squared error weighted per (tile, hour) by a running mean of that tile's and hour's own error.

    The gradient is that of the mean over tiles and hours of mse^(1 - BALANCE): with BALANCE at 1 it would be the mean
    PSNR itself, which gives up hours that are hard; at 0.6 the worst hour stays within reach of the others.
    """

    def __init__(self, tiles: Tensor, level: Tensor, importance: Tensor | None = None) -> None:
        """``tiles`` N: each texel's tile; ``level`` tiles x hours: the errors so far, updated in place, 0 for a
        tile without texels. ``importance`` of each hour, 1 where it is not given."""
        self.level = level
        self._tiles = tiles
        self._importance = 1.0 if importance is None else importance
        self._counts = torch.bincount(tiles, minlength=len(level)).clamp_min(1).float()

    def __call__(self, rows: Tensor, predicted: Tensor, target: Tensor) -> Tensor:
        """Texels ``rows`` M, M x T x 3 each -> the weighted error of all texels, about 1 at any quality."""
        squared = (predicted - target).square().mean(dim=2)
        tiles = self._tiles[rows]
        with torch.no_grad():
            ones = torch.ones_like(tiles, dtype=self.level.dtype)  # a GPU would be waited for by ``bincount``
            counts = ones.new_zeros(len(self.level)).index_add_(0, tiles, ones)
            sums = torch.zeros_like(self.level).index_add_(0, tiles, squared.detach())
            share = (counts / self._counts * _MOMENTUM).clamp_max(_LARGEST_STEP).unsqueeze(1)
            self.level.lerp_(sums / counts.clamp_min(1.0).unsqueeze(1), share)
            weights = (self.level + _SMALLEST_ERROR) ** -BALANCE * self._importance
            # Of a black or uniform lightmap there may be no error at all.
            weights /= (weights * self.level).sum().clamp_min(_SMALLEST_ERROR) * self._counts.unsqueeze(1)
        return (squared * weights[tiles]).sum() * (len(self._tiles) / len(rows))


def width_bits(ranges: Tensor) -> Tensor:
    """About how many bits a value takes in a block where values span ``ranges`` quantisation steps, elementwise.

    ``log2(1 + range)``, but quadratic well below ``SMOOTH_BELOW`` steps, so that what is nearly flat becomes flat.
    """
    bits = torch.log2(1.0 + ranges) - SMOOTH_BELOW * torch.log2(1.0 + ranges / SMOOTH_BELOW)
    return bits / (1.0 - SMOOTH_BELOW)


def decibels_to_loss(price_db: Tensor) -> Tensor:
    """A price in dB as what it weighs beside :class:`BalancedError`, whose relative change it is."""
    return price_db * (math.log(10.0) / 10.0)
