"""What training reports between two lines of the log."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

LOG_SECONDS = 1.0


class Meter:
    """Mean terms of the loss, samples per second and the share of time spent waiting for data since ``step``.

    Terms are summed where they are, so that no step waits for the device.
    """

    def __init__(self, step: int) -> None:
        self._restart(step)

    def _restart(self, step: int) -> None:
        self._step, self._since = step, time.monotonic()
        self._sums: dict[str, Tensor] = {}
        self._samples, self._waited_seconds = 0, 0.0

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._since > LOG_SECONDS

    def next_batch(self, stream: Iterator) -> Any:
        """The next of ``stream``, its time counted as waiting."""
        before = time.monotonic()
        batch = next(stream)
        self._waited_seconds += time.monotonic() - before
        return batch

    def add(self, terms: Mapping[str, Tensor], share: float, samples: int) -> None:
        """A batch's scalar terms, its ``share`` of the step, and how many ``samples`` it held."""
        for name, value in terms.items():
            part_of_mean = value.detach().float() * share
            self._sums[name] = self._sums[name] + part_of_mean if name in self._sums else part_of_mean
        self._samples += samples

    def read(self, step: int) -> tuple[dict[str, float], float, float]:
        """At ``step``: the terms' means, samples per second, share of waiting; then starts anew."""
        seconds = time.monotonic() - self._since
        means = {name: float(value) / (step - self._step) for name, value in self._sums.items()}
        measured = means, self._samples / seconds, self._waited_seconds / seconds
        self._restart(step)
        return measured
