"""Validation of the portrait models: measures of pairs, shared out over the processes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from src.training.distributed import Processes


def mean_measures(measure: Callable[[int], dict[str, float]], count: int, processes: Processes) -> dict[str, float]:
    """Means of what ``measure`` gives for ``count`` pairs by their index, each over those that have it.

    ``score`` is minus the loss.
    """
    mine = range(processes.rank, count, processes.count)
    rows = [row for part in processes.gather([measure(index) for index in mine]) for row in part]
    names = dict.fromkeys(name for row in rows for name in row)
    means = {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
    return means | {"score": -means["loss"]}
