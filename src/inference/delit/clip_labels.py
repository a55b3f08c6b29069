"""One clip labelled: its flat-lit frames, masks, confidence and light as files, and figures that say how good they are.

Labels are a pair: ``flat_lit`` lit by ``env`` is the clip as filmed. Where flat-lit is made as bright as the input, the
environments are divided by the same factor.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from src.data.portrait.manifest import FIGURES, REPORT, Clip
from src.inference.crops import Crop, Face
from src.inference.delit.delighter import Delighted, Delighter
from src.inference.delit.self_check import shading_residual
from src.inference.delit.video import Frame, VideoOptions, delight_frames, put_back_u8
from src.inference.prediction import Prediction
from src.inference.upsampling import resize_mask
from src.inference.work_list import Job
from src.utils.cli import InputError
from src.utils.color import srgb_to_linear
from src.utils.image_io import write_display, write_linear
from src.utils.json_files import write_json
from src.utils.resize import resize_area
from src.utils.video_io import VideoWriter, open_frames
from src.utils.warp_error import VideoMeasure

_MEASURED_SIDE = 256  # long side at which steadiness and sharpness are measured: detail of the camera, not its noise
_ON_PERSON = 0.5
_NEXT_TO_NOTHING = 1e-6  # weight of frames of noise in means: they count where there is nothing else
_LINEAR = srgb_to_linear(np.arange(256, dtype=np.float32) / 255)


@dataclass(frozen=True)
class LabelOptions:
    video: VideoOptions
    as_png: bool = False  # a folder of PNGs per kind of frames, else an mp4
    env_per_frame: bool = False


def label_clip(
    job: Job, folder: Path, name: str, source: str, origin: dict, delighter: Delighter, options: LabelOptions
) -> Clip:
    """Write the labels of one clip into ``folder``, which is there and empty.

    ``name``, ``source``, ``origin``: of the clip, for its line in the manifest, which is returned and stands in
    ``report.json`` too.
    Raises InputError on unreadable videos and full disks.
    """
    began = time.perf_counter()
    frames = open_frames(job.source, options.video.folder_fps)
    collected = _Collected(delighter.crops)
    with ExitStack() as stack:

        def frame_files(kind: str) -> FrameFiles:
            writer = FrameFiles(folder, kind, options.as_png, frames.fps, frames.sample_aspect_ratio)
            return stack.enter_context(writer.opened())

        flat_files, mask_files = frame_files("flat_lit"), frame_files("mask")
        confident = delighter.model.config.flat_confidence
        confidence_files = frame_files("confidence") if confident else None

        def write(frame: Frame, prediction: Prediction) -> None:
            flat_lit = put_back_u8(frame.picture, frame.crop, prediction)
            mask, confidence = _planes(frame, prediction)
            flat_files.write(flat_lit, frame)
            mask_files.write(mask, frame)
            if confidence_files is not None:
                confidence_files.write(confidence, frame)
            environment = prediction.environment / np.float32(prediction.exposure or 1.0)
            if options.env_per_frame:
                write_linear(folder / "env" / f"{frame.index:05d}.hdr", environment)
            collected.add(frame, prediction, flat_lit, mask, confidence if confident else None, environment)

        delight_frames(frames.timed(), delighter, options.video, write)
    if not collected.count:
        raise InputError(job.source, "holds no frames", "export it again")
    files = {"flat_lit": flat_files.name, "mask": mask_files.name, "env": "env.hdr"}
    write_linear(folder / files["env"], collected.environment())
    env_confidence = collected.env_confidence()
    if confidence_files is not None:
        files["confidence"] = confidence_files.name
    if options.env_per_frame:
        files["env_frames"] = "env"
    if env_confidence is not None:
        files["env_confidence"] = "env_confidence.png"
        write_display(folder / files["env_confidence"], env_confidence)
    clip = Clip(
        name=name,
        source=source,
        frames=collected.count,
        fps=str(frames.fps),
        height=frames.size[0],
        width=frames.size[1],
        portrait=collected.portrait(*frames.size),
        shots=tuple(collected.shots),
        files=files,
        figures=collected.figures(),
        origin=origin,
        seconds=round(time.perf_counter() - began, 3),
        finished=round(time.time(), 3),
    )
    write_json(folder / REPORT, clip.to_json(), indent=1)
    return clip


class FrameFiles:
    """One kind of a clip's frames, ``KIND.mp4`` or ``KIND/00000.png`` and so on."""

    def __init__(self, folder: Path, kind: str, as_png: bool, fps: Fraction, sample_aspect_ratio: Fraction) -> None:
        self.name = kind if as_png else f"{kind}.mp4"
        self._path = folder / self.name
        self._video = None if as_png else VideoWriter(self._path, fps, sample_aspect_ratio=sample_aspect_ratio)

    @contextmanager
    def opened(self) -> Iterator[FrameFiles]:
        with ExitStack() as stack:
            if self._video is not None:
                stack.enter_context(self._video)
            yield self

    def write(self, picture: np.ndarray, frame: Frame) -> None:
        """``picture``: H x W (x 3) uint8."""
        if self._video is None:
            write_display(self._path / f"{frame.index:05d}.png", picture.astype(np.float32) / 255)
            return
        colour = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
        self._video.write(colour, frame.start, frame.duration)


