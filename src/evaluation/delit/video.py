"""How steady a video made from another is: its warping error beside that of the video it was made from.

``E_warp`` (Lai et al. 2018, "Learning Blind Video Temporal Consistency"): squared difference between a frame and its
predecessor moved along the optical flow, where the flow can be trusted. The flow is that of the input video, so a
result cannot look steady by hiding its own motion; blur can still buy steadiness, hence the sharpness beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from src.data.portrait.names import FLAT_LIT_VIDEO
from src.utils.cli import InputError
from src.utils.video_io import VIDEO_SUFFIXES, open_frames

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


def measure_video(inputs: Iterable[np.ndarray], results: Iterable[np.ndarray]) -> VideoFigures:
    """Compare two videos frame by frame, H x W x 3 uint8, one pair of frames in memory at a time.

    A result may be a row or column larger (as video codecs need even sizes). Raises InputError where they do not fit.
    """
    flow_of = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    errors: list[list[float]] = []  # of the input and of the result
    sharpness = np.zeros(2)
    count, before = 0, None
    for frame, result in zip_longest(inputs, results):
        if frame is None or result is None:
            more = "more" if frame is None else "fewer"
            raise InputError("video", f"the result has {more} frames than its input", "make it again")
        pair = (frame, _fit(result, frame.shape))
        grey = [cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY) for picture in pair]
        sharpness += [cv2.Laplacian(g.astype(np.float32) / 255, cv2.CV_32F).var() for g in grey]
        if before is not None:
            flow, trusted = backward_flow(flow_of, before[1], grey[0])
            if trusted.any():
                errors.append([_warp_error(old, new, flow, trusted) for old, new in zip(before[0], pair, strict=True)])
        count, before = count + 1, (pair, grey[0])
    if not errors:
        raise InputError("video", "needs two frames that show the same", "give a longer one")
    e_input, e_result = np.mean(errors, axis=0)
    return VideoFigures(
        frames=count,
        e_warp=float(e_result),
        e_warp_input=float(e_input),
        e_warp_ratio=float(e_result / e_input) if e_input > _SMALLEST_ERROR else None,
        sharpness_ratio=float(sharpness[1] / sharpness[0]) if sharpness[0] > 0 else None,
    )


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


def find_videos(folder: Path, input_folder: Path | None) -> list[tuple[str, Path, Path]]:
    """(name, input, result) for every ``NAME_flat_lit.mp4`` in ``folder``.

    The input is a video or folder of frames ``NAME`` in ``input_folder`` (the same folder if None).
    """
    if not folder.is_dir():
        raise InputError(folder, "no such folder", "give the folder that holds the results")
    results = sorted(path for path in folder.rglob(f"*{FLAT_LIT_VIDEO}") if path.name != FLAT_LIT_VIDEO)
    if not results:
        raise InputError(folder, f"holds no NAME{FLAT_LIT_VIDEO}", "write some with inference_delit.py")
    return [(_name(path, folder), _input_of(path, folder, input_folder), path) for path in results]


def measure_videos(folder: Path, input_folder: Path | None = None) -> dict[str, VideoFigures]:
    """:func:`measure_video` for all videos of :func:`find_videos`, by name. Raises InputError naming the file."""
    figures = {}
    for name, source, result in find_videos(folder, input_folder):
        try:
            figures[name] = measure_video(open_frames(source), open_frames(result))
        except InputError as error:
            raise InputError(result, *error.args[1:]) if error.args[0] == "video" else error from None
    return figures


def _name(result: Path, folder: Path) -> str:
    return result.relative_to(folder).as_posix().removesuffix(FLAT_LIT_VIDEO)


def _input_of(result: Path, folder: Path, input_folder: Path | None) -> Path:
    base = (input_folder or folder) / _name(result, folder)
    candidates = [base.with_name(base.name + suffix) for suffix in VIDEO_SUFFIXES]
    for path in (*candidates, base):
        if path.is_file() or (path == base and path.is_dir()):
            return path
    raise InputError(result, f"its input {base}.mp4 (mov, mkv, webm or a folder) is missing", "give --video_inputs")


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
