"""The delighting network with one idea taken away at a time, for the ablation."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.losses.delit_loss import DelitLoss
from src.models.delit.attention import AttentionDelit, ResidualBlock


class WithoutSkips(AttentionDelit):
    """The flat-lit decoder sees tokens only: what the encoder adds to a level is taken out again before it is used."""

    def __init__(self, *sizes: object) -> None:
        super().__init__(*sizes)
        encoded: dict[int, Tensor] = {}
        levels = len(self.down)
        for k, down in enumerate(self.down):
            down.register_forward_hook(lambda _, inputs, output, k=k: encoded.__setitem__(k, output))
        for k, merge in enumerate(self.merge):
            merge.register_forward_pre_hook(lambda _, inputs, k=levels - 2 - k: (inputs[0] - encoded.pop(k),))
        width = self.stem.out_channels
        self.full.register_forward_pre_hook(
            lambda _, inputs: (torch.cat([torch.zeros_like(inputs[0][:, :width]), inputs[0][:, width:]], dim=1),)
        )


class WithoutAttentionHead(AttentionDelit):
    """The environment grows from the picture's features, enlarged and convolved, instead of from queries."""

    def __init__(self, *sizes: object) -> None:
        super().__init__(*sizes)
        head = self.environment
        head.query = nn.Identity()
        head.blocks = nn.ModuleList([_EnlargedFeatures(self.place.out_features, *head.sizes[0], len(head.blocks))])


class _EnlargedFeatures(nn.Module):
    """Tokens N x K x D of a square picture -> N x (rows * columns) x D."""

    def __init__(self, dim: int, rows: int, columns: int, blocks: int) -> None:
        super().__init__()
        self.size = (rows, columns)
        self.blocks = nn.Sequential(*(ResidualBlock(dim, 2) for _ in range(blocks)))

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        side = math.isqrt(tokens.shape[1])
        features = tokens.transpose(1, 2).unflatten(2, (side, side))
        enlarged = F.interpolate(features, self.size, mode="bilinear", align_corners=False)
        return self.blocks(enlarged).flatten(2).transpose(1, 2)


class WithoutLightSolve(AttentionDelit):
    """The environment is what its head says, whatever shading it leaves unexplained."""

    def _explain(
        self, picture: Tensor, flat_lit: Tensor, mask: Tensor, transfer: Tensor | None, light: Tensor
    ) -> Tensor:
        return torch.zeros_like(light)


class WithoutShading(WithoutLightSolve):
    """The environment has no part in the flat-lit picture, nor shading in the environment."""

    def __init__(self, *sizes: object) -> None:
        super().__init__(*sizes)
        self.shading = _Ones(self.shading.lobes)


class _Ones(nn.Module):
    """No transfer, and shading 1."""

    def __init__(self, lobes: Tensor) -> None:
        super().__init__()
        self.register_buffer("lobes", lobes, persistent=False)

    def forward(self, features: Tensor, environment: Tensor) -> tuple[None, Tensor, Tensor]:
        light = features.new_ones(len(features), 3, len(self.lobes))
        return None, light, features.new_ones(len(features), 3, *features.shape[-2:])


class WithoutFirstGuess(AttentionDelit):
    """Everything is learned by descent: the guess stays what it is before it is fitted, light and shading of 1."""

    def start(self, samples: Iterable) -> None:
        """Nothing is fitted."""


class LossWithoutConfidence(DelitLoss):
    """The confidence is predicted but never compared."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.weights["confidence"] = 0.0


class LossWithoutTransfer(DelitLoss):
    """Which light a pixel sees is learnt from the one light of its picture alone."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.weights["transfer"] = 0.0