class _Collected:
    """What is gathered over a clip for its means and figures, frame by frame."""

    def __init__(self, looks_for_faces: bool) -> None:
        self.count = 0
        self.shots: list[int] = []
        self._looks_for_faces = looks_for_faces
        self._video = VideoMeasure()
        self._environments, self._env_confidences = _Mean(), _Mean()
        self._crops: list[Crop] = []
        self._found: dict[str, list[float]] = {name: [] for name in FIGURES}

    def add(
        self,
        frame: Frame,
        prediction: Prediction,
        flat_lit: np.ndarray,
        mask: np.ndarray,
        confidence: np.ndarray | None,
        environment: np.ndarray,
    ) -> None:
        self.count += 1
        if frame.is_cut:
            self.shots.append(frame.index)
        weight = max(prediction.trust, _NEXT_TO_NOTHING)
        self._environments.add(environment, weight)
        if prediction.confidence is not None:
            self._env_confidences.add(prediction.confidence, weight)
            self._note("env_confidence", float(prediction.confidence.mean()))
        if confidence is not None and mask.any():
            self._note("confidence", float(np.average(confidence, weights=mask)) / 255)
        self._crops.append(frame.crop)
        small, small_flat = (_reduced(picture) for picture in (frame.picture, flat_lit))
        self._video.add(small, small_flat, begins_shot=frame.is_cut)
        self._note("sharpness", _detail(frame.crop.cut(frame.picture)))
        if frame.face is not None:
            self._note("face_pixels", frame.face.side)
            if (yaw := turn_of_head(frame.face, frame.crop, prediction.mask)) is not None:
                self._note("yaw_deg", abs(yaw))
        if frame.begins_second and prediction.trust > 0:
            check = shading_residual(
                _LINEAR[frame.picture], Delighted(_LINEAR[flat_lit], prediction, frame.crop, "one frame of a clip")
            )
            if check:
                self._note("self_check_residual", check["relative_residual_scaled"])
                self._note("self_check_correlation", check["correlation"])

    def figures(self) -> dict[str, float | None]:
        means = {name: float(np.mean(values)) if values else None for name, values in self._found.items()}
        faces = self._found["face_pixels"]
        means["frames"], means["cuts"] = float(self.count), float(len(self.shots) - 1)
        means["face_pixels"] = float(np.median(faces)) if faces else None
        means["face_share"] = len(faces) / self.count if self._looks_for_faces else None
        try:
            video = self._video.figures()
            means["e_warp_ratio"], means["sharpness_ratio"] = video.e_warp_ratio, video.sharpness_ratio
        except InputError:  # one frame, or nothing but cuts: steadiness cannot be told
            pass
        return {name: None if value is None else round(value, 6) for name, value in means.items()}

    def environment(self) -> np.ndarray:
        return self._environments.value()

    def env_confidence(self) -> np.ndarray | None:
        return None if self._env_confidences.weight == 0 else self._env_confidences.value()

    def portrait(self, height: int, width: int) -> tuple[int, int, int]:
        """Top, left and side of the square that the frames' crops are about, pushed into the frame."""
        boxes = np.array(
            [(crop.top + crop.height / 2, crop.left + crop.width / 2, crop.height) for crop in self._crops]
        )
        row, column, side = np.median(boxes, axis=0)
        side = min(round(side), height, width)
        top, left = (
            int(np.clip(round(middle - side / 2), 0, whole - side))
            for middle, whole in ((row, height), (column, width))
        )
        return top, left, side

    def _note(self, figure: str, value: float) -> None:
        self._found[figure].append(value)


