"""The engine every system trains with. It knows nothing of images: a task turns a batch into named terms."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path

import torch

from src.training.checkpoints import BEST, FILE_NAMES, LAST, Checkpoints
from src.training.distributed import Processes
from src.training.failure import is_lost_peer
from src.training.finite_guard import FiniteGuard
from src.training.logger import Logger, PreparationBar
from src.training.meter import Meter
from src.training.optimizer_step import OptimizerStep
from src.training.options import TrainerOptions
from src.training.schedule import Schedule
from src.training.stop_signals import StopSignals
from src.training.task import Batches, Task
from src.training.weight_average import WeightAverage
from src.utils.cli import InputError

SAVE_SECONDS = 120.0  # at most so much work is lost to a power cut, however long an epoch is
LEAST_SECONDS_FOR_PICTURES = 60.0  # of a time budget: with less they would take a noticeable part of it


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop; its state is in ``last``."""


class Trainer:
    """Trains ``task`` and keeps ``last`` and ``best`` checkpoints in ``run_dir``.

    ``identity`` describes what the run is (see :mod:`src.training.identity`): a checkpoint of another run is refused.
    With an equal identity the run continues from ``last``; on the CPU, with the same number of threads and without a
    time budget, the result is bit for bit that of a run that was never interrupted.
    """

    def __init__(
        self,
        task: Task,
        optimizer: torch.optim.Optimizer,
        batches: Batches,
        processes: Processes,
        run_dir: Path,
        *,
        options: TrainerOptions,
        identity: dict,
        file_names: Mapping[str, str] = FILE_NAMES,
    ) -> None:
        self.task = task
        self.optimizer = optimizer
        self.batches = batches
        self.processes = processes
        self.run_dir = run_dir
        self.options = options
        self.checkpoints = Checkpoints(run_dir, task.kind, identity, processes, file_names)
        self.step = 0  # optimizer steps done
        self.best_score = -math.inf
        self._validated_step = -1
        self._optimizer_step = OptimizerStep(task, optimizer, processes, options)
        self._steps_per_epoch = batches.steps_per_epoch // options.accumulate_steps
        if self._steps_per_epoch == 0:
            raise InputError(
                "--accumulate_steps",
                f"{options.accumulate_steps} batches per step, but an epoch has {batches.steps_per_epoch}",
                "give fewer, a smaller batch or more samples per epoch",
            )
        self._schedule = Schedule(
            processes,
            None if options.time_budget_s else options.epochs * self._steps_per_epoch,
            options.time_budget_s,
            options.warmup_steps,
            options.schedule,
        )
        self._guard = FiniteGuard(task, batches, options.accumulate_steps, processes.device)
        self._stop = StopSignals()
        self._average = None if options.ema is None else WeightAverage(task.model, options.ema)

    def path(self, which: str) -> Path:
        return self.checkpoints.path(which)

    @property
    def seconds(self) -> float:
        """Seconds of training so far, earlier sittings included."""
        return self._schedule.seconds

    @property
    def is_finished(self) -> bool:
        return self.step > 0 and self._schedule.progress(self.step) >= 1.0

    # ---- resume and save

    def resume(self, path: Path | None = None) -> bool:
        """Continue from ``path``, else from the ``last`` checkpoint if there is one.

        Raises :class:`InputError` if it is another run's.
        """
        stored = self.checkpoints.read(path)
        if stored is None:
            return False
        self.task.model.load_state_dict(stored["model"]["state"])
        if self._average is not None:
            self._average.load_state(stored["trained_parameters"])
            self._average.swap()
        self.optimizer.load_state_dict(stored["optimizer"])
        self._optimizer_step.scaler.load_state_dict(stored["scaler"])
        self.step = stored["step"]
        self.best_score = stored["best_score"]
        self._validated_step = stored["validated_step"]
        self._schedule.continue_from(
            stored["seconds"], stored.get("prepare_seconds", 0.0), stored.get("closing_seconds", 0.0)
        )
        return True

    def save(self, which: str) -> None:
        """Write a checkpoint (main process only; others return at once).

        With a weight average the model in it is the averaged one, and what was trained stands beside it.
        """
        if self.processes.is_main:
            if self._average is not None:
                self._average.swap()
            content = {
                "model": {"config": self.task.model_config(), "state": self.task.model.state_dict()},
                **({} if self._average is None else {"trained_parameters": self._average.state()}),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self._optimizer_step.scaler.state_dict(),
                "step": self.step,
                "best_score": self.best_score,
                "validated_step": self._validated_step,
                "seconds": self.seconds,
                "prepare_seconds": self._schedule.prepare_seconds,
                "closing_seconds": self._schedule.closing_seconds,
            }
            try:
                self.checkpoints.write(which, content)
            finally:
                if self._average is not None:
                    self._average.swap()

    # ---- the loop

    def fit(self, spent_s: float = 0.0) -> None:
        """Train to the end. Raises :class:`Interrupted` after saving when asked to stop (Ctrl-C, SIGTERM).

        ``spent_s``: seconds of a time budget that are gone already.
        """
        self._schedule.start(spent_s)
        if self.is_finished and self._validated_step == self.step:
            return
        try:
            with self._stop:
                self._prepare()
                self._logger = Logger(self.run_dir, self.processes.is_main, self._schedule.total_steps, self.step)
                try:
                    self._loop()
                finally:
                    self._logger.close()
        except RuntimeError as error:
            # A peer hung up in the middle of a collective: this step is not taken.
            if self.step == 0 or not (self._stop.requested or is_lost_peer(error)):
                raise
            self._save_last()
            if self._stop.requested:
                raise Interrupted from error
            raise

    def _prepare(self) -> None:
        """The work before the first step, which a continued run has behind it."""
        is_new, before = self.step == 0, time.monotonic()
        bar = PreparationBar(self.task.preparation, self.processes.is_main)

        def report(done: int, total: int) -> None:
            bar.report(done, total)
            if self._stop.requested:
                raise Interrupted

        try:
            if is_new:
                self.task.prepare(self.batches, report)
        finally:
            bar.close()
        self._optimizer_step.wrap()
        if is_new and self._average is not None:
            self._average.restart()
        if bar.was_shown:
            self._schedule.end_preparation(self.task.closing * (time.monotonic() - before))

    def _loop(self) -> None:
        self._meter, self._saved_at = Meter(self.step), time.monotonic()
        # A time budget may run out while a checkpoint is saved: the last state is validated all the same.
        while not (self.is_finished and self._validated_step == self.step):
            if self._is_validation_due():
                self._validate_and_save()
            elif self._is_boundary(self.options.save_every):
                self._save_last()
            if not self.is_finished:
                self._train_epoch()

    @property
    def _has_time_for_pictures(self) -> bool:
        return (self.options.time_budget_s or math.inf) >= LEAST_SECONDS_FOR_PICTURES

    def _is_validation_due(self) -> bool:
        is_boundary = self._is_boundary(self.options.val_every or self.options.save_every)
        return 0 < self.step != self._validated_step and (is_boundary or self.is_finished)

    def _is_boundary(self, epochs: int) -> bool:
        return self.step > 0 and self.step % (epochs * self._steps_per_epoch) == 0

    def _train_epoch(self) -> None:
        """The rest of the current epoch, or of the time."""
        epoch, done = divmod(self.step, self._steps_per_epoch)
        stream = self.batches.epoch(epoch, done * self.options.accumulate_steps)
        for _ in range(done, self._steps_per_epoch):
            self._train_step(stream)
            if self._stop.requested:
                self._save_last()
                raise Interrupted
            if self.options.time_budget_s and self.is_finished:
                return
            if time.monotonic() - self._saved_at > SAVE_SECONDS:
                self._save_last()

    def _save_last(self) -> None:
        self._check_finite()
        self.save(LAST)
        self._saved_at = time.monotonic()

    def _train_step(self, stream: Iterator) -> None:
        self.task.step, self.task.progress = self.step, self._schedule.progress(self.step)
        factor = self._schedule.rate_factor(self.step, self.task.progress)
        self._optimizer_step.take(stream, self.step, factor, self._meter, self._guard)
        self.step += 1
        if self._average is not None:
            self._average.update(self.step)
        self._logger.advance()
        if self._meter.is_due:
            self._log()

    def _check_finite(self) -> None:
        held = f"; {self.path(LAST)} still holds the last good state" if self.path(LAST).exists() else ""
        self._guard.check(self.step, f"check those inputs or lower the learning rate{held}")

    def _log(self) -> None:
        self._check_finite()
        terms, samples_per_s, data_wait_share = self._meter.read(self.step)
        rate = samples_per_s * self.processes.count
        means = {f"train/{name}": value for name, value in terms.items()} | {
            "train/learning_rate": self.optimizer.param_groups[0]["lr"],
            f"train/{self.task.unit}_per_s": rate,
            "train/data_wait_share": data_wait_share,
        }
        self._logger.scalars(self.step, means)
        status = {"loss": f"{means['train/loss']:.3e}", "rate": f"{rate:.3g} {self.task.unit}/s"}
        if math.isfinite(self.best_score):
            status["best"] = f"{self.best_score:.2f}"
        if self.options.time_budget_s:
            status["time"] = f"{self.seconds / 60:.1f}/{self.options.time_budget_s / 60:g} min"
        self._logger.status(**status)

    def _validate_and_save(self) -> None:
        self._check_finite()
        self.task.eval()
        with nullcontext() if self._average is None else self._average.swapped_in():
            measures = self.task.validate()
            pictures = self.task.figures() if self.processes.is_main and self._has_time_for_pictures else {}
        self._logger.scalars(self.step, {f"validation/{name}": value for name, value in measures.items()})
        for name, picture in pictures.items():
            self._logger.image(self.step, name, picture)
        is_best = measures["score"] > self.best_score
        self.best_score = max(self.best_score, measures["score"])
        self._validated_step = self.step
        if is_best:
            self.save(BEST)  # first: were it second, a kill in between would lose the best state for good
        self.save(LAST)
        self._saved_at = time.monotonic()
