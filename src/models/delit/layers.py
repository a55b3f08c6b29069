"""Parts that the attention architecture is made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

HEADS = 4


class ResidualBlock(nn.Module):
    """One or two 3 x 3 convolutions about a skip."""

    def __init__(self, channels: int, convolutions: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.GroupNorm(8, channels)]
        for _ in range(convolutions):
            layers += [nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class AttentionBlock(nn.Module):
    """Multi-head attention of ``x`` (N x Q x D) to itself or to a ``context`` (N x K x D), then an MLP."""

    def __init__(self, dim: int, has_context: bool) -> None:
        super().__init__()
        self.norm_x, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        # Only where it is used: DistributedDataParallel refuses parameters that get no gradient.
        self.norm_context = nn.LayerNorm(dim) if has_context else None
        self.query, self.key_value = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        for last in (self.out, self.mlp[-1]):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        normed = self.norm_x(x)
        source = normed if self.norm_context is None else self.norm_context(context)
        query = self._heads(self.query(normed))
        key, value = (self._heads(part) for part in self.key_value(source).chunk(2, dim=-1))
        attended = F.scaled_dot_product_attention(query, key, value)  # N x heads x Q x D / heads
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm_mlp(x))

    @staticmethod
    def _heads(x: Tensor) -> Tensor:
        return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)


def enlarge(picture: Tensor, size: Sequence[int]) -> Tensor:
    """N x C x h x w -> N x C x ``size``, bilinear."""
    return F.interpolate(picture, list(size), mode="bilinear", align_corners=False)
