"""The closed-form start of a latent grid: principal components of the texels' days, weighted by hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_CHUNK = 65536
_REWEIGHTINGS = 5
_RANGE_SAMPLE = 100_000
_TAIL = 1e-4  # of a component's values may be clipped
_MARGIN = 0.02


@dataclass(frozen=True)
class TemporalSvd:
    """``days ~ latents @ basis + mean`` with latents in [-1, 1]: N x D, D x F, F."""

    latents: Tensor
    basis: Tensor
    mean: Tensor

    def in_equal_steps(self, scale: float = 1.0, out: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(latents, basis) with the channels scaled so that a step of any of them changes the description alike.

        Latents are written to ``out`` if it is given.

        The channel with the largest changes gets latents in [-scale, scale], all others less. Under a price per bit
        a channel of little effect then costs little: what reverse water-filling asks for (Cover and Thomas, 10.3).
        """
        size = self.basis.norm(dim=1)
        factor = (scale * size / size.max().clamp_min(1e-12)).clamp_min(1e-6)
        return torch.mul(self.latents, factor, out=out), self.basis / factor.unsqueeze(1)


def temporal_svd(days: Tensor, latent_dim: int, values_per_hour: int = 3, scale: Tensor | None = None) -> TemporalSvd:
    """The best ``latent_dim``-dimensional linear description of ``days`` N x F (F = hours x values per hour).

    With ``scale`` F of ``days / scale``, which is never held as a whole.

    Hours are reweighted by mse^-1/4 of the description so far, which keeps the worst hours near the others.
    Latents are scaled so that all but a ten-thousandth of each component's values fall into [-1, 1].
    """

    def parts() -> Iterator[Tensor]:
        for part in days.split(_CHUNK):
            yield (part if scale is None else part / scale) - mean

    mean = days.mean(dim=0) if scale is None else days.mean(dim=0) / scale
    weights = days.new_ones(days.shape[1])
    products = torch.zeros(days.shape[1], days.shape[1], dtype=torch.float64, device=days.device)
    for part in parts():
        products += _outer(part)
    covariance = products / len(days)
    for k in range(_REWEIGHTINGS + 1):
        vectors = torch.linalg.eigh(weights.unsqueeze(1) * covariance * weights).eigenvectors
        vectors = vectors.flip(1)[:, :latent_dim]
        analysis = weights.unsqueeze(1) * vectors
        basis = vectors.T / weights
        if k == _REWEIGHTINGS:
            break
        rest = torch.eye(len(covariance), dtype=torch.float64, device=days.device) - analysis @ basis
        error = (rest * (covariance @ rest)).sum(dim=0).view(-1, values_per_hour).mean(dim=1)
        hourly = error.clamp_min(1e-9).pow(-0.25)
        weights = (hourly / hourly.mean()).clamp(0.1, 10.0).repeat_interleave(values_per_hour)
    analysis, basis = analysis.to(days.dtype), basis.to(days.dtype)
    latents = days.new_empty(len(days), analysis.shape[1])
    for part, described in zip(parts(), latents.split(_CHUNK), strict=True):
        torch.mm(part, analysis, out=described)
    sample = latents[:: max(1, len(latents) // _RANGE_SAMPLE)]
    low, high = torch.quantile(sample, _TAIL, dim=0), torch.quantile(sample, 1 - _TAIL, dim=0)
    centre = (low + high) / 2
    half = ((high - low) * (0.5 + _MARGIN)).clamp_min(1e-6)
    latents.sub_(centre).div_(half).clamp_(-1.0, 1.0)
    return TemporalSvd(latents, half.unsqueeze(1) * basis, mean + centre @ basis)


def _outer(rows: Tensor) -> Tensor:
    return (rows.T @ rows).double()
