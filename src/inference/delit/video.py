"""Videos without their light: decoding, the network and encoding side by side, memory bounded at any length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice

import numpy as np
from tqdm import tqdm

from src.data.portrait import names
from src.inference.crops import Crop, Face, is_portrait_crop, portrait_crop, whole_picture
from src.inference.delit.delighter import Delighted, Delighter
from src.inference.delit.self_check import SelfCheck
from src.inference.delit.stills import write_preview
from src.inference.delit.views import View
from src.inference.faces import FaceTracker
from src.inference.pipeline import Consumer, produced
from src.inference.prediction import Prediction, apply_gain, change_weights, trust_in
from src.inference.temporal import CutDetector, Smoother
from src.inference.work_list import Job
from src.utils.cli import InputError
from src.utils.color import linear_to_srgb, srgb_to_linear
from src.utils.image_io import write_linear
from src.utils.video_io import TimedFrame, VideoWriter, open_frames

_BATCHES_AHEAD = 2
_NEXT_TO_NOTHING = 1e-6  # weight of frames of noise in the mean environment: they count where there is nothing else
_LINEAR = srgb_to_linear(np.arange(256, dtype=np.float32) / 255)  # radiance of each 8-bit sRGB code
# 8-bit sRGB code of radiance in steps of 1 / 65535: 20 steps to the darkest code, so at most one code off at its edges.
_SRGB = np.rint(linear_to_srgb(np.arange(65536, dtype=np.float32) / 65535) * 255).astype(np.uint8)


@dataclass(frozen=True)
class VideoOptions:
    batch_size: int = 8
    smooth: bool = True  # running averages between cuts
    folder_fps: float = 25.0  # of folders of frames
    self_check: SelfCheck | None = None

    def endings(self) -> list[str]:
        """The files that every finished video has; the video itself is written last."""
        report = [] if self.self_check is None else [names.REPORT]
        return [names.FLAT_LIT_VIDEO, names.env_frame(0), names.ENV_AVERAGE, *report]


@dataclass(frozen=True)
class Frame:
    """A decoded frame on its way to the network."""

    index: int
    picture: np.ndarray  # H x W x 3 uint8 sRGB
    start: Fraction  # seconds
    duration: Fraction
    begins_second: bool  # the first of a second of the video
    is_cut: bool  # the first of a shot
    starts_anew: bool  # what is shown has nothing to do with the frame before
    face: Face | None
    crop: Crop
    view: View  # what the network is shown of it
    trust: float  # how far it holds more than noise


def delight_video(
    job: Job, delighter: Delighter, options: VideoOptions, origin: str | None = None, show_progress: bool = False
) -> str:
    """Write the outputs of one video; the returned note says how much of it was cropped to the face.

    ``origin`` goes into ``NAME_flat_lit.mp4``, which appears last: see :mod:`src.inference.origin`.
    Raises InputError on unreadable videos and full disks; ``NAME_flat_lit.mp4`` then does not appear.
    """
    frames = open_frames(job.source, options.folder_fps)
    audio = job.source if job.source.is_file() else None
    collected = _Collected(job, options)
    writer = VideoWriter(
        job.output(names.FLAT_LIT_VIDEO),
        frames.fps,
        audio_from=audio,
        sample_aspect_ratio=frames.sample_aspect_ratio,
        comment=origin,
    )
    with (
        writer as video,
        tqdm(total=frames.frame_count, unit="frame", desc=job.source.name, disable=not show_progress) as bar,
    ):

        def write(frame: Frame, prediction: Prediction) -> None:
            flat_lit = put_back_u8(frame.picture, frame.crop, prediction)
            video.write(flat_lit, frame.start, frame.duration)
            collected.sample(frame, prediction, flat_lit)
            bar.update()

        delight_frames(frames.timed(), delighter, options, write, collected.add)
        collected.write()
    return collected.note()


def delight_frames(
    timed: Iterable[TimedFrame],
    delighter: Delighter,
    options: VideoOptions,
    write: Callable[[Frame, Prediction], None],
    seen: Callable[[list[Prediction]], None] | None = None,
) -> None:
    """Call ``write`` for every frame in turn, on a thread of its own, with its prediction made steady.

    ``seen`` is called before with the predictions of every few frames, as the network makes them.
    Decoding, the network and ``write`` run side by side, a few batches apart.
    """
    smoother = Smoother()

    def write_all(finished: list[tuple[Frame, Prediction]]) -> None:
        for frame, prediction in finished:
            write(frame, prediction)

    batches = _batches(timed, delighter, options.batch_size)
    with produced(batches, _BATCHES_AHEAD) as decoded, Consumer(write_all, _BATCHES_AHEAD) as encoder:
        for batch in decoded:
            asked = delighter.predict_views([frame.view for frame in batch])
            predictions = [
                replace(frame.view.settle(prediction), trust=frame.trust)
                for frame, prediction in zip(batch, asked, strict=True)
            ]
            if seen is not None:
                seen(predictions)
            if options.smooth:
                predictions = [
                    smoother(prediction, frame.starts_anew, float(frame.duration))
                    for frame, prediction in zip(batch, predictions, strict=True)
                ]
            encoder.put(list(zip(batch, predictions, strict=True)))


def put_back_u8(picture: np.ndarray, crop: Crop, prediction: Prediction) -> np.ndarray:
    """:meth:`Delighter.put_back` for H x W x 3 uint8 sRGB frames, by tables instead of powers."""
    content = crop.cut(picture)
    relit = _LINEAR[content]
    flat_lit = relit + change_weights(picture.shape, crop, relit, prediction) * (apply_gain(relit, prediction) - relit)
    codes = (flat_lit.clip(0, 1) * np.float32(65535) + np.float32(0.5)).astype(np.uint16)
    return crop.put_back(picture, np.take(_SRGB, codes))


class _Collected:
    """What is gathered over a video: the mean environment, pictures of it once a second, checks at the same frames."""

    def __init__(self, job: Job, options: VideoOptions) -> None:
        self._job, self._options = job, options
        self._sum: np.ndarray | None = None
        self._weight = 0.0
        self._count = self._cropped = 0
        self._checks: list[dict] = []

    def add(self, predictions: Iterable[Prediction]) -> None:
        for prediction in predictions:
            weight = max(prediction.trust, _NEXT_TO_NOTHING)
            environment = weight * prediction.environment.astype(np.float64)
            self._sum = environment if self._sum is None else self._sum + environment
            self._weight += weight
            self._count += 1

    def sample(self, frame: Frame, prediction: Prediction, flat_lit: np.ndarray) -> None:
        is_cropped = frame.crop != whole_picture(*frame.picture.shape[:2])
        self._cropped += is_cropped
        if not frame.begins_second:
            return
        write_preview(self._job.output(names.env_frame(frame.index)), prediction.environment)
        if self._options.self_check is not None and prediction.trust > 0:
            result = Delighted(
                _LINEAR[flat_lit], prediction, frame.crop, "face crop" if is_cropped else "whole picture"
            )
            report = self._options.self_check.of_picture(self._job.source, _LINEAR[frame.picture], result)
            self._checks.append({"frame": frame.index, **report})

    def write(self) -> None:
        if self._sum is None:
            raise InputError(self._job.source, "holds no frames", "export it again")
        write_linear(self._job.output(names.ENV_AVERAGE), (self._sum / self._weight).astype(np.float32))
        if self._options.self_check is not None:
            report = self._options.self_check.of_frames(self._job.source, self._checks)
            self._options.self_check.write(self._job.output(names.REPORT), report)

    def note(self) -> str:
        return f"{self._count} frames, {self._cropped} of them cropped to the face"


def begins_second(start: Fraction, before: Fraction | None) -> bool:
    """Whether a frame shown from ``start`` on is the first of a second of its video; ``before``: the frame before's."""
    return before is None or int(start) != int(before)


