"""Milliseconds to decode a whole frame from a loaded bundle, against the default SIREN F2 on a map of the same size.

python benchmarks/grid_decode.py --bundle OUT/day.tod
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from src.utils import cli

ROUNDS = 9
HOUR = 12.5


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="what rate_distortion.py or export_latent.py wrote")
    return parser.parse_args(argv)


def fastest_ms(decode: Callable[[], object]) -> float:
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        decode()
        seconds.append(time.perf_counter() - started)
    return 1e3 * min(seconds)


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)

    import numpy as np
    import torch

    from src.export.bundle import read_bundle
    from src.models.compressor import CompressorConfig, LightmapCompressor
    from src.models.lightmap_decoder import LightmapDecoder, StoredLatents

    grid = read_bundle(arguments.bundle)
    config = CompressorConfig(grid.height, grid.width, grid.hours)
    latents = np.random.default_rng(0).uniform(-1, 1, (grid.height, grid.width, config.latent_dim)).astype(np.float32)
    siren = LightmapDecoder(
        StoredLatents(latents, torch.device("cpu")), LightmapCompressor(config).f2, grid.height, grid.width
    )

    ours, peer = fastest_ms(lambda: grid.render(HOUR)), fastest_ms(lambda: siren.render(HOUR))
    print(json.dumps({"grid_ms": round(ours, 2), "siren_ms": round(peer, 2), "speedup": round(peer / ours, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
