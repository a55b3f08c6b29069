"""All sound tracks of a video file on their way into another: copied, or turned into AAC, each at its own times."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from src.utils.cli import InputError
from src.utils.video_timeline import Clock, shift_to_zero

if TYPE_CHECKING:
    import av

_BROWSERS_PLAY_IN_MP4 = ("aac", "mp3", "mp3float", "opus", "libopus")
_AAC_LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1")
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_SMALLEST_GAP = Fraction(1, 20)  # seconds; times that files round are less out of place
_SILENCE_AT_ONCE = 1 << 16  # samples


def copied_tracks(path: Path, output: av.container.OutputContainer) -> Iterator[tuple[Fraction, av.Packet]]:
    """(start in seconds, packet for ``output``) of every sound track of ``path``, in the file's order.

    Tracks are added to ``output`` before the first packet comes, in their order, with their languages and titles.
    Raises InputError where a track cannot be read; one of a codec that nobody here knows is left out with a warning.
    """
    import av

    try:
        with av.open(str(path)) as source:
            shift = shift_to_zero(source)
            tracks: dict[int, Any] = {}
            for track in source.streams.audio:
                if track.codec_context is None:
                    warnings.warn(
                        f"{path}: sound track {len(tracks) + 1} is of an unknown codec, left out", stacklevel=2
                    )
                    continue
                is_copied = track.codec_context.name in _BROWSERS_PLAY_IN_MP4
                tracks[track.index] = (_Copied if is_copied else _Encoded)(track, output, shift)
            if not tracks:
                return
            for packet in source.demux([source.streams[index] for index in tracks]):
                for made in tracks[packet.stream.index](packet):
                    yield made.pts * made.time_base, made
    except av.FFmpegError as error:
        raise InputError(path, f"its sound cannot be read ({error.strerror})", "export it again") from error


def _describe(track: Any, made: Any) -> None:
    """Carry over what players show in their menus of tracks, and which one they begin with."""
    for key in ("language", "title"):
        if key in track.metadata:
            made.metadata[key] = track.metadata[key]
    if "title" in track.metadata:
        made.metadata["handler_name"] = track.metadata["title"]  # where mp4 keeps it
    made.disposition = track.disposition


class _Copied:
    """The packets of a track as they are."""

    def __init__(self, track: Any, output: Any, shift: Fraction) -> None:
        self._made = output.add_stream_from_template(track)
        _describe(track, self._made)
        self._clock, self._last = Clock(shift), -math.inf

    def __call__(self, packet: Any) -> Iterator[Any]:
        if packet.dts is None:  # the end
            return
        unit = packet.time_base
        start = self._clock(None if packet.pts is None else packet.pts * unit, (packet.duration or 0) * unit)
        self._last = max(round(start / unit), self._last + 1)
        packet.pts = packet.dts = self._last
        packet.stream = self._made
        yield packet


class _Encoded:
    """A track turned into AAC, silence where it has gaps."""

    def __init__(self, track: Any, output: Any, shift: Fraction) -> None:
        import av

        context = track.codec_context
        rate = context.sample_rate if context.sample_rate in _AAC_RATES else 48000
        layout = context.layout.name if context.layout.name in _AAC_LAYOUTS else "stereo"
        self._made = output.add_stream("aac", rate=rate, layout=layout)
        _describe(track, self._made)
        self._rate, self._clock = rate, Clock(shift)
        self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        self._count: int | None = None  # samples from 0 s to the end of what was encoded

    def __call__(self, packet: Any) -> Iterator[Any]:
        for frame in packet.decode():
            duration = Fraction(frame.samples, frame.sample_rate)
            time = None if frame.pts is None else frame.pts * frame.time_base
            start = self._clock(time, duration)
            frame.pts = None
            if self._count is None:
                self._count = round(start * self._rate)
            yield from self._silence(start)
            for part in self._resampler.resample(frame):
                yield from self._encode(part)
        if packet.dts is None:
            if self._count is not None:
                for part in self._resampler.resample(None):
                    yield from self._encode(part)
            yield from self._made.encode(None)

    def _silence(self, until: Fraction) -> Iterator[Any]:
        assert self._count is not None
        missing = round(until * self._rate) - self._count
        while missing > _SMALLEST_GAP * self._rate:
            yield from self._encode(self._quiet(min(missing, _SILENCE_AT_ONCE)))
            missing = round(until * self._rate) - self._count

    def _quiet(self, samples: int) -> Any:
        import av

        layout = self._made.codec_context.layout
        quiet = np.zeros((len(layout.channels), samples), np.float32)
        return av.AudioFrame.from_ndarray(quiet, format="fltp", layout=layout.name)

    def _encode(self, frame: Any) -> Iterator[Any]:
        frame.sample_rate, frame.time_base, frame.pts = self._rate, Fraction(1, self._rate), self._count
        self._count += frame.samples
        yield from self._made.encode(frame)
