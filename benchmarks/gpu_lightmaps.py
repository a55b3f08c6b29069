"""The sections of ``benchmarks.gpu`` about lightmaps: training and decoding, siren and grid, beside the plain way."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import train
from benchmarks import peer_loop
from benchmarks.gpu_table import Row
from benchmarks.grid_time_to_quality import BATCH_SAMPLES, plain_steps
from src.data.lightmap_dataset import LightmapDataset
from src.models.compressor import CompressorConfig, LightmapCompressor
from src.models.grid.config import GridConfig
from src.models.grid.latent_grid import LatentGrid
from src.models.siren_decoder import SirenDecoder, StoredLatents
from src.tasks.grid_task import GridTask
from src.utils.image_io import write_display

BATCH_SIZE = 65536
HOURS = tuple(float(hour) for hour in range(24))
NEVER = 10**9  # epochs
SHORTEST_SECONDS = 1.5  # of a training: rates are logged each second
_MOST_RUNS = 3  # each four times as long as the one before


def write_day(folder: Path, size: int) -> np.ndarray:
    """24 smooth pictures of ``size`` x ``size`` in ``folder``; T x H x W x 3 of what they show."""
    folder.mkdir()
    y, x = np.mgrid[0:size, 0:size] / size * 2 * np.pi
    frames = []
    for hour in HOURS:
        channels = [np.sin(x + hour / 4 + c) * np.cos(2 * y + c) for c in range(3)]
        frames.append((0.5 + 0.4 * np.stack(channels, axis=-1)).astype(np.float32))
        write_display(folder / f"tod_{round(hour * 100):04d}.png", frames[-1])
    return np.stack(frames)


def mean_rate(run_dir: Path, name: str) -> float | None:
    """The mean over the run of a rate that the trainer logged each second; the first second counts if it is all.

    None of a run that ended before it logged one.
    """
    logged = EventAccumulator(str(run_dir / "logs")).Reload()
    if f"train/{name}" not in logged.Tags()["scalars"]:
        return None
    entries = logged.Scalars(f"train/{name}")
    spans = [(after.wall_time - before.wall_time, after.value) for before, after in pairwise(entries)]
    if not spans:
        return entries[0].value
    return sum(span * rate for span, rate in spans) / sum(span for span, _ in spans)


def logged_rate(train_for: Callable[[float, Path], int], folder: Path, name: str, seconds: float) -> float:
    """The rate of a run of so many seconds, or where it logs none, as on a machine that is busy, of a longer one.

    ``train_for(seconds, run_dir)`` gives a script's exit status; runs lie in ``folder`` with their number.
    Raises RuntimeError where one fails or none logs anything.
    """
    seconds = max(seconds, SHORTEST_SECONDS)
    for number in range(_MOST_RUNS):
        run_dir = folder.with_name(f"{folder.name}_{number}")
        if train_for(seconds * 4**number, run_dir) != 0:
            raise RuntimeError(f"training failed in {run_dir.name}")
        if (rate := mean_rate(run_dir, name)) is not None:
            return rate
    raise RuntimeError(f"training logged no {name} in {seconds * 4 ** (_MOST_RUNS - 1):.0f} s")


def trained_rate(folder: Path, name: str, device: str, seconds: float, flags: list[str]) -> float:
    """Samples/s of ``train.py`` on the day in ``folder``."""
    argv = ["--data_dir", str(folder / "day"), "--device", device, *flags, "--save_every", str(NEVER)]

    def train_for(time_s: float, run_dir: Path) -> int:
        return train.main([*argv, "--out_dir", str(run_dir), "--time_budget", str(time_s / 60)])

    return logged_rate(train_for, folder / name, "texels_per_s", seconds)


def steps_per_second(step: Callable[[], int], seconds: float, device: str) -> float:
    """What ``step`` returns, per second, over so many seconds and at least two calls, the first one left out."""
    step()
    synchronize(device)
    started, done = time.perf_counter(), 0
    while done == 0 or time.perf_counter() - started < seconds:
        done += step()
        synchronize(device)
    return done / (time.perf_counter() - started)


def synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)


def siren_training(device: str, seconds: float, is_tiny: bool, report: Callable[[Row], None]) -> None:
    """``train.py --f1 siren`` and its modes beside the loop of ``peer_loop``."""
    with tempfile.TemporaryDirectory() as name:
        folder, share = Path(name), seconds / 4
        frames = write_day(folder / "day", 16 if is_tiny else 512)
        steps = iter(_plain_siren_steps(frames, device))
        plain = steps_per_second(lambda: next(steps), share, device)
        modes = {"float32": [], "bf16": ["--amp", "bf16"], "fp16": ["--amp", "fp16"]}
        for mode, flags in modes.items():
            sized = [*flags, "--f1", "siren", "--batch_size", str(240 if is_tiny else BATCH_SIZE)]
            ours = trained_rate(folder, mode, device, share, sized)
            report(Row("siren", f"training, {mode}", "samples/s", ours, plain))


def _plain_siren_steps(frames: np.ndarray, device: str) -> Iterator[int]:
    data = peer_loop.PerSampleDataset(frames, HOURS)
    return peer_loop.train(peer_loop.PlainCompressor().to(device), data, BATCH_SIZE)


def grid_training(device: str, seconds: float, is_tiny: bool, report: Callable[[Row], None]) -> None:
    """``train.py --f1 grid`` beside a plain loop over single samples of the same model."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = write_day(folder / "day", 16 if is_tiny else 512)
        sizes = ["--bpp", "100"] if is_tiny else []
        ours = trained_rate(folder, "grid", device, seconds / 2, ["--f1", "grid", *sizes])
        plain = steps_per_second(_plain_grid_step(frames, device), seconds / 3, device)
        report(Row("grid", "training", "samples/s", ours, plain))


