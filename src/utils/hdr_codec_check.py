"""The codecs' round trip over random radiance and over files, and how codes that are slightly off decode.

python -m src.utils.hdr_codec [env.hdr env.exr ...]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from src.utils.cli import InputError, Parser, positive_float, script
from src.utils.hdr_codec import CODECS, Codec, count_out_of_range, make_codec

TOLERANCE = 1e-5  # relative error of a round trip
_LEVELS = (0.01, 0.1, 0.5, 1.0, 5.0, 20.0, 1000.0, 10000.0)


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


def _random_radiance(rng: np.random.Generator, highest: float) -> np.ndarray:
    """Pixels log-uniform in brightness with random, also saturated, colours; some are black."""
    peak = np.exp(rng.uniform(np.log(1e-6), np.log(highest), (200_000, 1)))
    chroma = rng.uniform(0, 1, (200_000, 3)) ** rng.uniform(0.2, 8, (200_000, 1))
    chroma /= chroma.max(axis=1, keepdims=True)
    hdr = (peak * chroma).astype(np.float32)
    hdr[:100] = 0
    return hdr
