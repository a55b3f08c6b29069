"""Pictures at another size: area averages where they shrink, bilinear where they grow."""

from __future__ import annotations

import numpy as np


def resize_area(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """``H x W`` (``x C``) float32 or uint8 -> ``height x width``; the picture itself where it has that size.

    Reduced in both directions by area averaging, else bilinear.
    """
    if picture.shape[:2] == (height, width):
        return picture
    import cv2

    shrinks = height <= picture.shape[0] and width <= picture.shape[1]
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def reduce_valid(picture: np.ndarray, mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """A mip level: ``H x W x C`` float32 in linear light, 0 outside ``mask`` H x W bool -> ``height x width x C``.

    Each texel is the mean over the area that it covers, of what is valid there; 0 where nothing is, and a texel that is
    covered in part is as bright as one that is covered. ``height`` and ``width`` are at most the picture's.
    """
    covered = resize_area(mask.astype(np.float32), height, width)[..., None]
    means = resize_area(picture * mask[..., None], height, width)
    return np.divide(means, covered, out=np.zeros_like(means), where=covered > 0)


def fit_square(picture: np.ndarray, size: int, mask: np.ndarray | None = None) -> np.ndarray:
    """The largest square of ``H x W`` (``x C``), centred on the middle of ``mask`` (``H x W``) as far as the picture
    allows, or on the picture's own middle without one, at ``size x size``."""
    height, width = picture.shape[:2]
    side = min(height, width)
    rows, columns = height / 2, width / 2
    if mask is not None and height != width and mask.any():
        weights = mask / mask.sum()
        rows = float((weights.sum(axis=1) * np.arange(height)).sum())
        columns = float((weights.sum(axis=0) * np.arange(width)).sum())
    top = int(np.clip(round(rows - side / 2), 0, height - side))
    left = int(np.clip(round(columns - side / 2), 0, width - side))
    return resize_area(picture[top : top + side, left : left + side], size, size)
