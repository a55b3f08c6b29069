"""What portrait networks begin with: a U-Net whose coarsest features are tokens that attend to one another."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.models.delit.layers import AttentionBlock, ResidualBlock

TOKEN_BLOCKS = 2
_PLACE_BANDS = 4


class Backbone(nn.Module):
    """The parts of a network for N x 3 x H x W at unit exposure, H and W multiples of 16; a subclass has the heads.

    ``base_dim`` B: width of the features at half the size. Without ``has_skips`` the decoder sees tokens only.
    """

    def __init__(self, base_dim: int, has_skips: bool = True) -> None:
        super().__init__()
        self.widths = [base_dim // 4, base_dim, 2 * base_dim, 2 * base_dim, 2 * base_dim]
        depths = [1, 1, 2, 2]  # convolutions at 1/2, 1/4, 1/8, 1/16 of the size
        self.has_skips = has_skips
        widths = self.widths
        self.stem = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(n_in, n_out, 3, stride=2, padding=1), ResidualBlock(n_out, depth))
            for (n_in, n_out), depth in zip(pairwise(widths), depths, strict=True)
        )
        self.token_blocks = nn.ModuleList(AttentionBlock(widths[-1], has_context=False) for _ in range(TOKEN_BLOCKS))
        self.place = nn.Linear(4 * _PLACE_BANDS, widths[-1])
        self.up = nn.ModuleList(
            nn.Conv2d(n_low, n_high, 1) for n_low, n_high in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.merge = nn.ModuleList(
            ResidualBlock(width, depth) for width, depth in zip(widths[-2:0:-1], depths[-2::-1], strict=True)
        )

    def encode(self, picture: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features N x B/4 at the full size, and N x B ... 2B at a half, a quarter, an eighth and a sixteenth of it."""
        full = self.stem(torch.log1p(4.0 * picture))
        x, levels = F.silu(full), []
        for down in self.down:
            x = down(x)
            levels.append(x)
        return full if self.has_skips else torch.zeros_like(full), levels

    def attend(self, features: Tensor) -> Tensor:
        """Features of places that have seen one another, N x 2B x h' x w' as they came."""
        height, width = features.shape[-2:]
        tokens = features.flatten(2).transpose(1, 2) + self.place(_place_features(height, width, features.device))
        for block in self.token_blocks:
            tokens = block(tokens)
        return tokens.transpose(1, 2).unflatten(2, (height, width))

    def decode(self, x: Tensor, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The features of the last two levels, the finer first: N x B x H/2 x W/2, N x 2B x H/4 x W/4."""
        coarse = x
        for up, merge, skip in zip(self.up[:-1], self.merge, levels[-2::-1], strict=True):
            larger = F.interpolate(up(x), scale_factor=2.0, mode="bilinear", align_corners=False)
            coarse, x = x, merge(skip + larger if self.has_skips else larger)
        return x, coarse


def _place_features(rows: int, columns: int, device: torch.device) -> Tensor:
    """(rows * columns) x 16: sines and cosines of a token's place in the picture, whatever the number of tokens."""
    bands = math.pi * 2.0 ** torch.arange(_PLACE_BANDS, device=device)
    y, x = (((torch.arange(n, device=device) + 0.5) / n)[:, None] * bands for n in (rows, columns))
    y, x = (torch.cat([waves.sin(), waves.cos()], dim=1) for waves in (y, x))
    grid = (y[:, None].expand(-1, columns, -1), x[None].expand(rows, -1, -1))
    return torch.cat(grid, dim=-1).flatten(0, 1)
