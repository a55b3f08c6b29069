"""The only place that opens videos (mp4, mov, mkv, webm, folders of frames) and writes them (H.264 mp4), by PyAV.

Frames are H x W x 3 arrays of display-referred values: uint8 when read, uint8 or float in [0, 1] when written.
Every failure is an :class:`~src.utils.cli.InputError` that names the file and the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from src.utils import image_io
from src.utils.atomic import atomic_path
from src.utils.cli import InputError, describe_os_error
from src.utils.color import linear_to_srgb
from src.utils.video_container import require_complete

if TYPE_CHECKING:
    import av

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")

# Code points of ITU-T H.273
_BT709, _UNSPECIFIED, _BT601 = 1, 2, 5
_LIMITED_RANGE, _FULL_RANGE = 1, 2

_AUDIO_THAT_BROWSERS_PLAY_IN_MP4 = ("aac", "mp3", "opus")


class VideoReader:
    """A video file. Each iteration decodes it from the start, frame by frame, as H x W x 3 uint8 RGB.

    Rotation by the display matrix is applied. Where the file does not name its YCbCr matrix, BT.601 is taken up to
    1024 x 576 and BT.709 above, as players do. HDR transfer curves are not undone.

    Attributes: ``path``; ``fps`` (the mean rate, Fraction); ``frame_count`` (as the file says, or None);
    ``size`` ((height, width) after rotation).

    Raises InputError (also while iterating) on files that are missing, truncated, broken, or hold no video.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        require_complete(self.path)
        if self.path.suffix.lower() not in VIDEO_SUFFIXES:
            known = ", ".join(VIDEO_SUFFIXES)
            raise InputError(self.path, f"unknown extension {self.path.suffix!r}", f"use one of {known}")
        with self._open() as (container, stream):
            self.fps: Fraction = Fraction(stream.average_rate or stream.guessed_rate or 25)
            self.frame_count: int | None = stream.frames or None
            first = next(container.decode(stream), None)
            if first is None:
                raise InputError(self.path, "holds no frames", "export it again")
            self.size: tuple[int, int] = _to_rgb(first).shape[:2]

    def __iter__(self) -> Iterator[np.ndarray]:
        with self._open() as (container, stream):
            for frame in container.decode(stream):
                yield _to_rgb(frame)

    @contextmanager
    def _open(self) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
        import av

        try:
            with av.open(str(self.path)) as container:
                if not container.streams.video:
                    raise InputError(self.path, "holds no video", "give a video or a picture")
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                stream.codec_context.options = {"err_detect": "explode"}  # an error, not a concealed patch
                yield container, stream
        except av.FFmpegError as error:
            raise InputError(self.path, f"is broken or not a video ({error.strerror})", "export it again") from error


class FrameFolder:
    """A folder of pictures as a video, in natural order; attributes and iteration as :class:`VideoReader`.

    exr and hdr frames are sRGB-encoded. ``fps`` is what the caller says.
    """

    def __init__(self, path: str | Path, fps: Fraction | float = 25) -> None:
        self.path = Path(path)
        self.fps = _as_rate(fps)
        self._paths = image_io.list_images(self.path)
        self.frame_count: int | None = len(self._paths)
        self.size: tuple[int, int] = image_io.image_size(self._paths[0])

    def __iter__(self) -> Iterator[np.ndarray]:
        for path in self._paths:
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

    - ``fps``: frames per second; 29.97 and its kin are understood as the fractions over 1001.
    - ``crf``: x264's constant rate factor, 0 (lossless) to 51; 18 is visually lossless. ``preset``: x264's speed.
    - ``audio_from``: a video whose first sound track is copied (turned into AAC where browsers would not play it) up
      to the last frame written. A file without sound is no error.

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
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() != ".mp4":
            raise InputError(self.path, "videos are written as .mp4", "change the extension")
        self.fps = _as_rate(fps)
        self.frame_count = 0
        self._options = {"crf": str(crf), "preset": preset}
        self._audio_from = None if audio_from is None else Path(audio_from)
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

    def write(self, frame: np.ndarray) -> None:
        """Append one frame, H x W x 3, uint8 or float in [0, 1] (clamped, rounded)."""
        import av

        if self._shape is None:
            self._start(frame)
        if frame.shape != self._shape:
            problem = f"frame {self.frame_count} is {_as_text(frame.shape)}, earlier ones {_as_text(self._shape)}"
            raise InputError(self.path, problem, "give frames of one size")
        if frame.dtype != np.uint8:
            if not np.isfinite(frame).all():
                raise InputError(self.path, f"frame {self.frame_count} holds NaN or infinity", "")
            frame = _as_bytes(frame)
        height, width, _ = frame.shape
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(
            format="yuv420p",
            src_color_range=_FULL_RANGE,
            dst_colorspace=_BT709,
            dst_color_range=_LIMITED_RANGE,
        )
        picture.pts = self.frame_count
        picture.time_base = 1 / self.fps
        self._mux_audio(until=float(self.frame_count / self.fps))
        self._container.mux(self._stream.encode(picture))
        self.frame_count += 1

    @contextmanager
    def _open(self) -> Iterator[None]:
        import av

        try:
            with (
                atomic_path(self.path) as temporary,
                av.open(str(temporary), "w", options={"movflags": "+faststart"}) as self._container,
            ):
                yield
                if self._shape is None:
                    raise InputError(self.path, "no frames to write", "")
                self._mux_audio(until=float(self.frame_count / self.fps))
                self._container.mux(self._stream.encode(None))
        except av.FFmpegError as error:
            raise describe_os_error(OSError(error.errno, error.strerror), self.path) from error

    def _start(self, frame: np.ndarray) -> None:
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
            raise InputError(self.path, f"cannot hold frames of shape {frame.shape}", "give H x W x 3")
        self._shape = frame.shape
        height, width, _ = frame.shape
        self._stream = self._container.add_stream("libx264", rate=self.fps, options=self._options)
        self._stream.height, self._stream.width = height + height % 2, width + width % 2
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _LIMITED_RANGE
        self._audio = iter(())
        if self._audio_from is not None:
            self._audio = _audio_packets(self._audio_from, self._container)
        self._next_audio = next(self._audio, None)  # adds the sound track before the file's header is written

    def _mux_audio(self, until: float) -> None:
        """Interleave: all packets of sound that begin before ``until`` seconds."""
        while self._next_audio is not None and self._next_audio[0] < until:
            self._container.mux(self._next_audio[1])
            self._next_audio = next(self._audio, None)


