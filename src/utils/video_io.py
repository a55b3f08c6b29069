"""The only place that opens videos (mp4, mov, mkv, webm, folders of frames) and writes them (H.264 mp4), by PyAV.

Frames are H x W x 3 arrays of display-referred values: uint8 when read, uint8 or float in [0, 1] when written.
Every failure is an :class:`~src.utils.cli.InputError` that names the file and the reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from src.utils import image_io
from src.utils.atomic import atomic_path
from src.utils.audio_tracks import copied_tracks
from src.utils.cli import InputError, describe_os_error
from src.utils.color import linear_to_srgb
from src.utils.video_container import end_by_edit_list, require_complete
from src.utils.video_frame import (
    UnreadColours,
    display_matrix,
    sample_aspect_ratio,
    tag_as_bt709,
    to_display,
    to_yuv420p,
    what_is_not_kept,
)
from src.utils.video_packets import PacketOrder, tick_of
from src.utils.video_timeline import FrameClock, decoded, exact_rate, nominal_rate, shift_to_zero

if TYPE_CHECKING:
    import av

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")

_COVER = 0x400 | 0x800  # FFmpeg's dispositions attached_pic and timed_thumbnails


class TimedFrame(NamedTuple):
    """``picture``: H x W x 3 uint8 sRGB, shown from ``start`` (seconds) on.

    ``duration``: of the last frame how long it is shown; of the others what the file says, the next one's start counts.
    """

    picture: np.ndarray
    start: Fraction
    duration: Fraction


class VideoReader:
    """A video file. Each iteration decodes it from the start, frame by frame, as H x W x 3 uint8 sRGB.

    :meth:`timed` gives every frame's own time too. The display matrix is applied, HDR and other gamuts are converted
    (:mod:`src.utils.video_transfer`). Where the file does not name its YCbCr matrix, BT.601 is taken up to 1024 x 576
    and BT.709 above, as players do. Cover pictures are no videos; of several videos the first is read.

    Attributes: ``path``; ``fps`` (the rate without pauses, Fraction); ``frame_count`` (as the file says, or None);
    ``size`` ((height, width) as shown); ``sample_aspect_ratio`` (width over height of a pixel).

    Raises InputError (also while iterating) on files that are missing, truncated, broken, or hold no video. What of a
    video is not kept is said as a warning.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        require_complete(self.path)
        if self.path.suffix.lower() not in VIDEO_SUFFIXES:
            known = ", ".join(VIDEO_SUFFIXES)
            raise InputError(self.path, f"unknown extension {self.path.suffix!r}", f"use one of {known}")
        with self._open() as (container, stream):
            self.fps: Fraction = nominal_rate(stream)
            self.frame_count: int | None = stream.frames or None
            first = next(container.decode(stream), None)
            if first is None:
                raise InputError(self.path, "holds no frames", "export it again")
            self._matrix = display_matrix(first)
            self.size: tuple[int, int] = to_display(first, stream, self._matrix).shape[:2]
            self.sample_aspect_ratio: Fraction = sample_aspect_ratio(stream, self._matrix)
            for line in what_is_not_kept(first, stream, self._matrix):
                warnings.warn(f"{self.path}: {line}", stacklevel=2)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (frame.picture for frame in self.timed())

    def timed(self) -> Iterator[TimedFrame]:
        """The frames with their times: each later than the one before, none before 0."""
        with self._open() as (container, stream):
            clock = FrameClock(stream, self.fps, shift_to_zero(container), end_by_edit_list(self.path))
            for frame, time in decoded(container, stream):
                start, duration = clock(frame, time)
                yield TimedFrame(to_display(frame, stream, self._matrix), start, duration)

    @contextmanager
    def _open(self) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
        import av

        try:
            with av.open(str(self.path)) as container:
                stream = next((stream for stream in container.streams.video if not _is_cover(stream)), None)
                if stream is None:
                    raise InputError(self.path, "holds no video", "give a video or a picture")
                if stream.codec_context is None:
                    raise InputError(self.path, "its codec is not known here", "export it as H.264")
                stream.thread_type = "AUTO"
                stream.codec_context.options = {"err_detect": "explode"}  # an error, not a concealed patch
                yield container, stream
        except UnreadColours as error:
            raise InputError(self.path, str(error), "export it as BT.709") from None
        except av.FFmpegError as error:
            raise InputError(self.path, f"is broken or not a video ({error.strerror})", "export it again") from error


