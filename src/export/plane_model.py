"""What is expected of each value of quantised latent planes: a prediction, and how far it may be off.

Each value is predicted from its decoded neighbours (the median edge detector of LOCO-I, only from valid texels); which
of 24 contexts its residual falls into is decided by an expected residual: a linear combination of what is known around
the texel, in this plane and in the planes before it, with integer weights. Everything is integer arithmetic, so that
any program finds the same.

Order: at step s, plane d handles the texels with x + 2 y = s - 3 d. All that a texel needs was handled in an earlier
step, so a step is one vector operation, and a serial program may simply loop over it.

Weinberger, Seroussi, Sapiro, "The LOCO-I lossless image compression algorithm" (2000).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

CONTEXTS = 24
PLANE_LAG = 3  # plane d reads plane d-1 one row below: x + 2 (y + 1) = s + 2
FEATURES = 14
WEIGHT_BITS = 12
_RESIDUAL_CAP = 16
_SUM_CAP = 64
_RESIDUAL_BITS, _RESIDUAL_MASK = 5, 31  # of what is kept together, see PlaneState
_WEIGHT_LIMIT = 1 << 15
_REWEIGHTINGS = 5
_LEAST_EXPECTED = np.float32(0.015)  # quantisation steps
# Expected residuals at which one table gives way to the next: 2.5 tables per octave from 0.015 quantisation steps.
_THRESHOLDS = np.floor(0.015 * 2.0 ** ((np.arange(1, CONTEXTS) - 0.5) / 2.5) * (1 << WEIGHT_BITS)).astype(np.float32)


# The same by the first 13 bits of a float32 that is not negative: a sixteenth of an octave holds one threshold at most.
_CELL_BITS = 19
_CELLS = np.arange((1 << 31 >> _CELL_BITS) + 1, dtype=np.int64) << _CELL_BITS
_CELL_OF_THRESHOLD = _THRESHOLDS.view(np.int32) >> _CELL_BITS
_BELOW_CELL = np.searchsorted(_THRESHOLDS.view(np.int32), _CELLS[:-1], side="left")
_THRESHOLD_IN_CELL = np.full(len(_CELLS) - 1, np.inf, np.float32)
_THRESHOLD_IN_CELL[_CELL_OF_THRESHOLD] = _THRESHOLDS


class Step(NamedTuple):
    """What is handled at once: which of the texels, plane after plane."""

    texels: slice
    first_plane: int
    sizes: np.ndarray  # texels of each plane

    def spread(self, of_planes: np.ndarray) -> np.ndarray:
        """``of_planes`` ... x D -> what belongs to each value of the step, ... x M."""
        own = of_planes[..., self.first_plane : self.first_plane + len(self.sizes)]
        return np.repeat(own, self.sizes, axis=-1)


class PlaneOrder:
    """In which order texels are kept: by (x + 2 y) mod 3, then by falling x + 2 y, then row-major.

    What a step decodes, of plane d the texels with x + 2 y = s - 3 d, then lies together, in the order of the planes.
    """

    def __init__(self, mask: np.ndarray) -> None:
        y, x = np.nonzero(mask)
        key = x + 2 * y
        self._keys = mask.shape[1] + 2 * mask.shape[0]
        place = (key % PLANE_LAG * self._keys + self._keys - 1 - key).astype(np.min_scalar_type(3 * self._keys))
        self.texels = np.argsort(place, kind="stable")  # row-major numbers
        self._sizes = np.bincount(place, minlength=PLANE_LAG * self._keys)
        self._ends = np.cumsum(self._sizes)

    def steps(self, planes: int) -> Iterator[Step]:
        for step in range(self._keys + PLANE_LAG * (planes - 1)):
            least = max(0, -(-(step - self._keys + 1) // PLANE_LAG))
            most = min(planes - 1, step // PLANE_LAG)
            first = step % PLANE_LAG * self._keys + self._keys - 1 - step
            sizes = self._sizes[first + PLANE_LAG * least : first + PLANE_LAG * most + 1 : PLANE_LAG]
            count = int(sizes.sum())
            if count:
                end = int(self._ends[first + PLANE_LAG * most])
                yield Step(slice(end - count, end), least, sizes)


@dataclass(frozen=True)
class Neighbours:
    """For each valid texel, in the order of :class:`PlaneOrder`, the places of the texels it is predicted from; N means
    none."""

    values: np.ndarray  # 6 x N int32: W, N, NW, NE, WW, NN, replaced by a valid neighbour where they are not valid
    residuals: np.ndarray  # 6 x N int32: W, N, NW, NE, E, S; N where not valid
    missing: np.ndarray  # 2 x N int16: the two features that tell how many of W, N, NW, NE are not valid


def neighbours(mask: np.ndarray, order: np.ndarray) -> Neighbours:
    height, width = mask.shape
    count = len(order)
    place = np.empty(count + 1, np.int32)
    place[order] = np.arange(count, dtype=np.int32)
    place[count] = count
    index = np.full((height + 3, width + 4), -1, np.int32)  # two rows above and one below, two columns on each side
    index[2:-1, 2:-2][mask] = place[:-1]
    inside = np.flatnonzero(mask)[order]
    inside = (inside // width + 2) * (width + 4) + inside % width + 2

    def at(dy: int, dx: int) -> np.ndarray:
        return index.ravel()[inside + (dy * (width + 4) + dx)]

    west, north, north_west, north_east, west2, north2, east, south = (
        at(*offset) for offset in ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (0, 1), (1, 0))
    )
    # What an invalid texel stands for: the valid texel to its left, else what the one above it stands for.
    stands_for = np.full((height + 1, width + 1), count, np.int32)
    for y in range(height):
        here, left = index[y + 2, 2:-2], index[y + 2, 1:-3]
        stands_for[y + 1, 1:] = np.where(here >= 0, here, np.where(left >= 0, left, stands_for[y, 1:]))
    beside = stands_for[1:, :-1][mask][order]

    w = np.where(west >= 0, west, np.where(north >= 0, north, beside))
    n = np.where(north >= 0, north, w)
    nw = np.where(north_west >= 0, north_west, np.where(north >= 0, n, w))
    ne = np.where(north_east >= 0, north_east, n)
    values = np.stack((w, n, nw, ne, np.where(west2 >= 0, west2, w), np.where(north2 >= 0, north2, n)))
    near = np.stack((west, north, north_west, north_east, east, south))
    missing = (near[:4] < 0).sum(axis=0)
    missing = np.stack((1 + (missing == 3), missing == 4)).astype(np.int16)
    return Neighbours(values, np.where(near < 0, count, near).astype(np.int32), missing)


class PlaneState:
    """Values, and what is known of residuals, of each plane: N + 1 places, of which the last is 'no texel'."""

    def __init__(self, neighbours: Neighbours, planes: int, bits: int) -> None:
        count = neighbours.missing.shape[1]
        self.stride = count + 1
        self.neighbours = neighbours
        self.values = np.zeros(planes * self.stride, np.int16)
        self.values[count :: self.stride] = 1 << (bits - 1)
        # Of plane d in row d + 2: its absolute residual, at most 16, and above that 32 times the sum of those of the
        # planes before it, at most 64. More never matters. Two rows of zeros stand before the first plane.
        self._history = np.zeros((planes + 3) * self.stride, np.int16)
        self._rows = self.stride * np.arange(3)[:, None]

    def predict(self, texels: slice, base: np.ndarray | np.int64) -> tuple[np.ndarray, np.ndarray]:
        """For M values (``base`` = plane x stride): predictions M and features FEATURES x M, int16."""
        near = self.neighbours
        w, n, nw, ne, ww, nn = self.values.take(near.values[:, texels] + base, mode="clip")
        low, high = np.minimum(w, n), np.maximum(w, n)
        prediction = np.maximum(low, np.minimum(high, w + n - nw))
        around = self._history.take(near.residuals[:, texels] + (base + 2 * self.stride), mode="clip")
        here = np.arange(texels.start, texels.stop) + base + self._rows
        two_before, before, own = self._history.take(here, mode="clip")
        rw, rn, rnw, rne = around[:4] & _RESIDUAL_MASK
        sw, sn, snw, sne, se, ss = around >> _RESIDUAL_BITS
        features = np.empty((FEATURES, len(w)), np.int16)
        np.abs(w - nw, out=features[0])
        np.abs(n - nw, out=features[1])
        np.abs(n - ne, out=features[2])
        features[3], features[4], features[5] = rw, rn, rnw + rne
        features[6] = np.abs(ww - w) + np.abs(nn - n)
        features[7], features[8] = before & _RESIDUAL_MASK, two_before & _RESIDUAL_MASK
        np.minimum(features[:9], _RESIDUAL_CAP, out=features[:9])
        features[9], features[10], features[11] = own >> _RESIDUAL_BITS, se + ss, sw + sn + snw + sne
        np.minimum(features[9:12], _SUM_CAP, out=features[9:12])
        features[12:] = near.missing[:, texels]
        return prediction, features

    def store(
        self, texels: slice, base: np.ndarray | np.int64, values: np.ndarray, residuals: np.ndarray, sums: np.ndarray
    ) -> None:
        """``sums``: of the planes before, the feature."""
        here = np.arange(texels.start, texels.stop) + base
        self.values[here] = values
        here += 2 * self.stride
        self._history[here] = np.minimum(residuals, _RESIDUAL_CAP) + (sums << _RESIDUAL_BITS)
        here += self.stride
        self._history[here] = np.minimum(sums + residuals, _SUM_CAP) << _RESIDUAL_BITS


def contexts(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``features`` and ``weights`` FEATURES x M float32 -> table numbers M: how many thresholds are reached.

    All are whole numbers, and all sums are below 2^24: exact in float32.
    """
    expected = np.maximum(np.einsum("km,km->m", features.astype(np.float32), weights), np.float32(0.0))
    cell = expected.view(np.int32) >> _CELL_BITS
    return _BELOW_CELL.take(cell, mode="clip") + (expected >= _THRESHOLD_IN_CELL.take(cell, mode="clip"))


def fit_weights(features: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """Weights whose combination of ``features`` expects the absolute ``residuals``.

    Iteratively reweighted least squares, the variance of a residual taken to be as its mean: of counts, most of them 0.
    """
    x, y = features.astype(np.float32), np.minimum(residuals, 1.5 * _RESIDUAL_CAP).astype(np.float32)
    expected = np.full(len(y), y.mean() + 0.1, np.float32)
    for _ in range(_REWEIGHTINGS):
        weighted = x / expected
        products = (weighted @ x.T).astype(np.float64) + 0.01 * np.eye(FEATURES)
        solution = np.linalg.solve(products, (weighted @ y).astype(np.float64))
        expected = np.maximum(solution.astype(np.float32) @ x, _LEAST_EXPECTED)
    return np.clip(np.rint(solution * (1 << WEIGHT_BITS)), 1 - _WEIGHT_LIMIT, _WEIGHT_LIMIT - 1).astype(np.int16)
