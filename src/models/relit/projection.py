"""An environment as a surface sees it: through wide lobes all around, and blurred as far as a rough mirror blurs it.

Both are sums over the environment's pixels, weighted by their exact solid angles: linear in the light, and 1 for a
uniform environment of radiance 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from src.models.delit.lobes import lobe_weights
from src.utils.sphere import pixel_solid_angles


class Light(NamedTuple):
    """N x M environments, projected."""

    wide: Tensor  # N x M x 3 x LOBES: mean radiance through each lobe
    blurred: list[Tensor]  # per sharpness N x M x 3 x h x w: mean radiance through the lobe about each direction


class LightProjection(nn.Module):
    """N x M x 3 x h x w radiance -> :class:`Light`; of lobes ``exp(k (cos - 1))`` for each of ``sharpnesses``.

    Lobes that are the same all around turn with the columns: in the Fourier domain along these, a blur is one small
    matrix of rows for each frequency.
    """

    lobes: Tensor
    kernels: Tensor

    def __init__(self, height: int, width: int, sharpnesses: Sequence[float]) -> None:
        super().__init__()
        self.size = (height, width)
        self.register_buffer("lobes", lobe_weights(height, width), persistent=False)  # LOBES x (h * w)
        kernels = [_blur_spectrum(height, width, sharpness) for sharpness in sharpnesses]
        self.register_buffer("kernels", torch.stack(kernels), persistent=False)  # S x F x h x h

    def forward(self, environment: Tensor) -> Light:
        wide = environment.flatten(3) @ self.lobes.T
        spectrum = torch.fft.rfft(environment.float()).permute(4, 3, 0, 1, 2)  # F x h x N x M x 3
        planes = torch.view_as_real(spectrum).flatten(2)  # F x h x (N * M * 3 * 2)
        blurred = []
        for kernel in self.kernels:
            turned = torch.view_as_complex((kernel @ planes).unflatten(2, (*spectrum.shape[2:], 2)))
            blurred.append(torch.fft.irfft(turned.permute(2, 3, 4, 1, 0), self.size[1]))
        return Light(wide, blurred)


def _blur_spectrum(height: int, width: int, sharpness: float) -> Tensor:
    """F x h x h, F = width // 2 + 1: what row v of the blurred map has of row u of the map, by frequency."""
    theta = np.pi * (np.arange(height) + 0.5) / height
    turn = 2 * np.pi * np.arange(width) / width
    cosine = np.cos(theta)[:, None, None] * np.cos(theta)[:, None] + np.sin(theta)[:, None, None] * np.sin(theta)[
        :, None
    ] * np.cos(turn)  # h x h x w
    kernel = np.exp(sharpness * (cosine - 1)) * pixel_solid_angles(height, width)[None, :, :1]
    kernel /= kernel.sum(axis=(1, 2), keepdims=True)
    # Even in the turn, so that its spectrum is real.
    return torch.from_numpy(np.fft.rfft(kernel).real.transpose(2, 0, 1).copy()).float()
