"""How far a training is, by steps or by the clock, and the learning rate that belongs there."""

from __future__ import annotations

import math
import time

from src.training.distributed import Processes

CLOCK_STEPS = 16  # how often several processes agree on the time


class Schedule:
    """Progress from 0 to 1 over ``total_steps``, or without them over ``time_budget_s`` seconds of training."""

    def __init__(
        self,
        processes: Processes,
        total_steps: int | None,
        time_budget_s: float | None,
        warmup_steps: int = 0,
        shape: str = "cosine",  # or "constant"
    ) -> None:
        self.total_steps = total_steps
        self._processes = processes
        self._time_budget_s = time_budget_s
        self._warmup_steps = warmup_steps
        self._shape = shape
        self._seconds_before = 0.0  # in earlier sittings
        self.prepare_seconds = 0.0  # before the first step
        self.closing_seconds = 0.0  # that work after the last one is thought to take
        self._started: float | None = None
        self._agreed_at: int | None = None  # the step at which all processes last agreed on the time
        self._agreed_progress = 0.0

    def start(self, spent_s: float = 0.0) -> None:
        """The clock runs from here on, or has been running for ``spent_s``."""
        self._started = time.monotonic() - spent_s

    def continue_from(self, seconds: float, prepare_seconds: float, closing_seconds: float = 0.0) -> None:
        """``seconds`` were spent in earlier sittings, ``prepare_seconds`` of them before the first step."""
        self._seconds_before = seconds
        self.prepare_seconds, self.closing_seconds = prepare_seconds, closing_seconds

    def end_preparation(self, closing_seconds: float = 0.0) -> None:
        """What was spent so far is gone from the budget, and ``closing_seconds`` are kept; progress begins here."""
        self.prepare_seconds, self.closing_seconds = self.seconds, closing_seconds

    @property
    def seconds(self) -> float:
        """Seconds so far, preparation and earlier sittings included."""
        return self._seconds_before + (0.0 if self._started is None else time.monotonic() - self._started)

    def progress(self, step: int) -> float:
        """After ``step`` steps; from 1 on the training is finished."""
        if self.total_steps is not None:
            return step / self.total_steps if self.total_steps else 1.0
        if self._processes.count == 1:
            return self._share_of_time()
        if self._agreed_at is None or step - self._agreed_at >= CLOCK_STEPS:
            self._agreed_progress = self._processes.from_main(self._share_of_time())
            self._agreed_at = step
        return self._agreed_progress

    def _share_of_time(self) -> float:
        assert self._time_budget_s is not None, "without steps there is a budget"
        left = self._time_budget_s - self.prepare_seconds - self.closing_seconds
        return (self.seconds - self.prepare_seconds) / left if left > 0 else 1.0

    def rate_factor(self, step: int, progress: float) -> float:
        """What the learning rate is multiplied with: a linear warm-up into half a cosine, or 1 throughout."""
        if self._shape == "constant":
            return 1.0
        warmup = min(1.0, (step + 1) / (self._warmup_steps + 1))
        return warmup * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