class FrameFolder:
    """A folder of pictures as a video, in natural order; attributes and iteration as :class:`VideoReader`.

    exr and hdr frames are sRGB-encoded. ``fps`` is what the caller says.
    """

    def __init__(self, path: str | Path, fps: Fraction | float = 25) -> None:
        self.path = Path(path)
        self.fps = exact_rate(fps)
        self._paths = image_io.list_images(self.path)
        self.frame_count: int | None = len(self._paths)
        self.size: tuple[int, int] = image_io.image_size(self._paths[0])
        self.sample_aspect_ratio = Fraction(1)

    def timed(self) -> Iterator[TimedFrame]:
        """The frames at a constant rate."""
        for index, picture in enumerate(self):
            yield TimedFrame(picture, index / self.fps, 1 / self.fps)

    def __iter__(self) -> Iterator[np.ndarray]:
        return self.since(0)

    def since(self, first: int) -> Iterator[np.ndarray]:
        """The frames from the ``first``-th on, without reading those before."""
        for path in self._paths[first:]:
            is_linear = path.suffix.lower() in image_io.HDR_SUFFIXES
            frame = linear_to_srgb(image_io.read_linear(path)) if is_linear else image_io.read_display(path)
            if frame.shape[:2] != self.size:
                problem = f"is {_as_text(frame.shape)}, {self._paths[0].name} is {_as_text(self.size)}"
                raise InputError(path, problem, "give frames of one size")
            yield _as_bytes(frame)


def open_frames(path: str | Path, folder_fps: Fraction | float = 25) -> VideoReader | FrameFolder:
    """A :class:`VideoReader` for a file, a :class:`FrameFolder` at ``folder_fps`` for a folder."""
    return FrameFolder(path, folder_fps) if Path(path).is_dir() else VideoReader(path)


