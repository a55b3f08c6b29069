"""A first guess at light and shading by linear regression from a thumbnail, found in closed form.

Pictures are linear in light, and faces are much alike: a linear map of a 16 x 16 thumbnail already knows where the
light comes from and what it does to a face. Networks that start from it need not learn that by descent. What the person
looks like is not guessed: from few people that is a memory of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

THUMBNAIL = 16  # pixels: what is looked at
SHADING_SIZE = 16  # pixels: what is guessed
DIM = 0.03  # radiance below which a logarithm hardly goes on falling
_RANK = 96  # of the guessed shading
_RIDGE = 0.1  # times the number of samples, for features of unit variance
_OUTSIDE = 0.1  # coverage below which a pixel of a thumbnail shows no person
_BRIGHTEST = 6.0  # radiance beyond which a thumbnail does not count linearly


class Guess(NamedTuple):
    """For N pictures at unit exposure."""

    light: Tensor  # N x 3 x lobes, log radiance
    log_shading: Tensor  # N x 3 x 16 x 16, log of lit over flat-lit


class FirstGuess(nn.Module):
    """N x 3 x H x W at unit exposure -> :class:`Guess`. Fitted, not trained: steps that suit convolutions are too large
    for maps of 1,536 inputs."""

    mean: Tensor
    scale: Tensor

    def __init__(self, lobes: int) -> None:
        super().__init__()
        features = 2 * 3 * THUMBNAIL**2
        self.light_shape, self.shading_shape = (3, lobes), (3, SHADING_SIZE, SHADING_SIZE)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.light = nn.Linear(features, 3 * lobes)
        self.reduced = nn.Linear(features, _RANK, bias=False)
        self.shading = nn.Linear(_RANK, 3 * SHADING_SIZE**2)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)
        self.requires_grad_(False)

    @staticmethod
    def features(picture: Tensor) -> Tensor:
        """N x 1536 of N x 3 x H x W."""
        thumbnail = F.adaptive_avg_pool2d(picture.float(), THUMBNAIL)
        return torch.cat([torch.log(thumbnail + DIM), thumbnail.clamp_max(_BRIGHTEST)], dim=1).flatten(1)

    def forward(self, picture: Tensor) -> Guess:
        features = (self.features(picture) - self.mean) * self.scale
        light, shading = self.light(features).float(), self.shading(self.reduced(features)).float()
        return Guess(light.unflatten(1, self.light_shape), shading.unflatten(1, self.shading_shape))

    @torch.no_grad()
    def fit(self, samples: Iterable[tuple[Tensor, Tensor, Tensor, Tensor]]) -> None:
        """Ridge regression on batches of (picture at unit exposure, light N x 3 x lobes, flat-lit, mask).

        Of the shading, the directions in which the guesses vary most are kept. Of the batches, only thumbnails.
        Without a batch the guess stays as it is.
        """
        thumbnails = [
            (self.features(picture), light.flatten(1), _log_shading(picture, flat_lit, mask))
            for picture, light, flat_lit, mask in samples
        ]
        if not thumbnails:
            return
        x, light, shading = (torch.cat(parts).double() for parts in zip(*thumbnails, strict=True))
        mean, scale = x.mean(0), 1.0 / (x.std(0, correction=0) + 1e-3)
        x = (x - mean) * scale
        gram = x.T @ x + _RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        means = light.mean(0), shading.mean(0)
        to_light, to_shading = (
            torch.linalg.solve(gram, x.T @ (y - offset)) for y, offset in zip((light, shading), means, strict=True)
        )
        _, _, basis = torch.linalg.svd(x @ to_shading, full_matrices=False)
        basis = F.pad(basis[:_RANK], (0, 0, 0, max(0, _RANK - len(basis))))
        self.mean.copy_(mean)
        self.scale.copy_(scale)
        self.light.weight.copy_(to_light.T)
        self.light.bias.copy_(means[0])
        self.reduced.weight.copy_(basis @ to_shading.T)
        self.shading.weight.copy_(basis.T)
        self.shading.bias.copy_(means[1])


def _log_shading(picture: Tensor, flat_lit: Tensor, mask: Tensor) -> Tensor:
    """What is to be guessed, N x 768: log shading of a thumbnail within the mask, elsewhere 0."""
    coverage = F.adaptive_avg_pool2d(mask, SHADING_SIZE)
    lit, flat = (
        F.adaptive_avg_pool2d(image * mask, SHADING_SIZE) / coverage.clamp_min(1e-3) for image in (picture, flat_lit)
    )
    shading = torch.log(lit + DIM) - torch.log(flat + DIM)
    return (shading * (coverage > _OUTSIDE)).flatten(1)
