"""Faces in pictures and in videos, by the LBP cascade that scikit-image brings along (no weights to download).

It knows faces from the front. Those that are tilted are found in the picture turned; profiles are not, see
:mod:`src.inference.mediapipe_models`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from src.inference import mediapipe_models
from src.inference.crops import Face
from src.utils.resize import resize_area

FaceFinder = Callable[[np.ndarray], list[Face]]

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
_BORDER = 0.2  # of the long side: repeated about pictures whose border may cut a face
_CUT = 0.6  # sides from the border to the middle, below which the border may cut a face: others may be tilted
_ROLLS = (20.0, -20.0, 40.0, -40.0)  # degrees at which tilted faces are looked for
_MOST_TRIED = 20  # candidates of one search, the largest
_LEAST_OF_SEVERAL = 0.3  # of the largest face's side that others in the picture have
_MOST_MOVED = 1.5  # face sides between two looks at one face
_FRESH_SHARE = 0.5  # of a new box in the smoothed one


def chosen_finder(wanted: str) -> str:
    """``cascade`` or ``mediapipe``; ``auto`` is the latter where it is installed."""
    if wanted == "auto":
        return "mediapipe" if mediapipe_models.is_installed() else "cascade"
    return wanted


def face_finder(kind: str) -> FaceFinder:
    """What finds faces: the ``cascade`` or ``mediapipe``; InputError where that is not installed."""
    if kind == "cascade":
        return find_faces
    mediapipe_models.require_mediapipe(f"--faces {kind}")
    return mediapipe_models.find_faces


def find_face(picture: np.ndarray) -> Face | None:
    """The largest face of an H x W x 3 uint8 sRGB picture; None where there is none of 1/20 of the long side."""
    return next(iter(find_faces(picture)), None)


def find_faces(picture: np.ndarray) -> list[Face]:
    """The faces of an H x W x 3 uint8 sRGB picture, the largest first.

    Upright ones; where there are none, those that the border cuts up to a half; where there are none, tilted ones.
    What the cascade takes for a face has to be found once more at another scale: most patterns that are none are not.
    """
    for long_side in _LONG_SIDES:
        if faces := _find_upright(picture, long_side):
            return faces
    if faces := _find_cut(picture):
        return faces
    for roll in _ROLLS:
        turned, back = _turned(picture, roll)
        if faces := [replace(back(face), roll=roll) for face in _find_upright(turned, _LONG_SIDES[0])]:
            return faces
    return []


def _find_cut(picture: np.ndarray) -> list[Face]:
    """Upright faces whose middle lies within the picture, and of which not all does."""
    height, width = picture.shape[:2]
    margin = round(_BORDER * max(height, width))
    around = cv2.copyMakeBorder(picture, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    faces = [_scaled(face, 1, -margin, -margin) for face in _find_upright(around, _LONG_SIDES[0])]

    def is_cut(face: Face) -> bool:
        nearest = min(face.x, face.y, width - face.x, height - face.y)
        return 0 <= nearest < _CUT * face.side

    return [face for face in faces if is_cut(face)]


def _find_upright(picture: np.ndarray, long_side: int) -> list[Face]:
    """Faces of the picture reduced to a long side, none of them smaller than a share of the largest."""
    height, width = picture.shape[:2]
    scale = min(1.0, long_side / max(height, width))
    small = _resize(picture, max(1, round(height * scale)), max(1, round(width * scale)))
    faces: list[Face] = []
    candidates = sorted(_detect(small, _SMALLEST_FACE, min(small.shape[:2])), key=lambda face: -face.side)
    for found in candidates[:_MOST_TRIED]:
        face = _scaled(found, 1 / scale)
        again = None if faces and face.side < _LEAST_OF_SEVERAL * faces[0].side else follow_face(picture, face)
        if again is not None and all(_distance(again, other) > other.side for other in faces):
            faces.append(_between(face, again, 0.5))
    return faces


def _turned(picture: np.ndarray, roll: float) -> tuple[np.ndarray, Callable[[Face], Face]]:
    """The picture turned so that faces of a roll are upright in it, and the way back of what is found there."""
    height, width = picture.shape[:2]
    side = int(np.ceil(np.hypot(height, width)))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), roll, 1.0)  # counter-clockwise
    matrix[:, 2] += (side / 2 - width / 2, side / 2 - height / 2)
    inverse = cv2.invertAffineTransform(matrix)

    def back(face: Face) -> Face:
        x, y = inverse @ (face.x, face.y, 1.0)
        return replace(face, x=float(x), y=float(y))

    return cv2.warpAffine(picture, matrix, (side, side)), back


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
    return min(found, key=lambda face: _distance(face, last), default=None)


class FaceTracker:
    """One face through a video, looked for once per block of frames and moving evenly in between.

    A face that is lost stays where it was. A cut begins anew.
    """

    def __init__(self, finder: FaceFinder | None = None) -> None:
        """``finder``: what finds the faces of a frame; :func:`find_faces` is also told where to look."""
        self._face: Face | None = None
        self._finder = None if finder is find_faces else finder

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
            # A shot that fades in shows its face at the end of the block at the earliest, and of a face that is hard
            # to find, one frame is not found where the next one is.
            looks = dict.fromkeys((0, len(frames) - 1, len(frames) // 3, 2 * len(frames) // 3))
            self._face = next(filter(None, (self._find(_brightened(frames[look])) for look in looks)), None)
        if self._face is None:
            return [None] * len(frames)
        before, seen = self._face, self._follow(_brightened(frames[-1]), self._face)
        after = before if seen is None else _between(before, seen, _FRESH_SHARE)
        self._face = after
        return [_between(before, after, (index + 1) / len(frames)) for index in range(len(frames))]

    def _find(self, frame: np.ndarray) -> Face | None:
        return find_face(frame) if self._finder is None else next(iter(self._finder(frame)), None)

    def _follow(self, frame: np.ndarray, last: Face) -> Face | None:
        if self._finder is None:
            seen = follow_face(frame, last)
            return None if seen is None else replace(seen, roll=last.roll)
        near = [face for face in self._finder(frame) if _distance(face, last) < _MOST_MOVED * last.side]
        return min(near, key=lambda face: _distance(face, last), default=None)


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


def _distance(first: Face, second: Face) -> float:
    return float(np.hypot(first.x - second.x, first.y - second.y))


def _between(first: Face, second: Face, share: float) -> Face:
    pairs = ((first.x, second.x), (first.y, second.y), (first.side, second.side), (first.roll, second.roll))
    return Face(*(a + share * (b - a) for a, b in pairs))
