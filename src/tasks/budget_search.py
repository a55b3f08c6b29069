"""Training a latent grid to a target: the bits in memory are searched for, first with short trainings.

A short training gives fewer dB and larger files than a full one, so that the first guess errs on the safe side. Full
trainings then say by how much, and the guess is corrected.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from src.data.lightmap_dataset import LightmapDataset
from src.export.bundle import encode_bundle
from src.models.grid.latent_grid import load_grid
from src.tasks.grid_task import GridTask
from src.tasks.grid_training import budget_bytes, grid_least_bpp, train_grid
from src.tasks.lightmap_options import GridOptions, Target
from src.training.distributed import Processes
from src.training.trainer import BEST, LAST
from src.utils.atomic import atomic_path

SHORT_SHARE = 0.15  # of the epochs or the time of a full training
FULL_TRAININGS = 3
FOLDER = "search"
LEAST_BPP = 0.1
RATES_PER_OCTAVE = 3


def bpp_of_rate(rate: int) -> float:
    """Bits in memory per texel and frame of the ``rate``-th step, from 0 on: three steps double them."""
    return LEAST_BPP * 2.0 ** (rate / RATES_PER_OCTAVE)


@dataclass(frozen=True)
class Trial:
    rate: int
    psnr_db: float
    size_bytes: int
    checkpoint: Path


class _Trainings:
    """Trains at a rate, each training in a folder of its own: what is there is not done again."""

    def __init__(
        self, data: LightmapDataset, folder: Path, options: GridOptions, group: Processes, identity: dict
    ) -> None:
        self._data, self._folder, self._options, self._group, self._identity = data, folder, options, group, identity
        self.log: list[str] = []

    def run(self, rate: int, share: float) -> Trial:
        kind = "full" if share == 1.0 else "short"
        options = replace(
            self._options,
            bpp=bpp_of_rate(rate),
            epochs=max(1, round(self._options.epochs * share)),
            time_budget_s=self._options.time_budget_s and self._options.time_budget_s * share,
        )
        folder = self._folder / f"{rate:02d}_{kind}"
        arguments = {**self._identity["arguments"], "rate": rate, "training": kind}
        identity = {**self._identity, "arguments": arguments}
        best = train_grid(self._data, folder, options, self._group, identity)
        model = load_grid(best, self._group.device)
        model.round_f2()
        task = GridTask(model, self._data, budget_bytes(self._data, options.bpp), options.seed)
        psnr_db = task.validate()["psnr_db"]
        trial = Trial(rate, psnr_db, len(encode_bundle(model.decoder())), best)
        self.log.append(f"{kind:5} {bpp_of_rate(rate):5.2f} bits: {psnr_db:.2f} dB, {trial.size_bytes} bytes")
        print(f"search: {self.log[-1]}", flush=True)
        return trial


def search(
    data: LightmapDataset, run_dir: Path, options: GridOptions, group: Processes, identity: dict, target: Target
) -> tuple[Path, str]:
    """Train to ``target`` with at most ``options.bpp`` bits.

    Returns the checkpoint, copied to ``run_dir``, and a clause that says whether the target was reached. Trainings lie
    in ``run_dir / "search"`` and serve other targets as well.
    """
    most = max(0, math.floor(RATES_PER_OCTAVE * math.log2(options.bpp / LEAST_BPP) + 1e-9))
    enough = grid_least_bpp(data, options)
    least = next(rate for rate in range(most + 1) if bpp_of_rate(rate) >= min(enough, bpp_of_rate(most)))
    trainings = _Trainings(data, run_dir / FOLDER, options, group, identity)
    short = _bisect(trainings, target, least, most)
    full: dict[int, Trial] = {}
    while len(full) < FULL_TRAININGS:
        rate = _guess(short, full, target, least, most)
        if rate in full:
            break
        full[rate] = trainings.run(rate, 1.0)
    best = _best(full, target)
    for which in (BEST, LAST):
        with atomic_path(run_dir / f"{which}.ckpt") as temporary:
            shutil.copyfile(best.checkpoint.with_name(f"{which}.ckpt"), temporary)
    is_met = target.is_met_by(best.psnr_db, best.size_bytes)
    remedy = "" if is_met else " (try a longer training" + (", a larger --bpp)" if best.rate == most else ")")
    verdict = "reached" if is_met else "NOT reached"
    return run_dir / f"{BEST}.ckpt", (
        f"target {target} {verdict} with {bpp_of_rate(best.rate):.2f} bits in memory, {best.size_bytes} bytes{remedy}; "
    )


def _bisect(trainings: _Trainings, target: Target, least: int, most: int) -> dict[int, Trial]:
    """Short trainings around where the target is met."""
    trials: dict[int, Trial] = {}
    low, high = least, most
    while low <= high:
        middle = (low + high) // 2
        trial = trials[middle] = trainings.run(middle, SHORT_SHARE)
        # More bits bring more dB and more bytes.
        needs_more = target.is_met_by(trial.psnr_db, trial.size_bytes) == (target.size_bytes is not None)
        low, high = (middle + 1, high) if needs_more else (low, middle - 1)
    return trials


def _guess(short: dict[int, Trial], full: dict[int, Trial], target: Target, least: int, most: int) -> int:
    """The lowest rate (to a PSNR) or the highest (to a size) that is thought to meet the target."""
    known = sorted(short)
    rates = np.arange(least, most + 1)
    psnr_db = np.interp(rates, known, [short[d].psnr_db for d in known])
    log_bytes = np.interp(rates, known, [np.log(short[d].size_bytes) for d in known])
    if full:  # what a full training brings, measured where one was done, taken over from the nearest elsewhere
        done = sorted(full)
        psnr_db += np.interp(rates, done, [full[d].psnr_db - psnr_db[d - least] for d in done])
        log_bytes += np.interp(rates, done, [np.log(full[d].size_bytes) - log_bytes[d - least] for d in done])
    meets = [
        d
        for d, db, size in zip(rates.tolist(), psnr_db, np.exp(log_bytes), strict=True)
        if (target.is_met_by(full[d].psnr_db, full[d].size_bytes) if d in full else target.is_met_by(db, size))
    ]
    if target.size_bytes is None:
        return min(meets, default=most)
    return max(meets, default=least)


def _best(full: dict[int, Trial], target: Target) -> Trial:
    meeting = [trial for trial in full.values() if target.is_met_by(trial.psnr_db, trial.size_bytes)]
    if target.size_bytes is None:
        return min(meeting, key=lambda t: t.size_bytes) if meeting else max(full.values(), key=lambda t: t.psnr_db)
    return max(meeting, key=lambda t: t.psnr_db) if meeting else min(full.values(), key=lambda t: t.size_bytes)
