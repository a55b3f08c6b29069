"""Faces in pictures and in videos, by the LBP cascade that scikit-image brings along (no weights to download)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from src.inference.crops import Face
from src.utils.resize import resize_area

_LONG_SIDES = (320, 512)  # of the reduced pictures that are searched, until one shows a face
_SMALLEST_FACE = 24  # pixels there; the cascade's own window
_SCALE_STEP = 1.15
_SAME_FACE = 0.4  # boxes whose centres are closer than this share of the larger one are one face
# Around a known face: how far its box may have moved and grown, and how large it is drawn for the search.
_SEARCH_MARGIN = 1.0
_SEARCH_GROWTH = 1.5
_SEARCH_SIDE = 48
# Code of a video's frame below which its brightest parts are dark, and what those are drawn as.
_DARK, _MADE_BRIGHT = 48, 192
_FRESH_SHARE = 0.5  # of a new box in the smoothed one


def find_face(picture: np.ndarray) -> Face | None:
    """The largest face of an H x W x 3 uint8 sRGB picture; None where there is none of 1/20 of the long side.

    What the cascade takes for a face has to be found once more at another scale: most patterns that are none are not.
    """
    height, width = picture.shape[:2]
    for long_side in _LONG_SIDES:
        scale = min(1.0, long_side / max(height, width))
        small = _resize(picture, max(1, round(height * scale)), max(1, round(width * scale)))
        for found in sorted(_detect(small, _SMALLEST_FACE, min(small.shape[:2])), key=lambda face: -face.side):
            face = _scaled(found, 1 / scale)
            again = follow_face(picture, face)
            if again is not None:
                return _between(face, again, 0.5)
    return None


def follow_face(picture: np.ndarray, last: Face) -> Face | None:
    """The face of ``last`` in a later picture, searched near where it was; None where it is not found there."""
    height, width = picture.shape[:2]
    reach = last.side * (0.5 + _SEARCH_MARGIN)
    top, left = max(0, round(last.y - reach)), max(0, round(last.x - reach))
    window = picture[top : min(height, round(last.y + reach)), left : min(width, round(last.x + reach))]
    if min(window.shape[:2]) < _SMALLEST_FACE:
        return None
    scale = min(1.0, _SEARCH_SIDE / last.side)
    small = _resize(window, max(1, round(window.shape[0] * scale)), max(1, round(window.shape[1] * scale)))
    expected = last.side * scale
    smallest = max(_SMALLEST_FACE, round(expected / _SEARCH_GROWTH))
    found = [
        _scaled(face, 1 / scale, left, top)
        for face in _detect(small, smallest, min(*small.shape[:2], round(expected * _SEARCH_GROWTH)))
    ]
    return min(found, key=lambda face: np.hypot(face.x - last.x, face.y - last.y), default=None)


class FaceTracker:
    """One face through a video, looked for once per block of frames and moving evenly in between.

    A face that is lost stays where it was. A cut begins anew.
    """

    def __init__(self) -> None:
        self._face: Face | None = None

    def track(self, frames: Sequence[np.ndarray], is_cut: Sequence[bool]) -> list[Face | None]:
        """The face of each H x W x 3 uint8 frame of the next block; ``is_cut`` marks frames that begin a shot."""
        starts = [index for index, cut in enumerate(is_cut) if cut]
        faces: list[Face | None] = []
        for start, stop in zip([0, *starts], [*starts, len(frames)], strict=True):
            if start < stop:
                faces += self._track_shot(frames[start:stop], is_cut[start])
        return faces

    def _track_shot(self, frames: Sequence[np.ndarray], is_new: bool) -> list[Face | None]:
        if is_new or self._face is None:
            # A shot that fades in shows its face at the end of the block at the earliest.
            self._face = find_face(_brightened(frames[0])) or find_face(_brightened(frames[-1]))
        if self._face is None:
            return [None] * len(frames)
        before, seen = self._face, follow_face(_brightened(frames[-1]), self._face)
        after = before if seen is None else _between(before, seen, _FRESH_SHARE)
        self._face = after
        return [_between(before, after, (index + 1) / len(frames)) for index in range(len(frames))]


def _brightened(picture: np.ndarray) -> np.ndarray:
    """A dark H x W x 3 uint8 sRGB picture so bright that a face in it can be found; any other as it is."""
    bright = float(np.percentile(picture[::4, ::4], 95))
    if bright >= _DARK:
        return picture
    table = np.rint((np.arange(256) * (_MADE_BRIGHT / max(bright, 1))).clip(0, 255)).astype(np.uint8)
    return np.take(table, picture)


def _detect(picture: np.ndarray, smallest: int, largest: int) -> list[Face]:
    """Faces whose boxes have sides from ``smallest`` to ``largest``; overlapping boxes are averaged."""
    if largest < smallest:
        return []
    boxes = _cascade().detect_multi_scale(
        img=picture,
        scale_factor=_SCALE_STEP,
        step_ratio=1,
        min_size=(smallest, smallest),
        max_size=(largest, largest),
    )
    groups: list[list[Face]] = []
    for box in sorted(boxes, key=lambda box: -box["width"]):
        face = Face(box["c"] + box["width"] / 2, box["r"] + box["height"] / 2, float(box["width"]))
        for group in groups:
            if np.hypot(group[0].x - face.x, group[0].y - face.y) < _SAME_FACE * group[0].side:
                group.append(face)
                break
        else:
            groups.append([face])
    return [Face(*np.mean([(face.x, face.y, face.side) for face in group], axis=0).tolist()) for group in groups]


@lru_cache(maxsize=1)
def _cascade() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def _resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.ascontiguousarray(resize_area(picture, height, width))


def _scaled(face: Face, scale: float, left: float = 0.0, top: float = 0.0) -> Face:
    return Face(left + face.x * scale, top + face.y * scale, face.side * scale)


def _between(first: Face, second: Face, share: float) -> Face:
    pairs = ((first.x, second.x), (first.y, second.y), (first.side, second.side))
    return Face(*(a + share * (b - a) for a, b in pairs))
