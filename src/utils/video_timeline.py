"""When the frames of a video file are shown: their own times on one clock for pictures and sound.

Times are Fractions of seconds. 0 is where players begin; nothing lies before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from src.utils.cli import InputError

if TYPE_CHECKING:
    import av

# Encoders of sound begin with up to this much that is not to be heard, at times before 0.
_PRIMING = Fraction(1, 5)
# A file whose first frame comes later was cut from a running clock, as live recordings are.
_LATEST_START = 10
# A time that lies further back than the last one is that of a clock that was set anew, not of a frame out of order.
_CLOCK_SET_BACK = 1
_SHORTEST = Fraction(1, 10_000)
_MOST_IMPRECISE = Fraction(1, 500)
_FASTEST_NOMINAL_RATE = 240


def nominal_rate(stream: av.VideoStream) -> Fraction:
    """Frames per second of what plays without pauses; the mean rate where there is no such rate."""
    rates = [stream.guessed_rate, stream.average_rate]
    steady = [Fraction(rate) for rate in rates if rate and rate <= _FASTEST_NOMINAL_RATE]
    return steady[0] if steady else Fraction(stream.average_rate or 25)


def exact_rate(fps: Fraction | float) -> Fraction:
    """A rate as a user says it: 29.97 and its kin are the fractions over 1001. InputError unless finite and above 0."""
    if not 0 < fps < 1e6:
        raise InputError("fps", f"{fps} is not a finite rate above 0", "")
    nominal = round(float(fps) * 1.001)
    if not isinstance(fps, Fraction) and nominal in (24, 30, 48, 60, 120) and abs(fps * 1.001 - nominal) < 0.005:
        return Fraction(nominal * 1000, 1001)
    return Fraction(fps).limit_denominator(1001)


def shift_to_zero(container: av.container.InputContainer) -> Fraction:
    """What to add to all times of a file: 0, unless it begins before 0 or long after it."""
    starts = []
    for stream in (*container.streams.video, *container.streams.audio):
        if stream.start_time is not None and stream.time_base:
            start = stream.start_time * stream.time_base
            is_priming = stream.type == "audio" and -_PRIMING <= start < 0
            starts.append(Fraction(0) if is_priming else start)
    first = min(starts, default=Fraction(0))
    return -first if first < 0 or first > _LATEST_START else Fraction(0)


def decoded(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[tuple[av.VideoFrame, Fraction | None]]:
    """The frames as they are to be shown, and when, by the file's own clock; None where it does not say."""
    if container.format.name != "avi":
        for frame in container.decode(stream):
            yield frame, None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
        return
    # AVI says when packets come, not when frames are shown: the n-th frame is shown at the time of the n-th packet.
    times: deque[Fraction] = deque()
    for packet in container.demux(stream):
        if packet.dts is not None:
            times.append(packet.dts * packet.time_base)
        for frame in packet.decode():
            yield frame, times.popleft() if times else None


class Clock:
    """Times of a track's frames, each later than the one before.

    Frames at the time of the one before follow it at once. After a step back of over a second (recordings that were
    appended to each other) the clock goes on from where it was. Frames without a time follow the one before.
    """

    def __init__(self, shift: Fraction = Fraction(0)) -> None:
        self._shift = shift
        self._last: Fraction | None = None
        self._end = Fraction(0)

    def __call__(self, time: Fraction | None, duration: Fraction) -> Fraction:
        """When a frame is shown that the file has at ``time``, for ``duration``."""
        start = self._end if time is None else time + self._shift
        if self._last is not None and start <= self._last:
            if start < self._last - _CLOCK_SET_BACK:
                self._shift += self._end - start
                start = self._end
            else:
                start = self._last + _SHORTEST
        self._last, self._end = start, start + duration
        return start


class FrameClock:
    """:class:`Clock` for decoded pictures: a constant rate that the file's units round becomes exact again.

    Matroska counts milliseconds, for example: 0, 33, 67 are 0, 1/30, 2/30 again.
    """

    def __init__(self, stream: av.VideoStream, rate: Fraction, shift: Fraction, end: Fraction | None) -> None:
        """``end``: of the picture, in seconds of the file's clock; None where only its packets tell."""
        unit = stream.time_base or Fraction(0)
        self._rate, self._tolerance = rate, min(unit, _MOST_IMPRECISE)
        self._clock = Clock(shift)
        self._first: Fraction | None = None
        self._frames_left = stream.frames or 0  # 0: not known
        self._end = end

    def __call__(self, frame: av.VideoFrame, time: Fraction | None) -> tuple[Fraction, Fraction]:
        """(start, duration) of the next frame, which the file has at ``time``."""
        self._frames_left -= 1
        duration = (frame.duration or 0) * (frame.time_base or Fraction(0))
        if self._frames_left == 0 and time is not None and self._end is not None:
            shown = self._end - time
            # The packets are more precise, but tell how long it takes to the next that is decoded, not shown.
            duration = shown if shown > 0 and abs(shown - duration) > _MOST_IMPRECISE else duration
        duration = self._exact_duration(duration) or 1 / self._rate
        return self._clock(None if time is None else self._exact(time), duration), duration

    def _exact(self, time: Fraction) -> Fraction:
        if self._first is None:
            self._first = time
        regular = self._first + round((time - self._first) * self._rate) / self._rate
        return regular if abs(regular - time) <= self._tolerance else time

    def _exact_duration(self, duration: Fraction) -> Fraction:
        regular = round(duration * self._rate) / self._rate
        return regular if regular and abs(regular - duration) <= self._tolerance else duration
