"""A first guess at light, shading and flat-lit picture by linear regression from a thumbnail, found in closed form.

Pictures are linear in light, and faces are much alike: a linear map of a 16 x 16 thumbnail already knows where the
light comes from and what a face looks like without it. Networks that start from it need not learn that by descent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

THUMBNAIL = 16  # pixels: what is looked at
SHADING_SIZE, FLAT_SIZE = 16, 32  # pixels: what is guessed
DIM = 0.03  # radiance below which a logarithm hardly goes on falling
_RANK = 96  # of the guessed pictures
_RIDGE = 0.1  # times the number of samples, for features of unit variance
_OUTSIDE = 0.1  # coverage below which a pixel of a thumbnail shows no person
_BRIGHTEST = 6.0  # radiance beyond which a thumbnail does not count linearly


class Guess(NamedTuple):
    """For N pictures at unit exposure."""

    light: Tensor  # N x 3 x lobes, log radiance
    log_shading: Tensor  # N x 3 x 16 x 16, log of lit over flat-lit
    log_flat: Tensor  # N x 3 x 32 x 32


class FirstGuess(nn.Module):
    """N x 3 x H x W at unit exposure -> :class:`Guess`. Fitted, not trained: steps that suit convolutions are too large
    for maps of 1,536 inputs."""

    def __init__(self, lobes: int) -> None:
        super().__init__()
        features = 2 * 3 * THUMBNAIL**2
        self.shapes = ((3, lobes), (3, SHADING_SIZE, SHADING_SIZE), (3, FLAT_SIZE, FLAT_SIZE))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.light = nn.Linear(features, 3 * lobes)
        self.pictures = nn.Linear(features, _RANK, bias=False)
        self.to_pictures = nn.Linear(_RANK, 3 * SHADING_SIZE**2 + 3 * FLAT_SIZE**2)
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
        pictures = self.to_pictures(self.pictures(features)).float()
        shading, flat = pictures.split([3 * SHADING_SIZE**2, 3 * FLAT_SIZE**2], dim=1)
        values = (self.light(features).float(), shading, flat)
        return Guess(*(value.unflatten(1, shape) for value, shape in zip(values, self.shapes, strict=True)))

    @torch.no_grad()
    def fit(self, samples: Iterable[tuple[Tensor, Tensor, Tensor, Tensor]]) -> None:
        """Ridge regression on batches of (picture at unit exposure, light N x 3 x lobes, flat-lit, mask).

        Of the pictures, the directions in which the guesses vary most are kept. Of the batches, only thumbnails.
        """
        reduced = [
            (self.features(picture), light.flatten(1), _thumbnails(picture, flat_lit, mask))
            for picture, light, flat_lit, mask in samples
        ]
        x, light, pictures = (torch.cat(parts).double() for parts in zip(*reduced, strict=True))
        mean, scale = x.mean(0), 1.0 / (x.std(0, correction=0) + 1e-3)
        x = (x - mean) * scale
        gram = x.T @ x + _RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        means = light.mean(0), pictures.mean(0)
        to_light, to_pictures = (
            torch.linalg.solve(gram, x.T @ (y - offset)) for y, offset in zip((light, pictures), means, strict=True)
        )
        _, _, basis = torch.linalg.svd(x @ to_pictures, full_matrices=False)
        basis = F.pad(basis[:_RANK], (0, 0, 0, max(0, _RANK - len(basis))))
        self.mean.copy_(mean)
        self.scale.copy_(scale)
        self.light.weight.copy_(to_light.T)
        self.light.bias.copy_(means[0])
        self.pictures.weight.copy_(basis @ to_pictures.T)
        self.to_pictures.weight.copy_(basis.T)
        self.to_pictures.bias.copy_(means[1])


def _thumbnails(picture: Tensor, flat_lit: Tensor, mask: Tensor) -> Tensor:
    """What is to be guessed, N x (768 + 3072): log shading and log flat-lit within the mask, elsewhere 0 and dark."""

    def inside(image: Tensor, size: int) -> tuple[Tensor, Tensor]:
        coverage = F.adaptive_avg_pool2d(mask, size)
        return F.adaptive_avg_pool2d(image * mask, size) / coverage.clamp_min(1e-3), coverage > _OUTSIDE

    lit, shown = inside(picture, SHADING_SIZE)
    flat, _ = inside(flat_lit, SHADING_SIZE)
    shading = (torch.log(lit + DIM) - torch.log(flat + DIM)) * shown
    flat, shown = inside(flat_lit, FLAT_SIZE)
    return torch.cat([shading.flatten(1), torch.log(flat * shown + DIM).flatten(1)], dim=1)
