"""Between the hours that were baked: which two of them a time of day lies between, and how far along.

Light that switches (a lamp at 6.0) must not fade in over an hour: an interval that holds an event keeps its first frame
until the event and shows its last one from then on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

HOURS_PER_DAY = 24.0
SNAP_HOURS = 1e-6  # so close to a baked hour or an event a time is that; float32 keeps 18.1 to 4e-7


def _intervals(hours: Sequence[float]) -> np.ndarray:
    """Length of the interval that follows each of the sorted ``hours``, around midnight."""
    return np.diff([*hours, hours[0] + HOURS_PER_DAY])


def _brackets(hours: Sequence[float]) -> list[int]:
    """The frames after which the next one follows closer than half the usual distance."""
    lengths = _intervals(hours)
    usual = float(np.median(lengths))
    return [t for t, length in enumerate(lengths) if len(hours) > 2 and length < 0.5 * usual]


def detect_events(hours: Sequence[float]) -> tuple[float, ...]:
    """Events that a bake brackets: two frames closer than half the usual distance were put around a switch.

    The event is at the frame of the two that lies on a whole hour, else in the middle.
    """
    lengths = _intervals(hours)
    events = []
    for t in _brackets(hours):
        first, length = hours[t], lengths[t]
        whole = [hour for hour in (first, first + length) if abs(hour - round(hour)) < 1e-6]
        events.append((whole[0] if len(whole) == 1 else first + length / 2) % HOURS_PER_DAY)
    return tuple(sorted(round(float(event), 6) for event in events))


def hours_to_show(hours: Sequence[float], spread: int) -> list[int]:
    """Which of the baked ``hours`` to look at: ``spread`` of them over the day, and those around events."""
    count = len(hours)
    over_the_day = {int((k + 0.5) * count / spread) for k in range(min(spread, count))}
    around_events = {frame % count for t in _brackets(hours) for frame in (t, t + 1)}
    return sorted(over_the_day | around_events)


class HourInterpolation:
    """Piecewise linear between the baked hours, periodic over 24 h, with steps at the events.

    :class:`src.models.hour_lookup.HourLookup` is the same rule in operations that can be exported.
    """

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

    def intervals(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Start and length of the interval after each baked hour, and the distance from its start to its event
        (NaN without one), float64 each."""
        return self._hours, self._lengths, self._event

    def __call__(self, hours: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Any ``hours`` M -> (first M, second M, share of the second M in [0, 1]); at a baked hour the share is 0."""
        hours = np.mod(np.asarray(hours, np.float64), HOURS_PER_DAY)
        first = (np.searchsorted(self._hours, hours + SNAP_HOURS, side="right") - 1) % len(self._hours)
        offset = np.mod(hours - self._hours[first] + SNAP_HOURS, HOURS_PER_DAY) - SNAP_HOURS
        offset = np.where(np.abs(offset) < 2 * SNAP_HOURS, 0.0, offset)
        share = np.clip(offset / self._lengths[first], 0.0, 1.0)
        event = self._event[first]
        # The frame that is baked at the event itself stays on its own side of the switch.
        stepped = np.where((offset > event - SNAP_HOURS) & (offset > 0), 1.0, 0.0)
        share = np.where(np.isnan(event), share, stepped)
        return first, (first + 1) % len(self._hours), share