def _plain_grid_step(frames: np.ndarray, device: str) -> Callable[[], int]:
    """A step of the usual loop over single samples, see :func:`benchmarks.grid_time_to_quality.plain_steps`."""
    texels = torch.from_numpy(frames).to(device).flatten(1, 2).transpose(0, 1).contiguous()  # N x T x 3
    mask = torch.ones(frames.shape[1:3], dtype=torch.bool, device=device)
    model = LatentGrid(GridConfig(*frames.shape[1:3], HOURS, is_radiance=False), mask)
    take = plain_steps(GridTask(model, LightmapDataset(texels, mask, HOURS), 0.0, 0), 0)

    def step() -> int:
        take()
        return BATCH_SAMPLES

    return step


def decoding(device: str, seconds: float, is_tiny: bool, report: Callable[[Row], None]) -> None:
    """Whole frames, from latents in memory to an array in memory; plain: F2 on all texels at once."""
    sizes = (16,) if is_tiny else (1024, 4096)
    for size in sizes:
        share = seconds / len(sizes) / 3
        torch.manual_seed(0)
        model = LightmapCompressor(CompressorConfig(size, size, HOURS)).to(device).eval()
        latents = np.random.default_rng(0).uniform(-1, 1, (size, size, model.config.latent_dim)).astype(np.float32)
        siren = SirenDecoder(StoredLatents(latents, torch.device(device)), model.f2, size, size)
        ours = steps_per_second(_frame_of(siren), share, device)
        note, plain = "", None
        try:
            plain = steps_per_second(_plain_frame(model, latents, device), share, device)
        except torch.cuda.OutOfMemoryError:
            note = "plain: out of the GPU's memory"
        report(Row("decoding", f"siren, {size} x {size}", "frames/s", ours, plain, note=note))
        del siren, latents, model

        mask = torch.ones(size, size, dtype=torch.bool, device=device)
        grid = LatentGrid(GridConfig(size, size, HOURS), mask).decoder()
        report(Row("decoding", f"grid, {size} x {size}", "frames/s", steps_per_second(_frame_of(grid), share, device)))
        del grid, mask


def _frame_of(decoder: object) -> Callable[[], int]:
    def step() -> int:
        decoder.render(12.5)
        return 1

    return step


def _plain_frame(model: LightmapCompressor, latents: np.ndarray, device: str) -> Callable[[], int]:
    z, hours = torch.from_numpy(latents).flatten(0, 1).to(device), torch.tensor([12.5], device=device)

    @torch.inference_mode()
    def step() -> int:
        model.f2(z, hours).cpu().numpy()
        return 1

    return step
