"""Where a portrait lies in a picture: the square that a delighting model is shown, cut out and put back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Side of the crop over the side of the detector's face box, and how far the crop's centre lies below the box's in box
# sides: medians over training portraits (whole head and neck, some 81 % of the picture's height).
CROP_PER_FACE = 2.2
_DOWN_PER_FACE = 0.12
# A picture whose own crop would be this much like it is a portrait crop already.
_SQUARE_ASPECT = 1.25
_SIZE_RATIO = 1.4
_CENTRE_DISTANCE = 0.15
_FEATHER = 0.08  # of the crop's side


@dataclass(frozen=True)
class Face:
    """A face's square box in pixels: its centre and its side, from about the brows to the mouth."""

    x: float
    y: float
    side: float


@dataclass(frozen=True)
class Crop:
    """A rectangle of whole pixels that may reach over the picture's border."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """``(height, width, ...)`` of ``(H, W, ...)``; beyond the border the border's pixels are repeated."""
        rows, columns = self._inside(picture.shape)
        inside = picture[rows, columns]
        before = rows.start - self.top, columns.start - self.left
        after = self.height - before[0] - inside.shape[0], self.width - before[1] - inside.shape[1]
        if not any(before + after):
            return inside
        padding = [(before[0], after[0]), (before[1], after[1])] + [(0, 0)] * (picture.ndim - 2)
        return np.pad(inside, padding, mode="edge")

    def put_back(self, picture: np.ndarray, content: np.ndarray) -> np.ndarray:
        """A copy of ``(H, W, ...)`` with ``(height, width, ...)`` where this crop was cut from."""
        result = picture.copy()
        rows, columns = self._inside(picture.shape)
        top, left = rows.start - self.top, columns.start - self.left
        height, width = rows.stop - rows.start, columns.stop - columns.start
        result[rows, columns] = content[top : top + height, left : left + width]
        return result

    def feather(self, picture_height: int, picture_width: int) -> np.ndarray:
        """Weights ``(height, width)`` in [0, 1] that fade out towards the sides that lie inside the picture."""
        fades = (
            (self.height, self.top > 0, self.top + self.height < picture_height),
            (self.width, self.left > 0, self.left + self.width < picture_width),
        )
        rows, columns = (_ramp(*fade) for fade in fades)
        return rows[:, None] * columns

    def _inside(self, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """The part within a picture of ``shape``; at least one pixel."""
        height, width = shape[:2]
        top, left = min(max(self.top, 0), height - 1), min(max(self.left, 0), width - 1)
        bottom = max(min(self.top + self.height, height), top + 1)
        return slice(top, bottom), slice(left, max(min(self.left + self.width, width), left + 1))


def whole_picture(height: int, width: int) -> Crop:
    return Crop(0, 0, height, width)


def portrait_crop(face: Face) -> Crop:
    """The square about the head and some neck, at the scale of the training portraits."""
    side = max(16, round(face.side * CROP_PER_FACE))
    centre_y = face.y + _DOWN_PER_FACE * face.side
    return Crop(round(centre_y - side / 2), round(face.x - side / 2), side, side)


def is_portrait_crop(face: Face, height: int, width: int) -> bool:
    """Whether a picture shows the face about as large and as central as a portrait crop of it would."""
    if max(height, width) > _SQUARE_ASPECT * min(height, width):
        return False
    crop, side = portrait_crop(face), (height + width) / 2
    distance = np.hypot(crop.left + crop.width / 2 - width / 2, crop.top + crop.height / 2 - height / 2)
    return side / _SIZE_RATIO < crop.height < side * _SIZE_RATIO and bool(distance < _CENTRE_DISTANCE * side)


def _ramp(length: int, fades_at_start: bool, fades_at_end: bool) -> np.ndarray:
    position = (np.arange(length, dtype=np.float32) + 0.5) / length
    weights = np.ones(length, np.float32)
    for fades, distance in ((fades_at_start, position), (fades_at_end, 1 - position)):
        if fades:
            share = (distance / _FEATHER).clip(0, 1)
            weights *= share * share * (3 - 2 * share)
    return weights
