"""Training a latent grid to a target: the number of channels is searched for, first with short trainings.

A short training gives fewer dB and larger files than a full one, so that the first guess errs on the safe side. Full
trainings then say by how much, and the guess is corrected.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from src.data.lightmap_dataset import LightmapDataset
from src.export.bundle import encode_bundle
from src.models.grid.latent_grid import load_grid
from src.tasks.grid_task import GridTask
from src.tasks.grid_training import grid_config, train_grid
from src.tasks.lightmap_options import GridOptions, Target
from src.training.distributed import Processes
from src.training.trainer import BEST, LAST
from src.utils.atomic import atomic_path

SHORT_SHARE = 0.15  # of the epochs or the time of a full training
FULL_TRAININGS = 3
FOLDER = "search"


@dataclass(frozen=True)
class Trial:
    latent_dim: int
    psnr_db: float
    size_bytes: int
    checkpoint: Path


class _Trainings:
    """Trains with a number of channels, each training in a folder of its own: what is there is not done again."""

    def __init__(
        self, data: LightmapDataset, folder: Path, options: GridOptions, group: Processes, identity: dict
    ) -> None:
        self._data, self._folder, self._options, self._group, self._identity = data, folder, options, group, identity
        self.log: list[str] = []

    def run(self, latent_dim: int, share: float) -> Trial:
        kind = "full" if share == 1.0 else "short"
        options = replace(
            self._options,
            memory_of_channels=latent_dim,
            epochs=max(1, round(self._options.epochs * share)),
            time_budget_s=self._options.time_budget_s and self._options.time_budget_s * share,
        )
        folder = self._folder / f"{latent_dim:02d}_{kind}"
        arguments = {**self._identity["arguments"], "latent_dim": latent_dim, "training": kind}
        identity = {**self._identity, "arguments": arguments}
        best = train_grid(self._data, folder, options, self._group, identity)
        model = load_grid(best, self._group.device)
        model.round_f2()
        psnr_db = GridTask(model, self._data, 0.0, options.seed).validate()["psnr_db"]
        trial = Trial(latent_dim, psnr_db, len(encode_bundle(model.decoder())), best)
        self.log.append(f"{kind:5} {latent_dim:3d} channels: {psnr_db:.2f} dB, {trial.size_bytes} bytes")
        print(f"search: {self.log[-1]}", flush=True)
        return trial


def search(
    data: LightmapDataset, run_dir: Path, options: GridOptions, group: Processes, identity: dict, target: Target
) -> tuple[Path, str]:
    """Train to ``target`` with at most the channels that ``options.bpp`` allows.

    Returns the checkpoint, copied to ``run_dir``, and a clause that says whether the target was reached. Trainings lie
    in ``run_dir / "search"`` and serve other targets as well.
    """
    most = grid_config(data, options).latent_dim
    trainings = _Trainings(data, run_dir / FOLDER, options, group, identity)
    short = _bisect(trainings, target, most)
    full: dict[int, Trial] = {}
    while len(full) < FULL_TRAININGS:
        latent_dim = _guess(short, full, target, most)
        if latent_dim in full:
            break
        full[latent_dim] = trainings.run(latent_dim, 1.0)
    best = _best(full, target)
    for which in (BEST, LAST):
        with atomic_path(run_dir / f"{which}.ckpt") as temporary:
            shutil.copyfile(best.checkpoint.with_name(f"{which}.ckpt"), temporary)
    is_met = target.is_met_by(best.psnr_db, best.size_bytes)
    remedy = "" if is_met else " (try a longer training" + (", a larger --bpp)" if best.latent_dim == most else ")")
    verdict = "reached" if is_met else "NOT reached"
    return run_dir / f"{BEST}.ckpt", (
        f"target {target} {verdict} with {best.latent_dim} channels, {best.size_bytes} bytes{remedy}; "
    )


def _bisect(trainings: _Trainings, target: Target, most: int) -> dict[int, Trial]:
    """Short trainings around where the target is met."""
    trials: dict[int, Trial] = {}
    low, high = 1, most
    while low <= high:
        middle = (low + high) // 2
        trial = trials[middle] = trainings.run(middle, SHORT_SHARE)
        # More channels bring more dB and more bytes.
        needs_more = target.is_met_by(trial.psnr_db, trial.size_bytes) == (target.size_bytes is not None)
        low, high = (middle + 1, high) if needs_more else (low, middle - 1)
    return trials


def _guess(short: dict[int, Trial], full: dict[int, Trial], target: Target, most: int) -> int:
    """The fewest channels (to a PSNR) or the most (to a size) that are thought to meet the target."""
    known = sorted(short)
    channels = np.arange(1, most + 1)
    psnr_db = np.interp(channels, known, [short[d].psnr_db for d in known])
    log_bytes = np.interp(channels, known, [np.log(short[d].size_bytes) for d in known])
    if full:  # what a full training brings, measured where one was done, taken over from the nearest elsewhere
        done = sorted(full)
        psnr_db += np.interp(channels, done, [full[d].psnr_db - psnr_db[d - 1] for d in done])
        log_bytes += np.interp(channels, done, [np.log(full[d].size_bytes) - log_bytes[d - 1] for d in done])
    meets = [
        int(d)
        for d, db, size in zip(channels, psnr_db, np.exp(log_bytes), strict=True)
        if (target.is_met_by(full[d].psnr_db, full[d].size_bytes) if d in full else target.is_met_by(db, size))
    ]
    if target.size_bytes is None:
        return min(meets, default=most)
    return max(meets, default=1)


def _best(full: dict[int, Trial], target: Target) -> Trial:
    meeting = [trial for trial in full.values() if target.is_met_by(trial.psnr_db, trial.size_bytes)]
    if target.size_bytes is None:
        return min(meeting, key=lambda t: t.size_bytes) if meeting else max(full.values(), key=lambda t: t.psnr_db)
    return max(meeting, key=lambda t: t.psnr_db) if meeting else min(full.values(), key=lambda t: t.size_bytes)
