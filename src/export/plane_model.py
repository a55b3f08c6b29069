"""What is expected of each value of quantised latent planes: a prediction, and how far it may be off.

Each value is predicted from its decoded neighbours (the median edge detector of LOCO-I, only from valid texels); which
of 24 contexts its residual falls into is decided by an expected residual: a linear combination of what is known around
the texel, in this plane and in the planes before it, with integer weights. Everything is integer arithmetic, so that
any program finds the same.

All functions take long arrays of bytes, whatever texels these hold: a decoder's those of one step
(:mod:`src.export.plane_walk`), an encoder's, which knows all values, rows of the map.

Weinberger, Seroussi, Sapiro, "The LOCO-I lossless image compression algorithm" (2000).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

CONTEXTS = 24
FEATURES = 14
WEIGHT_BITS = 12
RESIDUAL_CAP = 16
SUM_CAP = 64
INVALID = 255  # all bits: what is not valid is masked out
_WEIGHT_LIMIT = 1 << 15
_REWEIGHTINGS = 5
_LEAST_EXPECTED = np.float32(0.015)  # quantisation steps
# Expected residuals at which one table gives way to the next: 2.5 tables per octave from 0.015 quantisation steps.
_THRESHOLDS = np.floor(0.015 * 2.0 ** ((np.arange(1, CONTEXTS) - 0.5) / 2.5) * (1 << WEIGHT_BITS)).astype(np.int64)
_CONTEXT_OF = np.searchsorted(_THRESHOLDS, np.arange(_THRESHOLDS[-1] + 1), side="right")

Offset = tuple[int, int]  # x, y
_W, _N, _NW, _NE, _E, _S = (-1, 0), (0, -1), (-1, -1), (1, -1), (1, 0), (0, 1)
_NEAR = (_W, _N, _NW, _NE)
_PREDICTING = (*_NEAR, (-2, 0), (0, -2))


class Surroundings(NamedTuple):
    """Of A places in a plane, side by side in memory: bytes, A each, of these and of their neighbours."""

    values: list[np.ndarray]  # at W, N, NW, NE, WW, NN; 0 where not valid
    invalid: list[np.ndarray]  # there: INVALID or 0
    stand_in: np.ndarray  # at W, what it stands for where it is not valid
    residuals: list[np.ndarray]  # at W, N, NW, NE, absolute and at most RESIDUAL_CAP; these and all below: 0 if invalid
    before: list[np.ndarray]  # those of the plane before and of the one before it, here
    sums: list[np.ndarray]  # of absolute residuals of the planes before, at most SUM_CAP: here, E, S, W, N, NW, NE
    missing: np.ndarray  # 2 x A, the features that tell how many of W, N, NW, NE are not valid

    @classmethod
    def of(cls, view: Callable[[str, int, int], np.ndarray]) -> Surroundings:
        """``view(name of an array, x, y)`` is the array at the neighbours at this offset."""
        return cls(
            [view("values", *at) for at in _PREDICTING],
            [view("invalid", *at) for at in _PREDICTING],
            view("stand_ins", *_W),
            [view("residuals", *at) for at in _NEAR],
            [view("before", 0, 0), view("before_2", 0, 0)],
            [view("sums", *at) for at in ((0, 0), _E, _S, *_NEAR)],
            view("missing", 0, 0),
        )


class Workspace:
    """What is computed of A places, kept for the next as many."""

    def __init__(self, places: int) -> None:
        self.west, self.north, self.low, self.high, self.prediction = np.empty((5, places), np.uint8)
        self.near = np.empty((4, places), np.uint8)  # WW, NW, NE, NN
        self.most, self.least = np.empty((2, 5, places), np.uint8)
        self.known = np.empty((10, places), np.uint8)
        self.features = np.empty((FEATURES, places), np.float32)
        # Numpy takes longer for a number than for an array of it, and for slices than for what it has.
        self.residual_cap = np.full((5, places), RESIDUAL_CAP, np.uint8)
        self.sum_cap = np.full((3, places), SUM_CAP, np.uint8)
        near, most, least = self.near, self.most, self.least
        self.differing = ((near[:2], self.west, most[:2], least[:2]), (near[1:], self.north, most[2:], least[2:]))
        known, features = self.known, self.features
        self.differences, self.around, self.sums = known[:5], known[5:7], known[7:]
        self.copied = ((known[1:4], features[:3]), (known[5:7], features[5:7]), (known[7:9], features[10:12]))


def missing_neighbours(invalid: np.ndarray) -> np.ndarray:
    """``invalid`` H x W, INVALID or 0 -> 2 x H x W uint8: 2 where three of W, N, NW, NE are not valid, else 1; 1 where
    none of them is valid, else 0."""
    outside = np.pad(invalid & 1, ((1, 0), (1, 1)), constant_values=1)
    count = outside[1:, :-2] + outside[:-1, 1:-1] + outside[:-1, :-2] + outside[:-1, 2:]
    return np.stack((1 + (count == 3), count == 4)).astype(np.uint8)


def predict(around: Surroundings, space: Workspace) -> None:
    """``space.prediction``: the median of W, N and W + N - NW, each replaced by a valid one where it is not valid."""
    w, n, nw, ne, ww, nn = around.values
    not_w, not_n, not_nw, not_ne, not_ww, not_nn = around.invalid
    west, north, low, high, prediction = space.west, space.north, space.low, space.high, space.prediction
    near_ww, near_nw, near_ne, near_nn = space.near
    np.bitwise_and(around.stand_in, not_n, out=west)
    np.bitwise_or(west, n, out=west)
    np.bitwise_and(west, not_w, out=west)
    np.bitwise_or(west, w, out=west)
    for value, invalid, instead, out in (
        (n, not_n, west, north),
        (nw, not_nw, north, near_nw),
        (ne, not_ne, north, near_ne),
        (ww, not_ww, west, near_ww),
        (nn, not_nn, north, near_nn),
    ):
        np.bitwise_and(instead, invalid, out=out)
        np.bitwise_or(out, value, out=out)
    # The median of W, N and W + N - NW is low + high - (NW within low and high): bytes suffice.
    np.minimum(west, north, out=low)
    np.maximum(west, north, out=high)
    np.maximum(near_nw, low, out=prediction)
    np.minimum(prediction, high, out=prediction)
    np.subtract(high, prediction, out=prediction)
    np.add(prediction, low, out=prediction)


def describe(around: Surroundings, space: Workspace) -> None:
    """``space.features``, FEATURES x A float32, after :func:`predict` of the same."""
    known, features, residual_cap, sum_cap = space.known, space.features, space.residual_cap, space.sum_cap
    r_w, r_n, r_nw, r_ne = around.residuals
    here, e, s, w, n, nw, ne = around.sums
    for near, to, most, least in space.differing:
        np.maximum(near, to, out=most)
        np.minimum(near, to, out=least)
    np.subtract(space.most, space.least, out=space.most)
    np.minimum(space.most, residual_cap, out=space.differences)  # |WW - W|, |NW - W|, |NW - N|, |NE - N|, |NN - N|
    np.add(r_nw, r_ne, out=known[5])
    np.add(known[0], known[4], out=known[6])
    np.minimum(space.around, residual_cap[:2], out=space.around)
    np.add(e, s, out=known[7])
    np.add(w, n, out=known[8])
    np.add(nw, ne, out=known[9])
    np.minimum(space.sums, sum_cap, out=space.sums)
    np.add(known[8], known[9], out=known[8])
    np.minimum(known[8], sum_cap[0], out=known[8])
    for part, feature in space.copied:
        feature[:] = part
    features[3], features[4] = r_w, r_n
    features[7], features[8] = around.before
    features[9] = here
    features[12:] = around.missing


def contexts(expected: np.ndarray) -> np.ndarray:
    """Weighted sums of features M -> table numbers M int64: how many thresholds are reached.

    All are whole numbers, and all sums are below 2^24: exact in float32, however they are added.
    """
    return _CONTEXT_OF.take(expected.astype(np.int64), mode="clip")


def fit_weights(features: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """Weights whose combination of ``features`` FEATURES x M expects the absolute ``residuals`` M.

    Iteratively reweighted least squares, the variance of a residual taken to be as its mean: of counts, most of them 0.
    """
    x, y = features.astype(np.float32), np.minimum(residuals, 1.5 * RESIDUAL_CAP).astype(np.float32)
    expected = np.full(len(y), y.mean() + 0.1, np.float32)
    for _ in range(_REWEIGHTINGS):
        weighted = x / expected
        products = (weighted @ x.T).astype(np.float64) + 0.01 * np.eye(FEATURES)
        solution = np.linalg.solve(products, (weighted @ y).astype(np.float64))
        expected = np.maximum(solution.astype(np.float32) @ x, _LEAST_EXPECTED)
    return np.clip(np.rint(solution * (1 << WEIGHT_BITS)), 1 - _WEIGHT_LIMIT, _WEIGHT_LIMIT - 1).astype(np.int16)
