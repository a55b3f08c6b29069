"""What is expected of the values of latent planes that are known as a whole: an encoder's way, plane by plane.

Planes lie row after row with two columns between rows, so that each neighbour of a run of places is another run.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from src.export import plane_model
from src.export.plane_model import FEATURES, INVALID, Surroundings, Workspace

_LEFT, _ABOVE, _BELOW = 2, 2, 1  # columns and rows around a plane
_NAMES = ("values", "invalid", "few", "none", "residuals", "before", "before_2", "sums", "next_sums")
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
        self._arrays = np.zeros((len(_NAMES), inside.size), np.uint8)
        self._rows = {name: row for row, name in enumerate(_NAMES)}
        self._row("invalid")[:] = invalid.ravel()
        self._row("few")[:], self._row("none")[:] = plane_model.missing_neighbours(invalid).reshape(2, -1)
        alone, self._stands_for = plane_model.stand_ins(mask)
        self._alone = self._places[alone]
        self._nothing = np.uint8(1 << (bits - 1))

    def scan(self, values: np.ndarray) -> Scanned:
        """The next plane, of ``values`` N uint8, row-major."""
        count = len(values)
        self._row("values")[self._places] = values
        stand_ins = np.append(values, self._nothing)[self._stands_for]
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
            asking = slice(*np.searchsorted(self._alone, (first, end)))
            symbol, residual = self._scan(first, end, self._alone[asking] - first, stand_ins[asking], space)
            symbol.take(valid, out=symbols[begin:stop], mode="clip")
            residual.take(valid, out=residuals[begin:stop], mode="clip")
            features[:, begin:stop] = space.features.take(valid, axis=1)
        rows = self._rows
        for name, source in (("sums", "next_sums"), ("before_2", "before"), ("before", "residuals")):
            rows[name], rows[source] = rows[source], rows[name]
        return Scanned(symbols, residuals, features)

    def _scan(
        self, first: int, end: int, alone: np.ndarray, stand_ins: np.ndarray, space: Workspace
    ) -> tuple[np.ndarray, np.ndarray]:
        """Symbols and absolute residuals of places, from ``first`` to before ``end``; ``space`` has the features."""
        here = slice(first, end)
        invalid, residuals, next_sums = (self._row(name)[here] for name in ("invalid", "residuals", "next_sums"))

        def at(name: str, x: int, y: int) -> int:
            return self._rows[name] * self._arrays.shape[1] + first + y * self._pitch + x

        around = Surroundings.of(self._arrays.reshape(-1), end - first, at)
        plane_model.predict(around, alone, stand_ins, space)
        symbol = (self._row("values")[here] - space.prediction) & self._largest & ~invalid
        residual = np.minimum(symbol, -symbol & self._largest)
        np.minimum(residual, space.residual_cap[0], out=residuals)
        plane_model.describe(around, space)
        np.minimum(residual + around.sums[0], space.sum_cap[0], out=next_sums)
        return symbol, residual

    def _row(self, name: str) -> np.ndarray:
        return self._arrays[self._rows[name]]
