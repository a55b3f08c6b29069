"""Training speed of the default network: ours beside the per-sample Dataset + DataLoader loop, in one run.

  python -m benchmarks.train_throughput [--data_dir DIR ...] [--quality_seconds 60]

Prints, for the bundled samples and every further folder: samples/s of both (medians of steps taken in turn), the
share of the machine's float32 matrix-product rate that training reaches, and the seconds each needs to the PSNR that
the peer has after ``--quality_seconds``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks import peer_loop
from src.data.lightmap_dataset import LightmapDataset, TexelBatches
from src.losses.siren_loss import CPU_SLICE_SAMPLES
from src.models.compressor import CompressorConfig, LightmapCompressor
from src.tasks.siren_task import SirenTask
from src.training.distributed import Processes
from src.utils import cli
from train import SAMPLES

BATCH_SIZE = 65536
LEARNING_RATE = 1e-3
VALIDATION_STEPS = 4


class OurLoop:
    """The inner loop of train.py on one process, a step at a time."""

    def __init__(self, data: LightmapDataset, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.model = LightmapCompressor(CompressorConfig(data.height, data.width, data.hour_values))
        self.task = SirenTask(self.model, data, Processes(0, 1, torch.device("cpu")))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE, fused=True)
        self._batches = TexelBatches(data, BATCH_SIZE, None, seed)
        self._epoch, self._stream = -1, iter(())

    def step(self) -> int:
        batch = next(self._stream, None)
        if batch is None:
            self._epoch += 1
            self._stream = self._batches.epoch(self._epoch, 0)
            batch = next(self._stream)
        self.optimizer.zero_grad(set_to_none=True)
        self.task(batch)["loss"].backward()
        self.optimizer.step()
        return self.task.samples(batch)


def matrix_rate(rows: int, width: int) -> float:
    """Median float32 multiply-adds x 2 per second of ``rows x width`` times ``width x width``, result preallocated."""
    a, b, out = torch.randn(rows, width), torch.randn(width, width), torch.empty(rows, width)
    seconds = []
    for _ in range(30):
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        seconds.append(time.perf_counter() - start)
    return 2.0 * rows * width * width / statistics.median(seconds)


def flops_per_sample(model: LightmapCompressor, hours: int) -> tuple[float, float]:
    """(as the peer counts: every product for every sample, as performed here: shared ones once per texel).

    Per weight of a layer: 2 forward, 2 for the weights' gradient, 2 for the input's.
    """
    f1 = sum(p.numel() for p in model.f1.parameters() if p.ndim == 2)
    f2 = sum(p.numel() for p in model.f2.parameters() if p.ndim == 2)
    first = model.f2.siren.layers[0].linear.weight
    latent_part = first.shape[0] * model.config.latent_dim
    time_part = first.numel() - latent_part
    return 6.0 * (f1 + f2), 6.0 * (f2 - latent_part - time_part + (f1 + latent_part) / hours)


def throughput(data: LightmapDataset, peer_data: peer_loop.PerSampleDataset, rounds: int) -> dict[str, float]:
    """Medians over ``rounds`` rounds, each one step of the peer and as many of ours as take a comparable time."""
    ours = OurLoop(data)
    peer_model = peer_loop.PlainCompressor()
    peer = peer_loop.train(peer_model, peer_data, BATCH_SIZE, LEARNING_RATE)
    ours.step()
    our_rates, peer_rates, matrix_rates = [], [], []
    for _ in range(rounds):
        start = time.perf_counter()
        samples = next(peer)
        peer_rates.append(samples / (time.perf_counter() - start))
        for _ in range(8):
            start = time.perf_counter()
            samples = ours.step()
            our_rates.append(samples / (time.perf_counter() - start))
        matrix_rates.append(matrix_rate(CPU_SLICE_SAMPLES, ours.model.config.hidden_f2))
    ours_rate, peer_rate = statistics.median(our_rates), statistics.median(peer_rates)
    counted, performed = flops_per_sample(ours.model, len(data.hours))
    rate = statistics.median(matrix_rates)
    return {
        "ours_samples_per_s": ours_rate,
        "peer_samples_per_s": peer_rate,
        "speedup": ours_rate / peer_rate,
        "matrix_gflops": rate / 1e9,
        "share_of_matrix_rate": ours_rate * counted / rate,
        "share_performed_only": ours_rate * performed / rate,
    }


def time_to_quality(data: LightmapDataset, peer_data: peer_loop.PerSampleDataset, seconds: float) -> dict[str, float]:
    """The peer's validation PSNR after ``seconds`` of training, and our seconds to the same; validation not counted."""
    torch.manual_seed(0)
    peer_model = peer_loop.PlainCompressor()
    start = time.perf_counter()
    for _ in peer_loop.train(peer_model, peer_data, BATCH_SIZE, LEARNING_RATE):
        peer_seconds = time.perf_counter() - start
        if peer_seconds >= seconds:
            break
    target = peer_model.psnr_db(peer_data)

    ours = OurLoop(data)
    our_seconds, score = 0.0, -np.inf
    while score < target:
        start = time.perf_counter()
        for _ in range(VALIDATION_STEPS):
            ours.step()
        our_seconds += time.perf_counter() - start
        score = ours.task.validate()["psnr_db"]
    return {
        "target_psnr_db": target,
        "peer_seconds": peer_seconds,
        "ours_seconds": our_seconds,
        "ratio": peer_seconds / our_seconds,
    }


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.Parser(__doc__)
    parser.add_argument("--data_dir", type=Path, nargs="*", default=[], help="further folders of lightmaps")
    parser.add_argument("--rounds", type=cli.positive_int, default=5, help="rounds of steps taken in turn")
    parser.add_argument("--quality_seconds", type=cli.non_negative_float, default=60.0, help="0 leaves that part out")
    arguments: argparse.Namespace = parser.parse_args(argv)

    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {BATCH_SIZE}")
    for folder in [SAMPLES, *arguments.data_dir]:
        data = LightmapDataset.from_folder(folder)
        frames = np.stack([data.frame(t) for t in range(len(data.hours))])
        peer_data = peer_loop.PerSampleDataset(frames, data.hour_values)
        print(f"\n{folder.name}, {data.width} x {data.height}, {len(data.hours)} hours")
        results = throughput(data, peer_data, arguments.rounds)
        if arguments.quality_seconds and folder == SAMPLES:
            results |= time_to_quality(data, peer_data, arguments.quality_seconds)
        for name, value in results.items():
            print(f"  {name:24} {value:12.4g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
