"""sRGB transfer (IEC 61966-2-1, the exact piecewise curve) and luminance, for numpy arrays and torch tensors."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array", np.ndarray, "torch.Tensor")
LUMINANCE = (0.2126, 0.7152, 0.0722)  # of linear R, G and B with the primaries of Rec. 709


def luminance(linear: Array) -> Array:
    """Rec. 709 luminance of linear RGB: numpy ``... x 3`` -> ``...``, torch ``... x 3 x H x W`` -> ``... x H x W``.

    In the picture's own precision.
    """
    if isinstance(linear, np.ndarray):
        return linear @ np.array(LUMINANCE, linear.dtype)
    import torch

    return torch.einsum("...chw,c->...hw", linear, _torch_weights(linear.device, linear.dtype))


@lru_cache(maxsize=16)
def _torch_weights(device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Made once for each place, so that nothing is copied to a GPU later on."""
    import torch

    with torch.inference_mode(False):  # it may be asked for there first, and be trained with later
        return torch.tensor(LUMINANCE, device=device, dtype=dtype)


def linear_to_srgb(linear: Array) -> Array:
    """Linear [0, 1] -> sRGB [0, 1]. Values outside are clamped first."""
    return extended_srgb(linear.clip(0.0, 1.0))


def extended_srgb(linear: Array) -> Array:
    """:func:`linear_to_srgb` with the curve going on above 1 and, as a line, below 0: its gradient is never lost."""
    # The power is taken of at least the curve's knee, so that its gradient is finite at black.
    curve = 1.055 * linear.clip(0.0031308, None) ** (1 / 2.4) - 0.055
    return _where(linear <= 0.0031308, linear * 12.92, curve)


def srgb_to_linear(srgb: Array) -> Array:
    """sRGB [0, 1] -> linear [0, 1]. Values outside are clamped first."""
    srgb = srgb.clip(0.0, 1.0)
    curve = ((srgb + 0.055) / 1.055) ** 2.4
    return _where(srgb <= 0.04045, srgb / 12.92, curve)


def expose(image: np.ndarray, exposure: float | None, is_linear: bool) -> np.ndarray:
    """Linear radiance, or display values, -> display values in [0, 1]: times ``exposure`` in linear light, clipped.

    Display values stay exactly as they are when ``exposure`` is None.
    """
    if exposure is None:
        return linear_to_srgb(image) if is_linear else image
    linear = image if is_linear else srgb_to_linear(image)
    return linear_to_srgb(linear * np.float32(exposure))


def _where(condition: Array, if_true: Array, if_false: Array) -> Array:
    if isinstance(condition, np.ndarray | np.generic):
        return np.where(condition, if_true, if_false).astype(if_false.dtype)
    return if_true.where(condition, if_false)
