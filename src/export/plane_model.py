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

_HERE, _E, _S, _WW, _NN = (0, 0), (1, 0), (0, 1), (-2, 0), (0, -2)
_NEAR = (-1, 0), (0, -1), (-1, -1), (1, -1)  # W, N, NW, NE


class Surroundings(NamedTuple):
    """Of A places in a plane, side by side in memory: bytes, A or 2 x A each, of these and of their neighbours."""

    values: tuple[np.ndarray, ...]  # at W, N, (NW, NE), (WW, NN); 0 where not valid
    invalid: tuple[np.ndarray, ...]  # there: INVALID or 0
    residuals: tuple[np.ndarray, ...]  # at (W, N), NW, NE, absolute, at most RESIDUAL_CAP; 0 where not valid, as below
    before: np.ndarray  # those of the plane before and of the one before it, here
    sums: tuple[np.ndarray, ...]  # of residuals of the planes before, at most SUM_CAP: here, E, S, (W, N), (NW, NE)
    missing: np.ndarray  # the features that tell how many of W, N, NW, NE are not valid

    @classmethod
    def of(cls, memory: np.ndarray, places: int, at: Callable[[str, int, int], int]) -> Surroundings:
        """``memory`` holds everything; ``at(name of an array, x, y)`` is where the neighbours at this offset begin."""

        def one(first: int) -> np.ndarray:
            return memory[first : first + places]

        def both(first: int, second: int) -> np.ndarray:  # what is done to two takes one call
            return np.ndarray((2, places), np.uint8, memory, first, (second - first, 1))

        def around(name: str) -> tuple[np.ndarray, ...]:
            w, n, nw, ne, ww, nn = (at(name, *offset) for offset in (*_NEAR, _WW, _NN))
            return one(w), one(n), both(nw, ne), both(ww, nn)

        r_w, r_n, r_nw, r_ne = (at("residuals", *offset) for offset in _NEAR)
        here, e, s, w, n, nw, ne = (at("sums", *offset) for offset in (_HERE, _E, _S, *_NEAR))
        return cls(
            around("values"),
            around("invalid"),
            (both(r_w, r_n), one(r_nw), one(r_ne)),
            both(at("before", *_HERE), at("before_2", *_HERE)),
            (one(here), one(e), one(s), both(w, n), both(nw, ne)),
            both(at("few", *_HERE), at("none", *_HERE)),
        )


class Workspace:
    """What is computed of A places, kept for the next as many."""

    _BYTES = 4 * FEATURES + 36  # per place

    def __init__(self, places: int, memory: np.ndarray | None = None) -> None:
        """``memory``: of :meth:`memory` for at least as many places, used again for what it held before."""
        memory = self.memory(places) if memory is None else memory
        self.features = features = memory[: 4 * FEATURES * places].view(np.float32).reshape(FEATURES, places)
        rows = memory[features.nbytes : self._BYTES * places].reshape(-1, places)
        self.beside, near, self.most, self.least = rows[:2], rows[2:6], rows[6:11], rows[11:16]
        self.west, self.north = self.beside
        self.diagonal, self.beyond, self.north_west = near[1:3], near[::3], near[1]  # near: WW, NW, NE, NN
        self.known = known = rows[16:26]
        self.low, self.high, self.prediction = rows[26:29]
        # Numpy takes longer for a number than for an array of it, and for slices than for what it has.
        self.residual_cap, self.sum_cap, self.caps = rows[29:34], rows[34:36], rows[33:35]
        self.residual_cap[:], self.sum_cap[:] = RESIDUAL_CAP, SUM_CAP
        self.differing = (
            (near[:2], self.west, self.most[:2], self.least[:2]),
            (near[1:], self.north, self.most[2:], self.least[2:]),
        )
        self.differences, self.around, self.sums, self.sum_pair = known[:5], known[5:7], known[7:], known[8:]
        self.copied = ((known[1:4], features[:3]), (known[5:7], features[5:7]), (known[7:9], features[10:12]))
        self.from_residuals, self.from_before, self.from_missing = features[3:5], features[7:9], features[12:]

    @classmethod
    def memory(cls, places: int) -> np.ndarray:
        return np.empty(cls._BYTES * places, np.uint8)


