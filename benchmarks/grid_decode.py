"""Milliseconds to open a bundle and to decode 100,000 random texels (processor time), and to decode a frame.

Beside the latter a frame by the default SIREN F2 on a map of the same size, in two ways: ``siren``, this project's
decoder, tile by tile; ``plain``, F2 called on all texels at once.

python -m benchmarks.grid_decode --bundle OUT/day.tod
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from src.utils import cli

ROUNDS = 9
HOUR = 12.5
TEXELS = 100_000


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="what rate_distortion.py or export_latent.py wrote")
    return parser.parse_args(argv)


def fastest_ms(decode: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    seconds = []
    for _ in range(ROUNDS):
        started = clock()
        decode()
        seconds.append(clock() - started)
    return 1e3 * min(seconds)


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)

    import numpy as np
    import torch

    from src.export.bundle import read_bundle
    from src.models.compressor import CompressorConfig, LightmapCompressor
    from src.models.siren_decoder import SirenDecoder, StoredLatents

    grid = read_bundle(arguments.bundle)
    config = CompressorConfig(grid.height, grid.width, grid.hours)
    latents = np.random.default_rng(0).uniform(-1, 1, (grid.height, grid.width, config.latent_dim)).astype(np.float32)
    siren = SirenDecoder(
        StoredLatents(latents, torch.device("cpu")), LightmapCompressor(config).f2, grid.height, grid.width
    )

    f2, hours = LightmapCompressor(config).f2.eval(), torch.tensor([HOUR])
    z = torch.from_numpy(latents).flatten(0, 1)

    @torch.inference_mode()
    def plain() -> object:
        return f2(z, hours)

    xy = torch.rand(TEXELS, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    opening = {"load": fastest_ms(lambda: read_bundle(arguments.bundle), time.process_time)}
    times = {"grid": fastest_ms(lambda: grid.render(HOUR)), "siren": fastest_ms(lambda: siren.render(HOUR))}
    times["plain"] = fastest_ms(plain)
    opening["texels"] = fastest_ms(lambda: grid.decode(xy, HOUR), time.process_time)
    result = {f"{name}_ms": round(value, 2) for name, value in (opening | times).items()}
    print(json.dumps(result | {f"{name}_ratio": round(times[name] / times["grid"], 1) for name in ("siren", "plain")}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
