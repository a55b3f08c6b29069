"""HDR radiance as codes in [0, 1] for networks, and back.

Check the round trip over random radiance and over files, and see how codes that are slightly off decode:

    python -m src.utils.hdr_codec [env.hdr env.exr ...]

Two codecs, chosen by ``--env_codec``:

- ``log``, 4 channels: ``rgb / max_rgb`` and ``log(1 + max_rgb) / log_scale`` with ``max_rgb = max(R, G, B)``.
  Its weak points: an error of 0.02 in the log channel is 22 % of the radiance, and black has no colour of its own.
- ``dual``, 6 channels: ``rgb / (1 + rgb)`` and ``log(1 + rgb) / log_scale``, each per colour. Decoding weighs the two
  by how much a code error would move each, so that the tone-mapped one rules below some 9 and the log one above.
  A larger ``log_scale`` then raises the ceiling at no cost for ordinary light. (Tone-mapped and log pictures side by
  side, with the pixels' directions for a network that reads the map: Liang et al. 2025, DiffusionRenderer.)

The channel axis is the last for numpy (``... x H x W x C``) and the third from the end for torch (``... x C x H x W``).
Codes and radiance are float32 whatever comes in, under autocast too. Radiance outside what a code can hold is clamped:
negative and NaN to 0, above ``exp(log_scale) - 1`` (22,025 by default) and infinite to that ceiling. Encoding numpy
arrays warns with the counts; torch tensors are clamped without one, since counting would stall a GPU.
"""

from __future__ import annotations

import sys
import warnings
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array", np.ndarray, "torch.Tensor")

CODECS = ("log", "dual")
# Below this a channel ratio is noise; black gets the neutral chroma (1, 1, 1).
_BLACK = 1e-10


class HdrRangeWarning(UserWarning):
    """Radiance that the code cannot hold was clamped."""


class LogCodec:
    """Normalised RGB and log luminance: 4 channels. Black has the chroma (1, 1, 1)."""

    channels = 4

    def __init__(self, log_scale: float = 10.0) -> None:
        self.log_scale = log_scale
        self.ceiling = float(np.expm1(log_scale))

    def encode(self, hdr: Array) -> Array:
        """Linear radiance with 3 channels -> codes in [0, 1] with 4."""
        xp, axis, rgb = _prepare(hdr, 3)
        rgb = _clamp_radiance(rgb, self.ceiling)
        max_rgb = xp.amax(rgb, axis=axis, keepdims=True)
        chroma = xp.where(max_rgb > _BLACK, rgb / max_rgb.clip(_BLACK, None), xp.ones_like(rgb))
        return xp.concatenate([chroma, xp.log1p(max_rgb) / self.log_scale], axis=axis)

    def decode(self, code: Array) -> Array:
        """Codes with 4 channels (clamped to [0, 1]) -> linear radiance with 3."""
        xp, axis, code = _prepare(code, 4)
        chroma, log = _split(code.clip(0.0, 1.0), axis, 3)
        return chroma * xp.expm1(log * self.log_scale)


class DualCodec:
    """Tone-mapped RGB and log RGB: 6 channels. Black is 0 in all of them."""

    channels = 6

    def __init__(self, log_scale: float = 10.0) -> None:
        self.log_scale = log_scale
        self.ceiling = float(np.expm1(log_scale))

    def encode(self, hdr: Array) -> Array:
        """Linear radiance with 3 channels -> codes in [0, 1] with 6."""
        xp, axis, rgb = _prepare(hdr, 3)
        rgb = _clamp_radiance(rgb, self.ceiling)
        return xp.concatenate([rgb / (1 + rgb), xp.log1p(rgb) / self.log_scale], axis=axis)

    def decode(self, code: Array) -> Array:
        """Codes with 6 channels (clamped to [0, 1]) -> linear radiance with 3.

        An error e of the tone-mapped code moves radiance L by ``(1 + L)^2 e``, of the log code by
        ``(1 + L) log_scale e``: the decoded values are averaged with the inverse squares of these as weights.
        """
        xp, axis, code = _prepare(code, 6)
        tone, log = _split(code.clip(0.0, 1.0), axis, 3)
        from_log = xp.expm1(log * self.log_scale)
        # A tone code of 1 would be infinite; from here on its weight is below float32 resolution anyway.
        tone = tone.clip(None, 1 - 1e-4)
        from_tone = tone / (1 - tone)
        # The weight must not depend on one code alone: a wrong one would then vouch for itself.
        scale = 1 + 0.5 * (from_log.clip(None, 1e4) + from_tone)
        share = self.log_scale**2 / (self.log_scale**2 + scale**2)
        return share * from_tone + (1 - share) * from_log


Codec = LogCodec | DualCodec


def make_codec(name: str, log_scale: float = 10.0) -> Codec:
    """The codec called ``name``, one of :data:`CODECS`."""
    kinds: dict[str, type[Codec]] = {"log": LogCodec, "dual": DualCodec}
    return kinds[name](log_scale)


def count_out_of_range(hdr: np.ndarray, ceiling: float) -> dict[str, int]:
    """How many values encoding would clamp, by kind: ``negative``, ``above_ceiling``, ``not_finite``."""
    finite = np.isfinite(hdr)
    return {
        "negative": int(np.count_nonzero(finite & (hdr < 0))),
        "above_ceiling": int(np.count_nonzero(finite & (hdr > ceiling * (1 + 1e-6)))),
        "not_finite": int(hdr.size - np.count_nonzero(finite)),
    }


def _prepare(values: Array, channels: int) -> tuple[ModuleType, int, Array]:
    """The array's module, its channel axis and its float32 values."""
    xp: ModuleType
    if isinstance(values, np.ndarray):
        xp, axis, values = np, -1, values.astype(np.float32, copy=False)
    else:
        import torch

        xp, axis, values = torch, -3, values.float()
    if values.ndim < -axis or values.shape[axis] != channels:
        raise ValueError(f"expected {channels} channels on axis {axis}, got the shape {tuple(values.shape)}")
    return xp, axis, values


def _split(code: Array, axis: int, at: int) -> tuple[Array, Array]:
    rest: tuple[slice, ...] = (slice(None),) * (-axis - 1)
    first: Any = (..., slice(None, at), *rest)
    second: Any = (..., slice(at, None), *rest)
    return code[first], code[second]


def _clamp_radiance(rgb: Array, ceiling: float) -> Array:
    if isinstance(rgb, np.ndarray):
        counts = count_out_of_range(rgb, ceiling)
        if any(counts.values()):
            found = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in counts.items() if count)
            warnings.warn(f"radiance clamped to [0, {ceiling:g}]: {found}", HdrRangeWarning, stacklevel=3)
        return np.nan_to_num(rgb, nan=0.0, posinf=ceiling, neginf=0.0).clip(0.0, ceiling).astype(np.float32)
    return rgb.nan_to_num(nan=0.0, posinf=ceiling, neginf=0.0).clip(0.0, ceiling)


if __name__ == "__main__":
    from src.utils.hdr_codec_check import main

    sys.exit(main())