def missing_neighbours(invalid: np.ndarray) -> np.ndarray:
    """``invalid`` H x W, INVALID or 0 -> 2 x H x W uint8: 2 where three of W, N, NW, NE are not valid, else 1; 1 where
    none of them is valid, else 0."""
    outside = np.pad(invalid & 1, ((1, 0), (1, 1)), constant_values=1)
    count = outside[1:, :-2] + outside[:-1, 1:-1] + outside[:-1, :-2] + outside[:-1, 2:]
    return np.stack((1 + (count == 3), count == 4)).astype(np.uint8)


def stand_ins(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(those of the valid texels of ``mask`` H x W, row-major numbers, whose neighbours W and N are not valid; what the
    place to their left stands for: the number of a texel, or -1).

    A place stands for its own texel if that is valid, else for that to its left, else for what the place above does.
    """
    number = (np.cumsum(mask, dtype=np.int32) - np.int32(1)).reshape(mask.shape)
    none = np.int32(-1)
    west, north = np.pad(mask, ((0, 0), (1, 0)))[:, :-1], np.pad(mask, ((1, 0), (0, 0)))[:-1]
    # Numbers grow from row to row: the largest so far is that of the last row that has one.
    stands_for = np.maximum.accumulate(np.where(mask | west, number, none), axis=0)
    alone = mask & ~west & ~north
    left = np.pad(stands_for, ((0, 0), (1, 0)), constant_values=-1)[:, :-1]
    return number[alone], left[alone]


def predict(around: Surroundings, alone: np.ndarray, stand_in: np.ndarray, space: Workspace) -> None:
    """``space.prediction``: the median of W, N and W + N - NW, each replaced by a valid one where it is not valid.

    ``alone``: the places where neither W nor N is valid; ``stand_in``: the value for W there.
    """
    w, n, diagonal, beyond = around.values
    not_w, not_n, not_diagonal, not_beyond = around.invalid
    west, north, low, high, prediction = space.west, space.north, space.low, space.high, space.prediction
    np.bitwise_and(n, not_w, out=west)
    np.bitwise_or(west, w, out=west)
    if len(alone):
        west[alone] = stand_in
    np.bitwise_and(west, not_n, out=north)
    np.bitwise_or(north, n, out=north)
    np.bitwise_and(north, not_diagonal, out=space.diagonal)
    np.bitwise_or(space.diagonal, diagonal, out=space.diagonal)
    np.bitwise_and(space.beside, not_beyond, out=space.beyond)
    np.bitwise_or(space.beyond, beyond, out=space.beyond)
    # The median of W, N and W + N - NW is low + high - (NW within low and high): bytes suffice.
    np.minimum(west, north, out=low)
    np.maximum(west, north, out=high)
    np.maximum(space.north_west, low, out=prediction)
    np.minimum(prediction, high, out=prediction)
    np.subtract(high, prediction, out=prediction)
    np.add(prediction, low, out=prediction)


def describe(around: Surroundings, space: Workspace) -> None:
    """``space.features``, FEATURES x A float32, after :func:`predict` of the same."""
    known, residual_cap, sum_cap = space.known, space.residual_cap, space.sum_cap
    r_w_n, r_nw, r_ne = around.residuals
    here, e, s, w_n, nw_ne = around.sums
    for near, to, most, least in space.differing:
        np.maximum(near, to, out=most)
        np.minimum(near, to, out=least)
    np.subtract(space.most, space.least, out=space.most)
    np.minimum(space.most, residual_cap, out=space.differences)  # |WW - W|, |NW - W|, |NW - N|, |NE - N|, |NN - N|
    np.add(r_nw, r_ne, out=known[5])
    np.add(known[0], known[4], out=known[6])
    np.minimum(space.around, residual_cap[:2], out=space.around)
    np.add(e, s, out=known[7])
    np.add(w_n, nw_ne, out=space.sum_pair)
    np.minimum(space.sums, sum_cap[0], out=space.sums)
    np.add(known[8], known[9], out=known[8])
    np.minimum(known[8], sum_cap[0], out=known[8])
    for part, feature in space.copied:
        feature[:] = part
    space.from_residuals[:] = r_w_n
    space.from_before[:] = around.before
    space.features[9] = here
    space.from_missing[:] = around.missing


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
