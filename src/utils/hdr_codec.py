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
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from src.utils.cli import InputError, Parser, positive_float, script
from src.utils.sphere import pixel_directions

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array", np.ndarray, "torch.Tensor")

CODECS = ("log", "dual")
TOLERANCE = 1e-5
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
    return {"log": LogCodec, "dual": DualCodec}[name](log_scale)


def direction_channels(height: int, width: int) -> np.ndarray:
    """``(height, width, 3)`` float32 in [0, 1]: pixel directions as ``(d + 1) / 2``, beside a map's codes."""
    return (0.5 * pixel_directions(height, width) + 0.5).astype(np.float32)


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
    if isinstance(values, np.ndarray):
        xp, axis, values = np, -1, values.astype(np.float32, copy=False)
    else:
        import torch

        xp, axis, values = torch, -3, values.float()
    if values.ndim < -axis or values.shape[axis] != channels:
        raise ValueError(f"expected {channels} channels on axis {axis}, got the shape {tuple(values.shape)}")
    return xp, axis, values


def _split(code: Array, axis: int, at: int) -> tuple[Array, Array]:
    rest = (slice(None),) * (-axis - 1)
    return code[(..., slice(None, at), *rest)], code[(..., slice(at, None), *rest)]


def _clamp_radiance(rgb: Array, ceiling: float) -> Array:
    if isinstance(rgb, np.ndarray):
        counts = count_out_of_range(rgb, ceiling)
        if any(counts.values()):
            found = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in counts.items() if count)
            warnings.warn(f"radiance clamped to [0, {ceiling:g}]: {found}", HdrRangeWarning, stacklevel=3)
        return np.nan_to_num(rgb, nan=0.0, posinf=ceiling, neginf=0.0).clip(0.0, ceiling).astype(np.float32)
    return rgb.nan_to_num(nan=0.0, posinf=ceiling, neginf=0.0).clip(0.0, ceiling)


def round_trip_error(codec: Codec, hdr: np.ndarray) -> float:
    """Largest error of ``decode(encode(hdr))`` relative to each pixel's largest colour, for radiance within range."""
    hdr = hdr.clip(0.0, codec.ceiling)
    error = np.abs(codec.decode(codec.encode(hdr)).astype(np.float64) - hdr)
    return float((error / hdr.max(axis=-1, keepdims=True).clip(1e-6, None)).max())


def perturbed_error(codec: Codec, radiance: float, noise: float, rng: np.random.Generator) -> float:
    """Root mean square relative error of the decoded grey ``radiance`` when each code gets Gaussian ``noise``."""
    hdr = np.full((20_000, 3), radiance, np.float32)
    code = codec.encode(hdr)
    code = code + rng.normal(0.0, noise, code.shape).astype(np.float32)
    return float(np.sqrt(np.mean((codec.decode(code).astype(np.float64) / radiance - 1) ** 2)))


@script
def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__)
    parser.add_argument("files", nargs="*", help="environments (.hdr, .exr) to send through the codecs as well")
    parser.add_argument("--log_scale", type=positive_float, default=10.0, help="ceiling = exp(log_scale) - 1")
    args = parser.parse_args(argv)

    rng = np.random.default_rng(0)
    sources = {"random, 1e-6 to 2e4": _random_radiance(rng, min(2e4, float(np.expm1(args.log_scale))))}
    for file in args.files:
        from src.utils.image_io import read_linear

        sources[file] = read_linear(file)
        if not np.isfinite(sources[file]).all():
            raise InputError(file, "holds NaN or infinite values", "repair the file")

    failed = 0
    for label, hdr in sources.items():
        for name in CODECS:
            codec = make_codec(name, args.log_scale)
            error = round_trip_error(codec, hdr)
            clamped = count_out_of_range(hdr, codec.ceiling)["above_ceiling"]
            failed += error > TOLERANCE
            verdict = "ok" if error <= TOLERANCE else f"ABOVE {TOLERANCE:g}"
            print(f"{label}: {name}: largest relative error {error:.2e} {verdict}; {clamped} values above the ceiling")

    print(f"\nRMS relative error of decoded grey when the codes are off, log_scale {args.log_scale:g}")
    print(f"{'code noise':>10} {'codec':>5} " + " ".join(f"L={level:<7g}" for level in _LEVELS))
    for noise in (0.002, 0.01, 0.02, 0.05):
        for name in CODECS:
            codec = make_codec(name, args.log_scale)
            errors = [perturbed_error(codec, level, noise, rng) for level in _LEVELS]
            print(f"{noise:>10} {name:>5} " + " ".join(f"{error:<9.3f}" for error in errors))
    return 1 if failed else 0


_LEVELS = (0.01, 0.1, 0.5, 1.0, 5.0, 20.0, 1000.0, 10000.0)


def _random_radiance(rng: np.random.Generator, highest: float) -> np.ndarray:
    """Pixels log-uniform in brightness with random, also saturated, colours; some are black."""
    peak = np.exp(rng.uniform(np.log(1e-6), np.log(highest), (200_000, 1)))
    chroma = rng.uniform(0, 1, (200_000, 3)) ** rng.uniform(0.2, 8, (200_000, 1))
    chroma /= chroma.max(axis=1, keepdims=True)
    hdr = (peak * chroma).astype(np.float32)
    hdr[:100] = 0
    return hdr


if __name__ == "__main__":
    sys.exit(main())
