"""How steady a video made from another is: its warping error beside that of the video it was made from.

``E_warp`` (Lai et al. 2018, "Learning Blind Video Temporal Consistency"): squared difference between a frame and its
predecessor moved along the optical flow, where the flow can be trusted. The flow is that of the input video, so a
result cannot look steady by hiding its own motion; blur can still buy steadiness, hence the sharpness beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

import cv2
import numpy as np

from src.utils.cli import InputError

# A pixel is occluded where going forth and back misses it by more (Sundaram et al. 2010).
_RELATIVE_TOLERANCE, _TOLERANCE = 0.01, 0.5
_SMALLEST_ERROR = 1e-9  # below it, a video stands still, and a ratio to it means nothing


@dataclass(frozen=True)
class VideoFigures:
    """``e_warp`` of frames in [0, 1], mean over colours, trusted pixels and pairs of frames; ``e_warp_input`` alike.

    ``e_warp_ratio`` is their quotient (None for an input that stands still), ``sharpness_ratio`` that of the variances
    of the Laplacian of luma. Both 1 for a copy of the input. A darker result lowers both.
    """

    frames: int
    e_warp: float
    e_warp_input: float
    e_warp_ratio: float | None
    sharpness_ratio: float | None

    def to_json(self) -> dict:
        return asdict(self)


class VideoMeasure:
    """Two videos compared frame by frame, H x W x 3 uint8, one pair of frames in memory at a time.

    A result may be a row or column larger (as video codecs need even sizes).
    """

    def __init__(self) -> None:
        self._flow_of = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._errors: list[list[float]] = []  # of the input and of the result
        self._sharpness = np.zeros(2)
        self._count = 0
        self._before: tuple[tuple[np.ndarray, np.ndarray], np.ndarray] | None = None

    def add(self, frame: np.ndarray, result: np.ndarray, begins_shot: bool = False) -> None:
        """The next frame of the input and of the result; one that ``begins_shot`` is compared with none before it.

        Raises InputError where their sizes do not fit.
        """
        pair = (frame, _fit(result, frame.shape))
        grey = [cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY) for picture in pair]
        self._sharpness += [cv2.Laplacian(g.astype(np.float32) / 255, cv2.CV_32F).var() for g in grey]
        if self._before is not None and not begins_shot:
            pair_before, grey_before = self._before
            flow, trusted = backward_flow(self._flow_of, grey_before, grey[0])
            if trusted.any():
                errors = [_warp_error(old, new, flow, trusted) for old, new in zip(pair_before, pair, strict=True)]
                self._errors.append(errors)
        self._count, self._before = self._count + 1, (pair, grey[0])

    def figures(self) -> VideoFigures:
        """Of all frames so far. Raises InputError where no two of them show the same."""
        if not self._errors:
            raise InputError("video", "needs two frames that show the same", "give a longer one")
        e_input, e_result = np.mean(self._errors, axis=0)
        sharpness = self._sharpness
        return VideoFigures(
            frames=self._count,
            e_warp=float(e_result),
            e_warp_input=float(e_input),
            e_warp_ratio=float(e_result / e_input) if e_input > _SMALLEST_ERROR else None,
            sharpness_ratio=float(sharpness[1] / sharpness[0]) if sharpness[0] > 0 else None,
        )


def measure_video(inputs: Iterable[np.ndarray], results: Iterable[np.ndarray]) -> VideoFigures:
    """:class:`VideoMeasure` of two whole videos. Raises InputError where they do not fit."""
    measure = VideoMeasure()
    for frame, result in zip_longest(inputs, results):
        if frame is None or result is None:
            more = "more" if frame is None else "fewer"
            raise InputError("video", f"the result has {more} frames than its input", "make it again")
        measure.add(frame, result)
    return measure.figures()


def backward_flow(flow_of: cv2.DISOpticalFlow, before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel of ``after`` was in ``before`` (both H x W uint8), as H x W x 2 offsets, and where that holds.

    It holds inside the picture where the flow forth and back comes home.
    """
    nothing: Any = None  # to begin with: the stubs ask for a flow
    back = np.asarray(flow_of.calc(after, before, nothing))
    forth = np.asarray(flow_of.calc(before, after, nothing))
    home = _sample(forth, back)
    miss = ((back + home) ** 2).sum(axis=2)
    length = (back**2).sum(axis=2) + (home**2).sum(axis=2)
    columns, rows = _places(back)
    height, width = after.shape
    is_inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    return back, is_inside & (miss <= _RELATIVE_TOLERANCE * length + _TOLERANCE)


def _fit(result: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    growth = [have - want for have, want in zip(result.shape[:2], shape[:2], strict=True)]
    if any(g not in (0, 1) for g in growth):
        have, want = (f"{s[1]} x {s[0]}" for s in (result.shape, shape))
        raise InputError("video", f"is {have}, its input {want}", "make it again")
    return result[: shape[0], : shape[1]]


def _warp_error(before: np.ndarray, after: np.ndarray, flow: np.ndarray, trusted: np.ndarray) -> float:
    difference = (_sample(before.astype(np.float32), flow) - after.astype(np.float32))[trusted] / 255
    return float(np.mean(difference**2, dtype=np.float64))


def _places(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height, width = flow.shape[:2]
    return (
        np.arange(width, dtype=np.float32) + flow[..., 0],
        np.arange(height, dtype=np.float32)[:, None] + flow[..., 1],
    )


def _sample(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    return cv2.remap(picture, *_places(flow), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
