"""The times of a video that is written as mp4: frames when they were told to be shown, to the end of the last one.

Encoders put packets into another order than they are shown in. mp4 stores when each is decoded and, beside it, when it
is shown; players take the length of a track from the first (ISO/IEC 14496-12, 8.6.1), editing it by the second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av

_TICKS_PER_SECOND = 10_000  # at least
_MOST_TICKS = 120_000  # players read differences of up to 2^28 ticks: pauses of 37 minutes


def tick_of(fps: Fraction) -> Fraction:
    """The unit in seconds of a video's times: at most 1/10000, and a part of 1 / fps, so that constant rates are."""
    ticks = fps.numerator * math.ceil(_TICKS_PER_SECOND / fps.numerator)
    return Fraction(1, min(ticks, _MOST_TICKS))


class PacketOrder:
    """Gives frames their times in ticks, and packets their durations; holds one packet back for the end."""

    def __init__(self, container: av.container.OutputContainer, tick: Fraction) -> None:
        self.tick = tick
        self._container = container
        self._first: int | None = None  # when the first and the newest frame are shown
        self._newest = -1
        self._durations: dict[int, int] = {}  # of frames in the encoder, by when they are shown
        self._end = 0
        self._held: av.Packet | None = None
        self._decoded = (0, 0)  # when the first packet is decoded, and the one before the held one

    def expect(self, start: Fraction, duration: Fraction) -> int:
        """When the next frame is shown, in ticks: at ``start`` seconds, a tick after the frame before at least."""
        self._newest = max(round(start / self.tick), self._newest + 1)
        if self._first is None:
            self._first = self._newest
        self._durations[self._newest] = max(1, round(duration / self.tick))
        self._end = self._newest + self._durations[self._newest]
        return self._newest

    def mux(self, packets: Iterable[av.Packet]) -> None:
        for packet in packets:
            assert packet.pts is not None and packet.dts is not None, "an encoder stamps its packets"
            packet.duration = self._durations.pop(packet.pts)
            if self._held is None:
                self._decoded = packet.dts, packet.dts - 1
            else:
                self._decoded = self._decoded[0], self._held.dts or 0
                self._container.mux(self._held)
            self._held = packet

    def finish(self) -> None:
        """Write the last packet: decoding ends as long after its begin as showing does."""
        last = self._held
        if last is None or self._first is None:
            return
        assert last.pts is not None and last.dts is not None, "seen when it came"
        begin, before = self._decoded
        end, longest = begin + self._end - self._first, self._end - last.pts
        duration = end - last.dts  # at constant rates this is that of all others
        if last.pts == self._newest or not 0 < duration <= longest:
            duration = max(1, longest if last.pts == self._newest else min(longest, end - before - 1))
            last.dts = min(max(end - duration, before + 1), last.pts)
        last.duration = duration
        self._container.mux(last)