class Framing:
    """Which part of each frame the network is shown: the portrait about the face, or all of it.

    A shot that begins as a portrait crop is shown whole to its end, so that a face at the limit does not make the
    framing flip; so is a shot until a face is found.
    """

    def __init__(self) -> None:
        self._shows_all: bool | None = None  # None before a face is found

    def __call__(self, face: Face | None, is_cut: bool, height: int, width: int) -> tuple[Crop, bool]:
        """The crop of the next frame, and whether what is shown has nothing to do with the frame before."""
        was = None if is_cut else self._shows_all
        if is_cut:
            self._shows_all = None
        if self._shows_all is None and face is not None:
            self._shows_all = is_portrait_crop(face, height, width)
        changes = is_cut or (was is None and self._shows_all is False)
        if face is None or self._shows_all:
            return whole_picture(height, width), changes
        return portrait_crop(face), changes


def _batches(frames: Iterable[TimedFrame], delighter: Delighter, size: int) -> Iterator[list[Frame]]:
    """Frames with what the network is to be shown of them, ``size`` at a time."""
    cuts, tracker, framing, stream, index = CutDetector(), FaceTracker(delighter.faces), Framing(), iter(frames), 0
    before: Fraction | None = None
    while timed := list(islice(stream, size)):
        pictures = [frame.picture for frame in timed]
        is_cut = [cuts.is_cut(picture) for picture in pictures]
        faces = tracker.track(pictures, is_cut) if delighter.crops else [None] * len(pictures)
        batch = []
        for (picture, start, duration), cut, face in zip(timed, is_cut, faces, strict=True):
            crop, starts_anew = framing(face, cut, *picture.shape[:2])
            content = crop.cut(picture)
            mask = None if delighter.masks is None else delighter.masks.of(_LINEAR[picture])
            batch.append(
                Frame(
                    index,
                    picture,
                    start,
                    duration,
                    begins_second=begins_second(start, before),
                    is_cut=cut,
                    starts_anew=starts_anew,
                    face=face,
                    crop=crop,
                    view=delighter.view(crop, _LINEAR[content], mask, face),
                    trust=trust_in(content),
                )
            )
            index, before = index + 1, start
        yield batch
