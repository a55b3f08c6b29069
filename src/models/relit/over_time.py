"""Features of consecutive frames that see one another, so that what a frame does not show steadily, a window does.

Both parts begin as the identity. A still, a window of one frame, does not go through them at all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from src.models.delit.layers import AttentionBlock


class OverTime(nn.Module):
    """``tokens``: attention of each place to itself over the window. ``fine``: a convolution over three frames."""

    def __init__(self, token_width: int, fine_width: int) -> None:
        super().__init__()
        self.attention = AttentionBlock(token_width, has_context=False)
        self.taps = nn.Parameter(torch.full((3, fine_width, 1, 1), 1 / 3))
        self.mix = nn.Conv2d(fine_width, fine_width, 1)
        for parameter in self.mix.parameters():
            nn.init.zeros_(parameter)

    def tokens(self, x: Tensor, frames: int) -> Tensor:
        """(N * frames) x D x h x w."""
        height, width = x.shape[-2:]
        series = x.unflatten(0, (-1, frames)).permute(0, 3, 4, 1, 2).flatten(0, 2)  # (N * h * w) x frames x D
        series = self.attention(series).unflatten(0, (-1, height, width))
        return series.permute(0, 3, 4, 1, 2).flatten(0, 1)

    def fine(self, x: Tensor, frames: int) -> Tensor:
        """(N * frames) x C x h x w."""
        series = x.unflatten(0, (-1, frames))
        before, after = (
            torch.cat(p, dim=1) for p in ((series[:, :1], series[:, :-1]), (series[:, 1:], series[:, -1:]))
        )
        mean = before * self.taps[0] + series * self.taps[1] + after * self.taps[2]
        return x + self.mix((mean - series).flatten(0, 1))
