"""Milliseconds per frame and nanoseconds per random texel of the C decoder and of the Python decoder, on one core.

Each round asks every decoder in turn; the fastest round counts. The C decoder is built with the machine's widest
vectors (``c``), with AVX2 where the processor has it (``c_avx2``), and without any of its own (``c_plain``).

python -m benchmarks.decode_engines --bundle OUT/day.tod
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from src.utils import cli

ROUNDS = 9
HOUR = 12.5
TEXELS = 100_000
BUILDS = {"c": ["-march=native"], "c_avx2": ["-mavx2", "-mfma"], "c_plain": ["-DTOD_PLAIN"]}


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="what rate_distortion.py or export_latent.py wrote")
    return parser.parse_args(argv)


def fastest_seconds(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The least time of each, all of them asked in turn, so that what else the machine does meets all."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, decode in ways.items():
            started = time.perf_counter()
            decode()
            seconds[name].append(time.perf_counter() - started)
    return {name: min(times) for name, times in seconds.items()}


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)

    import numpy as np
    import torch

    from src.export.bundle import read_bundle
    from tests.export.c_decoder import LIBRARY_SOURCE, CDecoder, build, c_compiler, load

    torch.set_num_threads(1)
    compiler = c_compiler()
    if compiler is None:
        raise cli.InputError("gcc", "there is no C compiler", "install gcc or another one named cc")
    python = read_bundle(arguments.bundle)
    content = arguments.bundle.read_bytes()
    uv = np.random.default_rng(0).random((TEXELS, 2), np.float32)
    xy = torch.from_numpy(uv * 2 - 1)
    frames: dict[str, Callable[[], object]] = {"torch": lambda: python.render(HOUR)}
    texels: dict[str, Callable[[], object]] = {"torch": lambda: python.decode(xy, HOUR)}
    largest_error = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, flags in BUILDS.items():
            library = Path(folder) / f"lib{name}.so"
            build(compiler, LIBRARY_SOURCE, library, ["-std=c99", "-O3", "-shared", "-fPIC", *flags])
            decoder = CDecoder(load(library), content)
            frames[name] = lambda decoder=decoder: decoder.frame(HOUR)
            texels[name] = lambda decoder=decoder: decoder.sample(uv, HOUR)
            largest_error = max(largest_error, float(np.abs(decoder.frame(HOUR) - python.render(HOUR)).max()))
        frame, texel = fastest_seconds(frames), fastest_seconds(texels)
    result: dict[str, float] = {"largest_error": largest_error, "resident_bytes": decoder.info.resident_bytes}
    result |= {f"{name}_frame_ms": round(1e3 * value, 2) for name, value in frame.items()}
    result |= {f"{name}_texel_ns": round(1e9 * value / TEXELS, 1) for name, value in texel.items()}
    result |= {f"{name}_frame_ratio": round(frame["torch"] / frame[name], 2) for name in BUILDS}
    result |= {f"{name}_texel_ratio": round(texel["torch"] / texel[name], 1) for name in BUILDS}
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