def _audio_packets(path: Path, output: av.container.OutputContainer) -> Iterator[tuple[float, av.Packet]]:
    """(start in seconds, packet for ``output``) of the first sound track of ``path``."""
    import av

    try:
        with av.open(str(path)) as source:
            if not source.streams.audio:
                return
            track = source.streams.audio[0]
            if track.codec_context.name in _AUDIO_THAT_BROWSERS_PLAY_IN_MP4:
                copy = output.add_stream_from_template(track)
                packets: Any = (packet for packet in source.demux(track) if packet.dts is not None)
            else:
                copy = output.add_stream("aac", rate=track.codec_context.sample_rate)
                packets = _to_aac(source, track, copy)
            for packet in packets:
                packet.stream = copy
                yield float((packet.pts or 0) * packet.time_base), packet
    except av.FFmpegError as error:
        raise InputError(path, f"its sound cannot be read ({error.strerror})", "export it again") from error


def _to_aac(source: Any, track: Any, encoder: Any) -> Iterator[av.Packet]:
    import av

    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=track.codec_context.sample_rate)
    for frame in source.decode(track):
        for resampled in resampler.resample(frame):
            yield from encoder.encode(resampled)
    yield from encoder.encode(None)


def _to_rgb(frame: av.VideoFrame) -> np.ndarray:
    colorspace = frame.colorspace
    if colorspace == _UNSPECIFIED:
        colorspace = _BT709 if frame.width > 1024 or frame.height > 576 else _BT601
    picture = frame.reformat(
        format="rgb24",
        interpolation=_exact_interpolation(),
        src_colorspace=colorspace,
        src_color_range=_FULL_RANGE if frame.color_range == _FULL_RANGE else _LIMITED_RANGE,
        dst_color_range=_FULL_RANGE,
    )
    return np.ascontiguousarray(np.rot90(picture.to_ndarray(), k=round(frame.rotation / 90)))


def _exact_interpolation() -> int:
    """Without these flags swscale's decoding darkens by 1.3 levels of 255 on average; PyAV before 18 lacks them."""
    from av.video.reformatter import Interpolation

    if not hasattr(Interpolation, "ACCURATE_RND"):
        return Interpolation.BILINEAR
    return Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def _as_bytes(frame: np.ndarray) -> np.ndarray:
    return np.rint(frame.clip(0.0, 1.0) * 255).astype(np.uint8)


def _as_rate(fps: Fraction | float) -> Fraction:
    if not 0 < fps < 1e6:
        raise InputError("fps", f"{fps} is not a finite rate above 0", "")
    nominal = round(float(fps) * 1.001)
    if not isinstance(fps, Fraction) and nominal in (24, 30, 48, 60, 120) and abs(fps * 1.001 - nominal) < 0.005:
        return Fraction(nominal * 1000, 1001)
    return Fraction(fps).limit_denominator(1001)


def _as_text(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"
