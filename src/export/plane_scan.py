"""What is expected of the values of latent planes that are known as a whole: an encoder's way, plane by plane.

Planes lie row after row with two columns between rows, so that each neighbour of a run of places is another run.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from src.export import plane_model
from src.export.plane_model import FEATURES, INVALID, Surroundings, Workspace

_LEFT, _ABOVE, _BELOW = 2, 2, 1  # columns and rows around a plane
_PLACES_AT_ONCE = 1 << 13  # what is computed of them stays in a cache


class Scanned(NamedTuple):
    """Of the N valid texels of a plane, row-major, uint8."""

    symbols: np.ndarray  # N: the values less their predictions, modulo 2^bits
    residuals: np.ndarray  # N: the absolute differences
    features: np.ndarray  # FEATURES x N


class PlaneScan:
    """The planes of ``mask`` H x W, one after another."""

    def __init__(self, mask: np.ndarray, bits: int) -> None:
        """Values have ``bits`` <= 8."""
        self._largest = np.uint8((1 << bits) - 1)
        self._height = len(mask)
        inside = np.pad(mask, ((_ABOVE, _BELOW), (_LEFT, 0)))
        invalid = np.where(inside, 0, INVALID).astype(np.uint8)
        self._pitch = inside.shape[1]
        self._places = np.flatnonzero(inside)
        nothing = np.zeros((6, inside.size), np.uint8)
        self._arrays = dict(
            zip(("values", "residuals", "before", "before_2", "sums", "next_sums"), nothing, strict=True)
        )
        self._arrays["invalid"] = invalid.ravel()
        self._arrays["missing"] = plane_model.missing_neighbours(invalid).reshape(2, -1)
        self._arrays["stand_ins"] = np.full(inside.size, 1 << (bits - 1), np.uint8)
        self._asked, self._stands_for = _stands_for(inside)

    def scan(self, values: np.ndarray) -> Scanned:
        """The next plane, of ``values`` N uint8, row-major."""
        arrays, count = self._arrays, len(values)
        arrays["values"][self._places] = values
        arrays["stand_ins"][self._asked] = arrays["values"][self._stands_for]
        symbols, residuals = np.empty((2, count), np.uint8)
        features = np.empty((FEATURES, count), np.uint8)
        rows = max(1, _PLACES_AT_ONCE // self._pitch)
        space = Workspace(rows * self._pitch)
        for top in range(0, self._height, rows):
            bottom = min(top + rows, self._height)
            first, end = (_ABOVE + top) * self._pitch, (_ABOVE + bottom) * self._pitch
            if end - first < len(space.prediction):
                space = Workspace(end - first)
            begin, stop = np.searchsorted(self._places, (first, end))
            valid = self._places[begin:stop] - first
            symbol, residual = self._scan(first, end, space)
            symbol.take(valid, out=symbols[begin:stop], mode="clip")
            residual.take(valid, out=residuals[begin:stop], mode="clip")
            features[:, begin:stop] = space.features.take(valid, axis=1)
        for name, next_name in (("sums", "next_sums"), ("before_2", "before"), ("before", "residuals")):
            arrays[name], arrays[next_name] = arrays[next_name], arrays[name]
        return Scanned(symbols, residuals, features)

    def _scan(self, first: int, end: int, space: Workspace) -> tuple[np.ndarray, np.ndarray]:
        """Symbols and absolute residuals of places, from ``first`` to before ``end``; ``space`` has the features."""
        arrays = self._arrays

        def view(name: str, x: int, y: int) -> np.ndarray:
            move = y * self._pitch + x
            return arrays[name][..., first + move : end + move]

        around = Surroundings.of(view)
        plane_model.predict(around, space)
        symbol = (view("values", 0, 0) - space.prediction) & self._largest & ~view("invalid", 0, 0)
        residual = np.minimum(symbol, -symbol & self._largest)
        np.minimum(residual, space.residual_cap[0], out=view("residuals", 0, 0))
        plane_model.describe(around, space)
        np.minimum(residual + around.sums[0], space.sum_cap[0], out=view("next_sums", 0, 0))
        return symbol, residual


def _stands_for(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the places that are asked what they stand for, those left of texels without a valid texel to the left or above,
    as far as they stand for a texel; that texel)."""
    own = np.arange(inside.size).reshape(inside.shape)
    west = np.pad(inside, ((0, 0), (1, 0)))[:, :-1]
    # Later rows have larger places: the largest so far is that of the last row that has one.
    stands_for = np.maximum.accumulate(np.where(inside, own, np.where(west, own - 1, -1)), axis=0).ravel()
    north = np.pad(inside, ((1, 0), (0, 0)))[:-1]
    asked = np.flatnonzero(inside & ~west & ~north) - 1
    asked = asked[stands_for[asked] >= 0]
    return asked, stands_for[asked]