class VideoWriter:
    """Context manager that writes ``path`` (.mp4) as H.264 yuv420p, BT.709 limited range, index in front of the data.

    Every browser plays it. The file appears under its name when the block ends; an exception leaves nothing behind.

    - ``fps``: frames per second, for frames that are written without a time; 29.97 and its kin are understood as the
      fractions over 1001.
    - ``crf``: x264's constant rate factor, 0 (lossless) to 51; 18 is visually lossless. ``preset``: x264's speed.
    - ``audio_from``: a video all sound tracks of which are kept (turned into AAC where browsers would not play them),
      to their own ends. A file without sound is no error.
    - ``sample_aspect_ratio``: width over height of a pixel.
    - ``comment``: stored beside them, for :func:`~src.utils.video_container.read_video_comment`.

    Frames of an odd height or width grow by a copy of their last row or column: yuv420p needs even sizes.
    Raises InputError for frames of changing or wrong shape, NaN, no frames at all, and when the disk refuses.
    """

    def __init__(
        self,
        path: str | Path,
        fps: Fraction | float,
        *,
        crf: float = 18,
        preset: str = "medium",
        audio_from: str | Path | None = None,
        sample_aspect_ratio: Fraction = Fraction(1),
        comment: str | None = None,
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() != ".mp4":
            raise InputError(self.path, "videos are written as .mp4", "change the extension")
        self.fps = exact_rate(fps)
        self.frame_count = 0
        self._options = {"crf": str(crf), "preset": preset}
        self._audio_from = None if audio_from is None else Path(audio_from)
        self._sample_aspect_ratio = sample_aspect_ratio
        self._comment = comment
        self._shape: tuple[int, ...] | None = None
        self._opened: AbstractContextManager[None] | None = None

    def __enter__(self) -> VideoWriter:
        self._opened = self._open()
        self._opened.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._opened is not None
        return self._opened.__exit__(kind, error, traceback)

    def write(self, frame: np.ndarray, start: Fraction | None = None, duration: Fraction | None = None) -> None:
        """Append one frame, H x W x 3, uint8 or float in [0, 1] (clamped, rounded).

        ``start`` (seconds, default: frames so far / fps) has to be later than that of the frame before, by a tick of
        1/10000 s at least, else it is put there. ``duration`` (default: 1 / fps) counts for the last frame.
        """

        if self._shape is None:
            self._start(frame)
        assert self._shape is not None
        if frame.shape != self._shape:
            problem = f"frame {self.frame_count} is {_as_text(frame.shape)}, earlier ones {_as_text(self._shape)}"
            raise InputError(self.path, problem, "give frames of one size")
        if frame.dtype != np.uint8:
            if not np.isfinite(frame).all():
                raise InputError(self.path, f"frame {self.frame_count} holds NaN or infinity", "")
            frame = _as_bytes(frame)
        picture = to_yuv420p(frame)
        if start is None:
            start = self.frame_count / self.fps
        picture.pts = self._packets.expect(start, duration or 1 / self.fps)
        picture.time_base = self._packets.tick
        self._mux_audio(until=start)
        self._packets.mux(self._stream.encode(picture))
        self.frame_count += 1

    @contextmanager
    def _open(self) -> Iterator[None]:
        import av

        tick = tick_of(self.fps)
        try:
            with (
                atomic_path(self.path) as temporary,
                av.open(str(temporary), "w", options=_container_options(tick)) as self._container,
            ):
                self._packets = PacketOrder(self._container, tick)
                yield
                if self._shape is None:
                    raise InputError(self.path, "no frames to write", "")
                self._packets.mux(self._stream.encode(None))
                self._packets.finish()
                self._mux_audio(until=None)
        except av.FFmpegError as error:
            raise describe_os_error(OSError(error.errno, error.strerror), self.path) from error

    def _start(self, frame: np.ndarray) -> None:
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
            raise InputError(self.path, f"cannot hold frames of shape {frame.shape}", "give H x W x 3")
        self._shape = frame.shape
        if self._comment is not None:
            self._container.metadata["comment"] = self._comment
        height, width, _ = frame.shape
        self._stream = self._container.add_stream("libx264", rate=self.fps, options=self._options)
        self._stream.height, self._stream.width = height + height % 2, width + width % 2
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        tag_as_bt709(context)
        context.sample_aspect_ratio = self._sample_aspect_ratio.limit_denominator(1 << 15)
        self._stream.time_base = context.time_base = self._packets.tick
        self._audio: Iterator[tuple[Fraction, av.Packet]] = iter(())
        if self._audio_from is not None:
            self._audio = copied_tracks(self._audio_from, self._container)
        self._next_audio = next(self._audio, None)  # adds the sound track before the file's header is written

    def _mux_audio(self, until: Fraction | None) -> None:
        """Interleave: all packets of sound that begin before ``until`` seconds, or all that are left."""
        while self._next_audio is not None and (until is None or self._next_audio[0] < until):
            self._container.mux(self._next_audio[1])
            self._next_audio = next(self._audio, None)


def _container_options(tick: Fraction) -> dict[str, str]:
    """The index in front, and when the first picture comes after 0 s told as precisely as the rest."""
    return {"movflags": "+faststart", "movie_timescale": str(tick.denominator)}


def _is_cover(stream: av.VideoStream) -> bool:
    return bool(stream.disposition.value & _COVER)


def _as_bytes(frame: np.ndarray) -> np.ndarray:
    return np.rint(frame.clip(0.0, 1.0) * 255).astype(np.uint8)


def _as_text(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"
