"""Latent planes in the order in which they are coded, each step's values as soon as those before it are known.

A step handles of plane d the texels with x + 2 y = s - 3 d, see :mod:`src.export.plane_order`. All their neighbours lie
in the same row, or at most three rows beside it, of one of the six steps before: with an array per step, planes x rows,
each is a slice of one, and nothing is looked up. Of seven steps the arrays are kept, and of these the rows that matter.

As planes lag behind one another, the rows that they have reached drift apart, by three for every two planes. So that
the rows that matter are as few as those of one plane, row j of planes 2 e and 2 e + 1 is y = j - 3 e. Only in maps so
wide that all rows always matter it is y = j.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from src.export import plane_model
from src.export.plane_model import INVALID, Surroundings, Workspace
from src.export.plane_order import PLANE_LAG

_KEPT = 7  # steps
_SEGMENT = 56  # steps between two choices of the rows that matter
_DRIFT = 3  # rows per pair of planes
_ABOVE, _BELOW = 3, 4  # rows beside those that matter
_SETTLED = 10  # steps after a row has ended, until all that is kept of it says that nothing is valid there
_ARRAYS: dict[str, int | slice] = {
    "values": 0,
    "invalid": 1,
    "missing": slice(2, 4),
    "stand_ins": 4,
    "residuals": 5,
    "before": 6,
    "sums": 7,
}
_MASKS = slice(1, 4)  # the arrays that do not depend on values
_FIRST = 3  # planes of nothing before the first one
_PAIR = 2 * PLANE_LAG  # steps by which two planes lag behind


class _Step(NamedTuple):
    """Where a step, by its number mod ``_KEPT``, reads and writes: flat, all planes' rows and those beside them."""

    around: Surroundings
    earlier_masks: np.ndarray  # of all planes but the last two
    later_masks: np.ndarray  # of all planes but the first two: the texels of the above
    first_masks: list[np.ndarray]  # of the first plane; of the second one, and the first one's with the same texels
    invalid: np.ndarray
    values: np.ndarray
    north: np.ndarray  # what the places above stand for
    residuals: np.ndarray
    # D x rows
    stand_ins: np.ndarray
    for_next: list[tuple[slice, np.ndarray, np.ndarray]]  # planes, what their next planes find as ``before`` and sums


