"""Flat-lit detail beyond the network's own resolution, from overlapping tiles, without seams."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
from torch import Tensor

_OVERLAP = 0.5  # of a tile's side
_TILES_AT_A_TIME = 16
# Width of the Gaussian that parts coarse from fine, in pixels of the coarse prediction: what is wider comes from that
# one, which has seen the whole portrait; what is narrower it holds badly or not at all, and comes from the tiles.
_SPLIT_SIGMA = 1.5

TileGains = Callable[[list[Tensor]], list[np.ndarray]]


def refine_log_gain(picture: Tensor, coarse: np.ndarray, tile_side: int, tile_gains: TileGains) -> np.ndarray:
    """Log gain H x W x 3 at the resolution of ``picture`` (3 x H x W).

    ``coarse``: h x w x 3 of the same picture at a lower resolution. ``tile_gains``: 3 x t x t pictures -> t x t x 3
    each, t <= ``tile_side``. Tiles give only what is too fine for ``coarse``, and fade into one another.
    """
    height, width = picture.shape[-2:]
    sigma = _SPLIT_SIGMA * max(height, width) / tile_side

    def blurred(gain: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(gain, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)

    coarse = blurred(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))
    detail = np.zeros((height, width, 3), np.float32)
    total = np.zeros((height, width, 1), np.float32)
    places = list(_tiles(height, width, tile_side))
    for first in range(0, len(places), _TILES_AT_A_TIME):
        part = places[first : first + _TILES_AT_A_TIME]
        for (rows, columns), gain in zip(part, tile_gains([picture[:, r, c] for r, c in part]), strict=True):
            fine = gain - blurred(gain)
            window = (_window(gain.shape[0])[:, None] * _window(gain.shape[1]))[..., None]
            detail[rows, columns] += window * fine
            total[rows, columns] += window
    return coarse + detail / total


def _tiles(height: int, width: int, side: int) -> Iterator[tuple[slice, slice]]:
    for top in _starts(height, side):
        for left in _starts(width, side):
            yield slice(top, min(top + side, height)), slice(left, min(left + side, width))


def _starts(length: int, side: int) -> list[int]:
    """Evenly spaced starts of tiles that cover ``length`` and overlap by at least half."""
    if length <= side:
        return [0]
    count = 1 + int(np.ceil((length - side) / (side * (1 - _OVERLAP))))
    return [round(start) for start in np.linspace(0, length - side, count)]


def _window(length: int) -> np.ndarray:
    """A raised cosine that is above 0 everywhere, so that the picture's border has weight too."""
    return (np.sin(np.pi * (np.arange(length, dtype=np.float32) + 0.5) / length) ** 2 + 1e-4).astype(np.float32)
