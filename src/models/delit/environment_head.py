"""The environment from features of the picture: every direction of the sphere asks them, coarse to fine."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.models.delit.layers import AttentionBlock, ResidualBlock, enlarge
from src.models.delit.lobes import blend_weights
from src.utils.hdr_codec import Codec
from src.utils.sphere import pixel_directions
from src.utils.sphere_torch import double, wrap

COARSEST_ROWS = 8  # of the queries
BLOCKS = 2
_DIRECTION_BANDS = 3
_LARGEST_LOG = 8.0  # of guessed radiance


class EnvironmentHead(nn.Module):
    """Features N x D x H/16 x W/16 and guessed log radiance N x 3 x LOBES -> code N x C x h x w in [0, 1], confidence.

    A query is made from its direction, not from a place in the picture: pixels of the environment are not aligned with
    pixels of the face. It corrects the guess at ``COARSEST_ROWS``; each finer level, with columns that wrap around,
    adds its correction to the one before. ``asks`` False grows the coarsest level from enlarged features instead.
    """

    blend: Tensor
    queries: Tensor

    def __init__(self, dim: int, height: int, width: int, codec: Codec, asks: bool = True) -> None:
        super().__init__()
        self.codec = codec
        self.sizes = _pyramid(height, width)
        self.register_buffer("blend", blend_weights(*self.sizes[0]), persistent=False)
        if asks:
            self.register_buffer("queries", _direction_features(*self.sizes[0]), persistent=False)
            self.query = nn.Sequential(nn.Linear(self.queries.shape[-1], dim), nn.GELU(), nn.Linear(dim, dim))
            self.blocks: nn.ModuleList | nn.Sequential = nn.ModuleList(
                AttentionBlock(dim, has_context=True) for _ in range(BLOCKS)
            )
        else:
            self.blocks = nn.Sequential(*(ResidualBlock(dim, 2) for _ in range(BLOCKS)))
        self.asks = asks
        outputs = codec.channels + 1
        self.to_code = nn.ModuleList([nn.Linear(dim, outputs)])
        self.refine = nn.ModuleList()
        for _ in self.sizes[1:]:
            narrower = max(dim // 2, 8)
            self.refine.append(nn.Conv2d(dim, narrower, 3))
            self.to_code.append(nn.Conv2d(narrower, outputs, 1))
            dim = narrower
        for parameter in self.to_code.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor, guess: Tensor) -> tuple[Tensor, Tensor]:
        size = self.sizes[0]  # r x c
        guessed = torch.exp((guess @ self.blend.T).clamp_max(_LARGEST_LOG)).unflatten(2, size)  # N x 3 x r x c
        base = F.pad(torch.logit(self.codec.encode(guessed), eps=0.02), (0, 0, 0, 0, 0, 1))  # N x C + 1; 0: confidence
        x = self._ask(features) if self.asks else self.blocks(enlarge(features, size))  # N x D x r x c
        logits = base + self.to_code[0](x.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, size)
        for refine, to_code in zip(self.refine, self.to_code[1:], strict=True):
            x = F.silu(refine(wrap(double(x))))  # N x D/2 (D/4 ...) x 2r x 2c
            logits = double(logits) + to_code(x)  # N x C + 1 x 2r x 2c
        code, confidence = torch.sigmoid(logits.float()).tensor_split([-1], dim=1)
        return code, confidence

    def _ask(self, features: Tensor) -> Tensor:
        """N x D x r x c: what every direction makes of the features."""
        tokens = features.flatten(2).transpose(1, 2)  # N x K x D
        x = self.query(self.queries).expand(len(tokens), -1, -1)  # N x (r * c) x D
        for block in self.blocks:
            x = block(x, tokens)
        return x.transpose(1, 2).unflatten(2, self.sizes[0])

    def spread(self, lobes: Tensor) -> Tensor:
        """What the lobes say, N x 3 x LOBES, in every direction: N x 3 x h x w."""
        x = (lobes @ self.blend.T).unflatten(2, self.sizes[0])
        for _ in self.sizes[1:]:
            x = double(x)
        return x


def _direction_features(rows: int, columns: int) -> Tensor:
    """(rows * columns) x 21: directions, and sines and cosines of them."""
    directions = torch.from_numpy(pixel_directions(rows, columns)).float().flatten(0, 1)
    waves = [
        wave(directions * math.pi * 2**band) for band in range(_DIRECTION_BANDS) for wave in (torch.sin, torch.cos)
    ]
    return torch.cat([directions, *waves], dim=-1)


def _pyramid(height: int, width: int) -> list[tuple[int, int]]:
    """(rows, columns) from the coarsest to the full size, each twice the one before."""
    sizes = [(height, width)]
    while height > COARSEST_ROWS and height % 2 == 0 and width % 2 == 0:
        height, width = height // 2, width // 2
        sizes.insert(0, (height, width))
    return sizes