class PlaneWalk:
    """All planes of a map, step by step::

    for contexts in walk.steps():
        walk.store(symbols)  # one for each of the contexts
    """

    def __init__(self, mask: np.ndarray, weights: np.ndarray, bits: int) -> None:
        """``mask`` H x W bool; ``weights`` D x FEATURES integers; values of ``bits`` <= 8."""
        self._planes = planes = len(weights)
        self._height, self._width = height, width = mask.shape
        self._largest = (1 << bits) - 1
        self._weights = weights.astype(np.float32)[:, None]
        self._masks = np.empty((3, height, width), np.uint8)
        self._masks[0] = np.where(mask, 0, INVALID)
        self._masks[1:] = plane_model.missing_neighbours(self._masks[0])
        self._drift = _DRIFT if 2 * height > width else 0
        self._end = width + 2 * height + PLANE_LAG * (planes - 1)
        self._end_row = height + self._drift * ((planes - 1) // 2)
        self._outside = np.array([0, INVALID, 1, 0, 1 << (bits - 1), 0, 0, 0], np.uint8)[:, None, None, None]
        self._top = self._rows = 0
        self._state = self._nothing_known()
        self.stream = np.empty(int(mask.sum()) * planes, np.uint8)  # all values, as they are coded
        self._stored = 0

    def steps(self) -> Iterator[np.ndarray]:
        """The contexts of each step's values, M int64. Their symbols are to be stored before the next step."""
        for first in range(0, self._end, _SEGMENT):
            end = min(first + _SEGMENT, self._end)
            self._enter(first, end)
            for step in range(first, end):
                yield self._contexts(step, step - first)

    def predictions(self) -> np.ndarray:
        """Of the step's values, M uint8."""
        return self._space.prediction.take(self._found)

    def store(self, symbols: np.ndarray) -> None:
        """``symbols`` M uint8: the step's values less their predictions, modulo 2^bits."""
        step, largest, space = self._step, self._all_largest, self._space
        symbol, residual, value, valid = self._scratch
        symbol.fill(0)
        symbol[self._found] = symbols
        np.negative(symbol, out=residual)
        np.add(space.prediction, symbol, out=value)
        if self._largest < 255:
            np.bitwise_and(residual, largest, out=residual)
            np.bitwise_and(value, largest, out=value)
        np.minimum(residual, symbol, out=residual)
        stored = self._stored + len(symbols)
        value.take(self._found, out=self.stream[self._stored : stored], mode="clip")
        self._stored = stored
        np.invert(step.invalid, out=valid)
        np.bitwise_and(value, valid, out=step.values)
        # What a place stands for: its own value, else that to its left if valid, else what the one above stands for.
        np.bitwise_and(step.north, step.around.invalid[0], out=value)
        np.bitwise_or(value, step.around.values[0], out=value)
        np.bitwise_and(value, step.invalid, out=value)
        np.bitwise_or(value, step.values, out=value)
        step.stand_ins[:] = self._inner(value)
        np.minimum(residual, space.residual_cap[0], out=step.residuals)
        np.add(residual, step.around.sums[0], out=value)
        np.minimum(value, space.sum_cap[0], out=value)
        own, sums_of = self._inner(step.residuals), self._inner(value)
        for planes, before, sums in step.for_next:
            before[:] = own[planes]
            sums[:] = sums_of[planes]

    def _contexts(self, step: int, of_segment: int) -> np.ndarray:
        self._step = now = self._steps[step % _KEPT]
        now.later_masks[:] = now.earlier_masks
        now.first_masks[0][:] = self._first_masks[of_segment]
        if self._planes > 1:
            now.first_masks[1][:] = now.first_masks[2]
        plane_model.predict(now.around, self._space)
        plane_model.describe(now.around, self._space)
        np.matmul(self._weights, self._features, out=self._expected)
        np.logical_not(now.invalid, out=self._valid)
        self._found = self._valid.nonzero()[0]
        return plane_model.contexts(self._expected.reshape(-1).take(self._found))

    def _nothing_known(self) -> np.ndarray:
        # What a plane leaves to the next one may lie behind the last.
        state = np.empty((8, _KEPT, _FIRST + self._planes + 1, _ABOVE + self._rows + _BELOW), np.uint8)
        state[:] = self._outside
        return state

    def _enter(self, first: int, end: int) -> None:
        """Turn to the rows that matter from step ``first`` to before ``end``."""
        top, bottom = 0, self._end_row
        if self._drift:
            top = max(0, (first - self._width - _SETTLED) // 2)
            bottom = min(bottom, (end - 1) // 2 + 1)
        before, moved = self._state, top - self._top
        self._top, self._rows = top, bottom - top
        self._state = self._nothing_known()
        kept = min(before.shape[3] - moved, self._state.shape[3])
        self._state[..., :kept] = before[..., moved : moved + kept]

        self._pitch = self._state.shape[3]
        places = self._planes * self._pitch
        self._space = Workspace(places)
        self._features = self._space.features.reshape(-1, self._planes, self._pitch).transpose(1, 0, 2)
        self._expected = np.empty((self._planes, 1, self._pitch), np.float32)
        self._valid = np.empty(places, bool)
        self._scratch = np.empty((4, places), np.uint8)
        self._all_largest = np.full(places, self._largest, np.uint8)
        self._first_masks = self._masks_of_first_plane(first, end)
        self._steps = [self._step_at(phase) for phase in range(_KEPT)]

    def _masks_of_first_plane(self, first: int, end: int) -> np.ndarray:
        """Steps x 3 x rows: at step s row y has the texel x = s - 2 y."""
        left, right = first - 2 * (self._top + self._rows - 1), end - 2 * self._top
        near = np.empty((3, self._rows, right - left), np.uint8)
        near[:] = self._outside[_MASKS, 0]
        columns = slice(max(0, left), max(0, min(right, self._width)))
        part = self._masks[:, self._top : self._top + self._rows, columns]
        near[:, : part.shape[1], max(0, -left) :][..., : part.shape[2]] = part
        layer, row, texel = near.strides
        offset = first - 2 * self._top - left
        sheared = np.ndarray((3, self._rows, end - first), np.uint8, near, offset, (layer, row - 2, texel))
        return sheared.copy().transpose(2, 0, 1)

    def _step_at(self, phase: int) -> _Step:
        count, pitch = self._planes, self._pitch
        places = self._state.reshape(*self._state.shape[:2], -1)

        def flat(array: int | slice, back: int, plane: int, down: int, planes: int) -> np.ndarray:
            first = plane * pitch + down
            return places[array, (phase - back) % _KEPT, first : first + planes * pitch]

        def view(name: str, x: int, y: int) -> np.ndarray:
            back = -x - 2 * y
            if name == "before_2":
                return flat(_ARRAYS["residuals"], _PAIR, _FIRST - 2, -self._drift, count)
            return flat(_ARRAYS[name], back + PLANE_LAG if name in ("before", "sums") else back, _FIRST, y, count)

        def rows(array: int | slice, back: int, planes: slice | int, down: int) -> np.ndarray:
            return self._inner(self._state[array, (phase - back) % _KEPT, planes], down)

        even, odd = slice(0, None, 2), slice(1, None, 2)
        next_of_even, next_of_odd = slice(_FIRST + 1, _FIRST + 1 + count, 2), slice(_FIRST + 2, _FIRST + 1 + count, 2)
        before, sums = _ARRAYS["before"], _ARRAYS["sums"]
        return _Step(
            Surroundings.of(view),
            flat(_MASKS, _PAIR, _FIRST, -self._drift, max(0, count - 2)),
            flat(_MASKS, 0, _FIRST + 2, 0, max(0, count - 2)),
            [rows(_MASKS, 0, _FIRST, 0), rows(_MASKS, 0, _FIRST + 1, 0), rows(_MASKS, PLANE_LAG, _FIRST, 0)],
            view("invalid", 0, 0),
            view("values", 0, 0),
            view("stand_ins", 0, -1),
            view("residuals", 0, 0),
            rows(_ARRAYS["stand_ins"], 0, slice(_FIRST, _FIRST + count), 0),
            [
                (even, rows(before, 0, next_of_even, 0), rows(sums, 0, next_of_even, 0)),
                (odd, rows(before, 0, next_of_odd, self._drift), rows(sums, 0, next_of_odd, self._drift)),
            ],
        )

    def _inner(self, places: np.ndarray, down: int = 0) -> np.ndarray:
        """The rows that matter, of flat places of all planes or of arrays that end with rows."""
        if places.ndim == 1:
            places = places.reshape(self._planes, self._pitch)
        return places[..., _ABOVE + down : _ABOVE + down + self._rows]
