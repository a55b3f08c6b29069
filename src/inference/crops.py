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
_UPRIGHT = 12.0  # degrees
FEATHER = 0.08  # of the crop's side
_BELOW_NECK = 0.25  # the same below: cloth that is left as it is farther down shows no band
_BESIDE_HEAD, _BELOW_CHIN = 0.15, 0.4  # the same of a portrait about which a wider crop is seen
_WIDER = 1.8  # side of the crop about head and chest over the portrait's
_WIDER_ABOVE = 0.12  # of the portrait's side, that the former begins above it
_WIDER_SHOWS = 1.3  # times as much of the picture, at least, to be worth a look
_LEAST_ROLL = 4.0  # degrees from which on a crop is turned: heads that are trained on are about as upright as that


@dataclass(frozen=True)
class Face:
    """A face's square box in pixels: its centre and its side, from about the brows to the mouth."""

    x: float
    y: float
    side: float
    roll: float = 0.0  # degrees that it is turned clockwise in the picture, by its eyes


@dataclass(frozen=True)
class Crop:
    """A rectangle of whole pixels that may reach over the picture's border.

    With a ``roll`` it is the square about a square that is turned clockwise by so many degrees: what the network is
    shown, see :mod:`src.inference.alignment`.
    """

    top: int
    left: int
    height: int
    width: int
    roll: float = 0.0

    def inside(self, picture_height: int, picture_width: int) -> Crop:
        """The part of it that lies in a picture of that size."""
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + self.height, picture_height), min(self.left + self.width, picture_width)
        return Crop(top, left, bottom - top, right - left)

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """``(height, width, ...)`` of ``(H, W, ...)``; beyond the border the border's pixels are repeated."""
        height, width = picture.shape[:2]
        rows, columns = np.arange(self.top, self.top + self.height), np.arange(self.left, self.left + self.width)
        if rows[0] >= 0 and columns[0] >= 0 and rows[-1] < height and columns[-1] < width:
            return picture[self.top : self.top + self.height, self.left : self.left + self.width]
        return picture[rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)]

    def scaled(self, scale: float) -> Crop:
        """The same part of a picture ``scale`` times as large."""
        top, left, height, width = (round(scale * side) for side in (self.top, self.left, self.height, self.width))
        return Crop(top, left, height, width, self.roll)

    def put_back(self, picture: np.ndarray, content: np.ndarray) -> np.ndarray:
        """A copy of ``(H, W, ...)`` with ``(height, width, ...)`` where this crop was cut from."""
        result = picture.copy()
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = max(self.top + self.height, top), max(self.left + self.width, left)
        inside = result[top:bottom, left:right]
        first_row, first_column = top - self.top, left - self.left
        inside[...] = content[first_row : first_row + inside.shape[0], first_column : first_column + inside.shape[1]]
        return result

    def feather(self, picture_height: int, picture_width: int, leaves_body: bool = False) -> np.ndarray:
        """Weights ``(height, width)`` in [0, 1] that fade out towards the sides that lie inside the picture.

        ``leaves_body``: of a portrait's crop, from the chin down and beside the head, since a wider one is seen too.
        """
        sides, below = (_BESIDE_HEAD, _BELOW_CHIN) if leaves_body else (FEATHER, _BELOW_NECK)
        above, left = self.top > 0, self.left > 0
        rows = ramp(self.height, FEATHER if above else 0, below if self.top + self.height < picture_height else 0)
        columns = ramp(self.width, sides if left else 0, sides if self.left + self.width < picture_width else 0)
        return rows[:, None] * columns


def whole_picture(height: int, width: int) -> Crop:
    return Crop(0, 0, height, width)


def portrait_crop(face: Face) -> Crop:
    """The square about the head and some neck, at the scale of the training portraits, turned as the face is."""
    roll = face.roll if abs(face.roll) >= _LEAST_ROLL else 0.0
    sine, cosine = np.sin(np.radians(roll)), np.cos(np.radians(roll))
    side = max(16, round(face.side * CROP_PER_FACE * (abs(sine) + cosine)))
    down = _DOWN_PER_FACE * face.side
    return Crop(
        round(face.y + down * cosine - side / 2), round(face.x - down * sine - side / 2), side, side, float(roll)
    )


def wider_crop(crop: Crop, height: int, width: int) -> Crop | None:
    """The square about head and chest, for the upright square about a head; None where the picture shows little more.

    What a portrait leaves out of a person is seen there, small, after which the network's training pictures allow no
    more: in a square twice as wide as the portrait it takes a wall for a part of a person now and then.
    """
    side = round(_WIDER * crop.height)
    wider = Crop(crop.top - round(_WIDER_ABOVE * crop.height), crop.left + (crop.width - side) // 2, side, side)
    seen, more = crop.inside(height, width), wider.inside(height, width)
    return wider if more.height * more.width >= _WIDER_SHOWS * seen.height * seen.width else None


def is_portrait_crop(face: Face, height: int, width: int) -> bool:
    """Whether a picture shows the face about as large and as central as a portrait crop of it would."""
    if max(height, width) > _SQUARE_ASPECT * min(height, width) or abs(face.roll) > _UPRIGHT:
        return False
    crop, side = portrait_crop(face), (height + width) / 2
    distance = np.hypot(crop.left + crop.width / 2 - width / 2, crop.top + crop.height / 2 - height / 2)
    return side / _SIZE_RATIO < crop.height < side * _SIZE_RATIO and bool(distance < _CENTRE_DISTANCE * side)


def ramp(length: int, at_start: float, at_end: float) -> np.ndarray:
    """``(length,)`` weights in [0, 1] that fade in and out over these shares of it."""
    position = (np.arange(length, dtype=np.float32) + 0.5) / length
    weights = np.ones(length, np.float32)
    for fade, distance in ((at_start, position), (at_end, 1 - position)):
        if fade:
            share = (distance / np.float32(fade)).clip(0, 1)
            weights *= share * share * (3 - 2 * share)
    return weights
