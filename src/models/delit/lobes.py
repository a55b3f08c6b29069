"""The directions that a pixel's shading tells apart: lobes ``exp(k (cos - 1))`` spread evenly over the sphere."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from src.utils.sphere import fibonacci_sphere, pixel_directions, pixel_solid_angles

LOBES = 48  # some 30 degrees from one another
SHARPNESS = 15.0  # k


def lobe_weights(height: int, width: int) -> Tensor:
    """LOBES x (height * width): the mean radiance of an environment through each lobe is this times it."""
    lobes = np.exp(SHARPNESS * (_cosines(height, width) - 1)) * pixel_solid_angles(height, width).reshape(-1, 1)
    return torch.from_numpy((lobes / lobes.sum(axis=0)).T.copy()).float()


def blend_weights(height: int, width: int) -> Tensor:
    """(height * width) x LOBES: a smooth map of what the lobes say is this times it; rows sum to 1."""
    blend = np.exp(2 * SHARPNESS * (_cosines(height, width) - 1))
    return torch.from_numpy(blend / blend.sum(axis=1, keepdims=True)).float()


def lobe_shares(directions: Tensor) -> Tensor:
    """L x 3 unit directions -> LOBES x L: how a light from there is dealt to the lobes about it; columns sum to 1."""
    axes = torch.from_numpy(fibonacci_sphere(LOBES)).to(directions)
    return torch.softmax(2 * SHARPNESS * (axes @ directions.T), dim=0)


def _cosines(height: int, width: int) -> np.ndarray:
    return pixel_directions(height, width).reshape(-1, 3) @ fibonacci_sphere(LOBES).T