class _Mean:
    def __init__(self) -> None:
        self.weight = 0.0
        self._sum: np.ndarray | float = 0.0

    def add(self, value: np.ndarray, weight: float) -> None:
        self._sum = self._sum + weight * value.astype(np.float64)
        self.weight += weight

    def value(self) -> np.ndarray:
        return np.asarray(self._sum / self.weight, np.float32)


def turn_of_head(face: Face, crop: Crop, mask: np.ndarray | None) -> float | None:
    """How far a head is turned to the side, in degrees, above 0 to the picture's right; None where it cannot be told.

    On a ball about the axis of the neck the middle of a face that is turned by t lies ``radius * sin(t)`` beside it:
    the outline of the head (``mask``, h x w, of ``crop``) at the height of the face tells axis and radius. Against the
    known yaw of synthetic heads: slope 1.05, median error 2.4 degrees; hair that hangs to one side shifts the outline.
    """
    if mask is None:
        return None
    scale = mask.shape[0] / crop.height
    middle, side = (face.y - crop.top) * scale, face.side * scale
    rows = mask[max(0, round(middle - side / 2)) : max(0, round(middle + side / 4))] > _ON_PERSON
    rows = rows[rows.sum(axis=1) > side / 2]
    if not len(rows):
        return None
    left, right = rows.argmax(axis=1), rows.shape[1] - rows[:, ::-1].argmax(axis=1)
    axis, radius = np.median(left + right) / 2, np.median(right - left) / 2
    sine = ((face.x - crop.left) * scale - axis) / radius
    return float(np.degrees(np.arcsin(np.clip(sine, -1, 1))))


def _planes(frame: Frame, prediction: Prediction) -> tuple[np.ndarray, np.ndarray]:
    """Mask and confidence of a frame, H x W uint8; all of the crop is person where the model has no mask."""
    shape, crop = frame.picture.shape[:2], frame.crop
    content = crop.cut(frame.picture)
    height, width = content.shape[:2]
    inside, certain = np.ones((height, width), np.float32), np.ones((height, width), np.float32)
    if prediction.mask is not None:
        inside = resize_mask(prediction.mask, _LINEAR[content], prediction.relit_floor)
    if prediction.flat_error is not None:
        certain = np.exp(-resize_area(prediction.flat_error, height, width))
    mask = crop.put_back(np.zeros(shape, np.uint8), np.rint(inside * 255).astype(np.uint8))
    confidence = crop.put_back(np.full(shape, 255, np.uint8), np.rint(certain * 255).astype(np.uint8))
    return mask, confidence


def _reduced(picture: np.ndarray) -> np.ndarray:
    scale = min(1.0, _MEASURED_SIDE / max(picture.shape[:2]))
    return resize_area(picture, *(max(1, round(side * scale)) for side in picture.shape[:2]))


def _detail(portrait: np.ndarray) -> float:
    """Standard deviation of the Laplacian of luma, in 8-bit codes, of a portrait at one size: low where it is soft."""
    same_size = resize_area(np.ascontiguousarray(portrait), _MEASURED_SIDE, _MEASURED_SIDE)
    grey = cv2.cvtColor(same_size, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey.astype(np.float32), cv2.CV_32F).std())
