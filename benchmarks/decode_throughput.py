"""Decoding speed from an exported latent map: ours beside the plain whole-frame call ``F2(cat(z, t))``, in one run.

  python -m benchmarks.decode_throughput [--size 1024]

The default network with random weights: speed does not depend on what it has learned. Prints frames/s for single
frames and for a day of 24, random texels/s, the largest difference between the two, and the memory each adds.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks import peer_loop
from src.export.files import F2_WEIGHTS, LATENT_MAP
from src.export.siren import export_siren
from src.models.compressor import CompressorConfig, LightmapCompressor, load_exported
from src.utils import cli

RANDOM_TEXELS = 1 << 18
HOUR = 12.5


def median_seconds(functions: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Median seconds of each function, called in turn ``rounds`` times after one call that does not count."""
    seconds: list[list[float]] = [[] for _ in functions]
    for round_number in range(rounds + 1):
        for function, collected in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            function()
            if round_number:
                collected.append(time.perf_counter() - start)
    return [statistics.median(collected) for collected in seconds]


def plain_copy(model: LightmapCompressor) -> peer_loop.PlainCompressor:
    """The peer's network with our weights."""
    plain = peer_loop.PlainCompressor()
    for source, target in ((model.f1, plain.f1), (model.f2.siren, plain.f2)):
        linears = [layer.linear for layer in source.layers] + [source.head]
        copies = [module for module in target.modules() if isinstance(module, torch.nn.Linear)]
        for ours, theirs in zip(linears, copies, strict=True):
            theirs.load_state_dict(ours.state_dict())
    return plain.eval()


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.Parser(__doc__)
    parser.add_argument("--size", type=cli.positive_int, default=1024, help="height and width of the lightmap")
    parser.add_argument("--rounds", type=cli.positive_int, default=5, help="rounds of calls taken in turn")
    arguments = parser.parse_args(argv)

    torch.manual_seed(0)
    size = arguments.size
    model = LightmapCompressor(CompressorConfig(size, size, tuple(float(hour) for hour in range(24)))).eval()
    plain = plain_copy(model)
    with tempfile.TemporaryDirectory() as folder:
        export_siren(model, Path(folder))
        decoder = load_exported(Path(folder) / LATENT_MAP, Path(folder) / F2_WEIGHTS)
        latents = torch.from_numpy(np.load(Path(folder) / LATENT_MAP)).flatten(0, 1)
        picks = torch.randint(size * size, (RANDOM_TEXELS,))
        xy = torch.stack((picks % size + 0.5, picks // size + 0.5), dim=-1) * (2.0 / size) - 1.0
        hours = torch.rand(RANDOM_TEXELS) * 24.0

        @torch.no_grad()
        def plain_frame() -> torch.Tensor:
            return plain.colour(latents, torch.full((len(latents),), HOUR))

        @torch.no_grad()
        def plain_texels() -> torch.Tensor:
            return plain.colour(latents[picks], hours)

        day = [float(hour) for hour in range(24)]
        ours_frame, ours_day, theirs_frame, ours_texels, theirs_texels = median_seconds(
            [
                lambda: decoder.render(HOUR),
                lambda: [None for _ in decoder.frames(day)],
                plain_frame,
                lambda: decoder.decode(xy, hours),
                plain_texels,
            ],
            arguments.rounds,
        )
        frame_difference = float(np.abs(decoder.render(HOUR).reshape(-1, 3) - plain_frame().numpy()).max())
        texel_difference = float((decoder.decode(xy, hours) - plain_texels()).abs().max())

        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {size} x {size}, latents in memory")
        print(f"{'':28} {'ours':>12} {'plain':>12} {'ratio':>8} {'max diff':>10}")
        rows = [
            ("frames/s, one hour", 1 / ours_frame, 1 / theirs_frame, frame_difference),
            ("frames/s, a day of 24", 24 / ours_day, 1 / theirs_frame, frame_difference),
            ("random texels/s", RANDOM_TEXELS / ours_texels, RANDOM_TEXELS / theirs_texels, texel_difference),
        ]
        for name, ours, theirs, difference in rows:
            print(f"{name:28} {ours:12.4g} {theirs:12.4g} {ours / theirs:8.2f} {difference:10.1e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
