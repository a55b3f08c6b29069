"""Light from shading: the one linear step between what a surface shows and what lights it, solved instead of learned.

A Lambertian pixel's shading is a known mixture of the radiance in a few directions. Once a network has said which
mixture, and what the surface looks like without light, the radiance follows by least squares, for people and light
that it never saw.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_DARKEST = 1e-3  # radiance
_RIDGE = 0.03
_LEAST, _MOST = -0.8, 4.0  # relative change of a direction's radiance


class LightSolve(nn.Module):
    """How much brighter or darker than expected each direction is. Its one parameter is how far to trust shading.

    Per picture and colour ``d = argmin mean_p w_p (s_p - sum_k t_pk l_k (1 + d_k))^2 + ridge mean(s)^2 |d|^2``:
    directions that no pixel sees keep the expected radiance.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_ridge = nn.Parameter(torch.tensor(math.log(_RIDGE)))

    def forward(self, shading: Tensor, transfer: Tensor, weight: Tensor, expected: Tensor) -> Tensor:
        """``shading`` N x 3 x H x W, ``transfer`` N x K x H x W, ``weight`` N x 1 x H x W of at least 0, ``expected``
        radiance N x 3 x K -> logarithm of the factors that ``expected`` is to be multiplied with, N x 3 x K."""
        shading, transfer, weight = (x.flatten(2).float() for x in (shading, transfer, weight))
        expected = expected.float().clamp_min(_DARKEST)
        weight = weight / weight.sum(2, keepdim=True).clamp_min(1.0)
        mean = (shading * weight).sum(2).clamp_min(_DARKEST)  # N x 3
        weighted = transfer * weight
        gram = weighted @ transfer.mT  # N x K x K
        rest = shading - expected @ transfer  # N x 3 x P
        right = rest @ weighted.mT * expected  # N x 3 x K
        left = expected[..., None] * gram[:, None] * expected[..., None, :]
        ridge = (torch.exp(self.log_ridge) * mean.square())[..., None, None]
        left = left + ridge * torch.eye(left.shape[-1], device=left.device)
        change = torch.linalg.solve(left, right[..., None])[..., 0]
        return torch.log1p(change.clamp(_LEAST, _MOST))
