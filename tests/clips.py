"""Video files to read: as the project writes them, and with frames and sounds at given times by PyAV directly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from src.utils.video_io import VideoWriter

MILLISECOND = Fraction(1, 1000)


@dataclass(frozen=True)
class Sound:
    """A sine of ``hertz`` from ``start`` on, in seconds."""

    codec: str = "aac"
    start: float = 0.0
    seconds: float = 1.0
    hertz: int = 440
    language: str = "eng"
    rate: int = 48000
    layout: str = "stereo"


def flat(codes: Iterable[int], size: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    """Grey frames, (height, width) = ``size``."""
    return [np.full((*size, 3), code, np.uint8) for code in codes]


def smooth_clip(count: int = 12, height: int = 64, width: int = 96) -> list[np.ndarray]:
    """Colours that move smoothly, ``height x width x 3`` float32 in [0.1, 0.9]."""
    y, x = np.mgrid[0:height, 0:width] / 32
    waves = [[np.sin(x + k + t / 5), np.sin(y - t / 7 + k), np.cos(x + y + k)] for t in range(count) for k in (0.0,)]
    return [(np.stack(wave, axis=2) * 0.4 + 0.5).astype(np.float32) for wave in waves]


def write_clip(path: Path, frames: list[np.ndarray], fps: Fraction | float = 25, **options) -> Path:
    with VideoWriter(path, fps, **options) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def write_timed(
    path: Path,
    frames: Sequence[np.ndarray | av.VideoFrame],
    times: Sequence[Any],
    sounds: Sequence[Sound] = (),
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    unit: Fraction = MILLISECOND,
    rate: Fraction | int = 25,
    last: Fraction | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    **context: Any,
) -> Path:
    """``frames`` (H x W x 3 uint8, or as they go to the encoder) shown from ``times`` (seconds) on."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        video = container.add_stream(codec, rate=rate, options=options or {})
        first = frames[0]
        video.height, video.width = first.shape[:2] if isinstance(first, np.ndarray) else (first.height, first.width)
        video.pix_fmt = pix_fmt
        video.time_base = video.codec_context.time_base = unit
        for name, value in context.items():
            setattr(video.codec_context, name, value)
        tracks = []
        for sound in sounds:
            track = container.add_stream(sound.codec, rate=sound.rate, layout=sound.layout)
            track.metadata["language"] = sound.language
            tracks.append((track, sound))
        pts = [round(Fraction(time) / unit) for time in times]
        durations = dict(zip(pts, np.diff([*pts, pts[-1] + round((last or Fraction(1, 25)) / unit)]), strict=True))
        for frame, moment in zip(frames, pts, strict=True):
            picture = frame
            if isinstance(frame, np.ndarray):
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                picture = picture.reformat(format=pix_fmt)
            picture.pts, picture.time_base = moment, unit
            _mux(container, video.encode(picture), durations)
        _mux(container, video.encode(None), durations)
        for track, sound in tracks:
            _write_sound(container, track, sound)
    return path


def _mux(container: Any, packets: Iterable[Any], durations: dict[int, int]) -> None:
    for packet in packets:
        packet.duration = max(1, int(durations.get(packet.pts, 1)))
        container.mux(packet)


def _write_sound(container: Any, track: Any, sound: Sound) -> None:
    tone = 0.3 * np.sin(2 * np.pi * sound.hertz / sound.rate * np.arange(int(sound.seconds * sound.rate)))
    channels = len(track.codec_context.layout.channels)
    for at in range(0, len(tone), 1024):
        part = np.repeat(tone[None, at : at + 1024].astype(np.float32), channels, axis=0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format="fltp", layout=sound.layout)
        frame.sample_rate, frame.time_base = sound.rate, Fraction(1, sound.rate)
        frame.pts = round(sound.start * sound.rate) + at
        container.mux(track.encode(frame))
    container.mux(track.encode(None))


def shown(path: Path) -> tuple[list[float], list[float]]:
    """(times in seconds, mean codes) of a video's frames, by PyAV."""
    with av.open(str(path)) as container:
        frames = [
            (float(frame.time), float(frame.to_ndarray(format="gray").mean())) for frame in container.decode(video=0)
        ]
    return [time for time, _ in frames], [code for _, code in frames]


@dataclass(frozen=True)
class Heard:
    codec: str
    language: str | None
    layout: str
    begin: float  # seconds: first and last sample above a third of the peak
    end: float
    hertz: float


def heard(path: Path) -> list[Heard]:
    """What is to be heard on every track of a file, by PyAV."""
    with av.open(str(path)) as container:
        count = len(container.streams.audio)
    tracks = []
    for index in range(count):
        with av.open(str(path)) as container:
            track = container.streams.audio[index]
            frames = list(container.decode(track))
            rate, channels = frames[0].sample_rate, len(frames[0].layout.channels)
            parts = [f.to_ndarray()[0] if f.format.is_planar else f.to_ndarray()[0, ::channels] for f in frames]
            begin = round(float(frames[0].time) * rate)
            ends = [round(float(f.time) * rate) - begin for f in frames]
            samples = np.zeros(ends[-1] + len(parts[-1]))
            for at, part in zip(ends, parts, strict=True):
                samples[max(at, 0) : at + len(part)] = part[max(-at, 0) :]
            loud = np.flatnonzero(np.abs(samples) > np.abs(samples).max() / 3)
            tone = samples[loud[0] : loud[-1]]
            hertz = float(np.argmax(np.abs(np.fft.rfft(tone))) * rate / len(tone))
            name, layout = track.codec_context.name, frames[0].layout.name
            times = [(begin + int(sample)) / rate for sample in (loud[0], loud[-1])]
            tracks.append(Heard(name, track.language, layout, *times, hertz))
    return tracks
