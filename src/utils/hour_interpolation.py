"""Between the hours that were baked: which two of them a time of day lies between, and how far along.

Light that switches (a lamp at 6.0) must not fade in over an hour: an interval that holds an event keeps its first frame
until the event and shows its last one from then on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

HOURS_PER_DAY = 24.0


def _intervals(hours: Sequence[float]) -> np.ndarray:
    """Length of the interval that follows each of the sorted ``hours``, around midnight."""
    return np.diff([*hours, hours[0] + HOURS_PER_DAY])


def detect_events(hours: Sequence[float]) -> tuple[float, ...]:
    """Events that a bake brackets: two frames closer than half the usual distance were put around a switch.

    The event is at the frame of the two that lies on a whole hour, else in the middle.
    """
    lengths = _intervals(hours)
    events = []
    for first, length in zip(hours, lengths, strict=True):
        if len(hours) > 2 and length < 0.5 * float(np.median(lengths)):
            whole = [hour for hour in (first, first + length) if abs(hour - round(hour)) < 1e-6]
            events.append((whole[0] if len(whole) == 1 else first + length / 2) % HOURS_PER_DAY)
    return tuple(sorted(round(float(event), 6) for event in events))


class HourInterpolation:
    """Piecewise linear between the baked hours, periodic over 24 h, with steps at the events."""

    def __init__(self, hours: Sequence[float], events: Sequence[float] = ()) -> None:
        """``hours`` strictly increasing in [0, 24). An event that is itself a baked hour switches in the shorter of the
        two intervals beside it (in the earlier one if they are equally long)."""
        self._hours = np.asarray(hours, np.float64)
        lengths = _intervals(hours)
        count = len(hours)
        self._event = np.full(count, np.nan)  # per interval, as a distance from its start
        for event in events:
            after = int(np.searchsorted(self._hours, event, side="right") - 1) % count
            offset = (event - self._hours[after]) % HOURS_PER_DAY
            if offset < 1e-9 and lengths[after - 1] <= lengths[after]:
                self._event[after - 1] = lengths[after - 1]
            else:
                self._event[after] = offset
        self._lengths = lengths

    def __call__(self, hours: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Any ``hours`` M -> (first M, second M, share of the second M in [0, 1]); at a baked hour the share is 0."""
        hours = np.mod(np.asarray(hours, np.float64), HOURS_PER_DAY)
        first = (np.searchsorted(self._hours, hours + 1e-6, side="right") - 1) % len(self._hours)
        offset = np.mod(hours - self._hours[first] + 1e-6, HOURS_PER_DAY) - 1e-6
        offset = np.where(np.abs(offset) < 2e-6, 0.0, offset)
        share = np.clip(offset / self._lengths[first], 0.0, 1.0)
        event = self._event[first]
        # The frame that is baked at the event itself stays on its own side of the switch.
        stepped = np.where((offset > event - 1e-6) & (offset > 0), 1.0, 0.0)
        share = np.where(np.isnan(event), share, stepped)
        return first, (first + 1) % len(self._hours), share
