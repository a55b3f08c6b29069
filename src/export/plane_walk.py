"""Latent planes in the order in which they are coded, each step's values as soon as those before it are known.

A step handles of plane d the texels with x + 2 y = s - 3 d, see :mod:`src.export.plane_order`. All their neighbours lie
in the same row, or at most three rows beside it, of one of the six steps before: with an array per step, planes x rows,
each is a slice of one, and nothing is looked up. Of seven steps the arrays are kept, and of these the rows that matter.

As planes lag behind one another, the rows that they have reached drift apart, by three for every two planes. So that
the rows that matter are as few as those of one plane, row j of planes 2 e and 2 e + 1 is y = j - 3 e. Only in maps so
wide that all rows always matter it is y = j.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from src.export import plane_model
from src.export.plane_model import INVALID, Surroundings, Workspace
from src.export.plane_order import PLANE_LAG, PlaneOrder

_KEPT = 7  # steps
_SEGMENT = 56  # steps between two choices of the rows that matter
_DRIFT = 3  # rows per pair of planes
_ABOVE, _BELOW = 3, 4  # rows beside those that matter
_SETTLED = 10  # steps after a row has ended, until all that is kept of it says that nothing is valid there
_NAMES = ("values", "invalid", "few", "none", "residuals", "before", "sums")
_MASKS, _FOR_NEXT = slice(1, 4), slice(5, 7)  # what does not depend on values; what a plane leaves to the next one
_OUTSIDE = np.array([0, INVALID, 1, 0, 0, 0, 0], np.uint8)[:, None, None, None]
# A texel's masks by one number: three valid, three or all of W, N, NW, NE missing, or not valid itself.
_MASKS_OF_CODE = np.array([[0, 1, 0], [0, 2, 0], [0, 1, 1], [INVALID, 1, 0]], np.uint8)
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
    residuals: np.ndarray
    for_next: list[tuple[np.ndarray, np.ndarray]]  # residuals and sums: where they are found, and where they belong


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
        few, none = plane_model.missing_neighbours(np.where(mask, 0, INVALID).astype(np.uint8))
        self._codes = np.where(mask, few - 1 + 2 * none, len(_MASKS_OF_CODE) - 1).astype(np.uint8)
        self._drift = _DRIFT if 2 * height > width else 0
        self._end = width + 2 * height + PLANE_LAG * (planes - 1)
        self._end_row = height + self._drift * ((planes - 1) // 2)
        self.order = PlaneOrder(mask, planes)
        # The values as they are coded, and behind them what stands for those of no texel.
        self._stream = np.append(np.empty(self.order.count * planes, np.uint8), np.uint8(1 << (bits - 1)))
        self._stored = 0
        alone, stands_for = plane_model.stand_ins(mask)
        by_key = np.argsort(self.order.keys[alone], kind="stable")
        self._alone, self._stands_for = alone[by_key], stands_for[by_key]
        self._alone_keys = self.order.keys[self._alone]
        most_rows = min(self._end_row, (width + _SEGMENT + _SETTLED) // 2 + 2) if self._drift else height
        pitch = _ABOVE + most_rows + _BELOW
        self._space_memory = Workspace.memory(planes * pitch)
        # What a plane leaves to the next one may lie behind the last.
        self._memories = np.empty((2, len(_NAMES) * _KEPT * (_FIRST + planes + 1) * pitch), np.uint8)
        self._top = self._rows = 0
        self._state = self._nothing_known()

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
        step, space = self._step, self._space
        symbol, value, residual = space.low, space.high, space.west
        symbol.fill(0)
        symbol[self._found] = symbols
        np.negative(symbol, out=residual)
        np.add(space.prediction, symbol, out=value)
        if self._largest < 255:
            np.bitwise_and(residual, self._all_largest, out=residual)
            np.bitwise_and(value, self._all_largest, out=value)
        np.minimum(residual, symbol, out=residual)
        first, self._stored = self._stored, self._stored + len(symbols)
        value.take(self._found, out=self._stream[first : self._stored], mode="clip")
        np.multiply(value, self._valid_bytes, out=step.values)
        np.add(residual, step.around.sums[0], out=space.north)
        np.minimum(space.beside, space.caps, out=space.beside)
        step.residuals[:] = residual
        for source, place in step.for_next:
            place[:] = source

    def values(self) -> np.ndarray:
        """All that was stored, D x N uint8, texels row-major."""
        return self.order.from_stream(self._stream)

    def _contexts(self, step: int, of_segment: int) -> np.ndarray:
        self._step = now = self._steps[step % _KEPT]
        space = self._space
        now.later_masks[:] = now.earlier_masks
        now.first_masks[0][:] = self._first_masks[of_segment]
        if self._planes > 1:
            now.first_masks[1][:] = now.first_masks[2]
        alone = slice(self._alone_ends[of_segment], self._alone_ends[of_segment + 1])
        stand_in = self._stream.take(self._stand_ins[alone])
        plane_model.predict(now.around, self._alone_places[alone], stand_in, space)
        plane_model.describe(now.around, space)
        np.matmul(self._weights, self._features, out=self._expected)
        np.logical_not(now.invalid, out=self._valid)
        self._found = self._valid.nonzero()[0]
        return plane_model.contexts(self._flat_expected.take(self._found))

    def _nothing_known(self) -> np.ndarray:
        shape = (len(_NAMES), _KEPT, _FIRST + self._planes + 1, _ABOVE + self._rows + _BELOW)
        self._memories = self._memories[::-1]
        state = self._memories[0, : math.prod(shape)].reshape(shape)
        state[:] = _OUTSIDE
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

        pitch = self._pitch = self._state.shape[3]
        places = self._planes * pitch
        self._space = space = Workspace(places, self._space_memory)
        self._features = space.features.reshape(-1, self._planes, pitch).transpose(1, 0, 2)
        self._expected = np.empty((self._planes, 1, pitch), np.float32)
        self._flat_expected = self._expected.reshape(-1)
        self._valid = np.empty(places, bool)
        self._valid_bytes = self._valid.view(np.uint8)
        self._all_largest = np.full(places, self._largest, np.uint8)
        self._first_masks = self._masks_of_first_plane(first, end)
        self._find_alone(first, end)
        self._steps = [self._step_at(phase) for phase in range(_KEPT)]

    def _masks_of_first_plane(self, first: int, end: int) -> np.ndarray:
        """Steps x 3 x rows: at step s row y has the texel x = s - 2 y."""
        left, right = first - 2 * (self._top + self._rows - 1), end - 2 * self._top
        near = np.full((self._rows, right - left), len(_MASKS_OF_CODE) - 1, np.uint8)
        columns = slice(max(0, left), max(0, min(right, self._width)))
        part = self._codes[self._top : self._top + self._rows, columns]
        near[: part.shape[0], max(0, -left) :][:, : part.shape[1]] = part
        row, texel = near.strides
        offset = first - 2 * self._top - left
        sheared = np.ndarray((end - first, self._rows), np.uint8, near, offset, (texel, row - 2))
        return _MASKS_OF_CODE[np.ascontiguousarray(sheared)].transpose(0, 2, 1)

    def _find_alone(self, first: int, end: int) -> None:
        """Where in each step of a segment texels are alone, and which places of the stream stand for W there."""
        lags = PLANE_LAG * np.arange(self._planes)
        begin, stop = np.searchsorted(self._alone_keys, (first - lags, end - lags))
        planes = np.repeat(np.arange(self._planes), stop - begin)
        chosen = np.arange(len(planes)) + np.repeat(begin - (np.cumsum(stop - begin) - (stop - begin)), stop - begin)
        step = self._alone_keys[chosen] + PLANE_LAG * planes
        by_step = np.argsort(step, kind="stable")
        planes, chosen, step = planes[by_step], chosen[by_step], step[by_step]
        texels, stands_for = self._alone[chosen], self._stands_for[chosen]
        rows = self.order.rows[texels] + self._drift * (planes // 2) + (_ABOVE - self._top)
        self._alone_places = rows + planes * self._pitch
        # The last one of the stream is what stands for no texel.
        self._stand_ins = np.where(stands_for < 0, len(self._stream) - 1, self.order.places(planes, stands_for))
        self._alone_ends = np.searchsorted(step, np.arange(first, end + 1)).tolist()

    def _step_at(self, phase: int) -> _Step:
        planes, pitch = self._planes, self._pitch
        kept = (_FIRST + planes + 1) * pitch

        def at(name: str, x: int, y: int) -> int:
            back, plane = -x - 2 * y, _FIRST
            if name in ("before", "sums"):
                back += PLANE_LAG
            elif name == "before_2":
                name, back, plane, y = "residuals", _PAIR, _FIRST - 2, -self._drift
            return (_NAMES.index(name) * _KEPT + (phase - back) % _KEPT) * kept + plane * pitch + y

        memory = self._state.reshape(-1)
        flat = self._state.reshape(len(_NAMES), _KEPT, -1)
        masks, masks_before = self._state[_MASKS, phase], self._state[_MASKS, (phase - PLANE_LAG) % _KEPT]
        earlier = slice(_FIRST * pitch - self._drift, (_FIRST + max(0, planes - 2)) * pitch - self._drift)
        later = slice((_FIRST + 2) * pitch, (_FIRST + max(2, planes)) * pitch)
        own = self._space.beside.reshape(2, planes, pitch)
        left = self._state[_FOR_NEXT, phase, _FIRST + 1 :]
        rows, drifted = (slice(_ABOVE + down, _ABOVE + down + self._rows) for down in (0, self._drift))
        invalid, values, residuals = (
            memory[at(name, 0, 0) :][: planes * pitch] for name in ("invalid", "values", "residuals")
        )
        return _Step(
            Surroundings.of(memory, planes * pitch, at),
            flat[_MASKS, (phase - _PAIR) % _KEPT, earlier],
            flat[_MASKS, phase, later],
            [masks[:, _FIRST, rows], masks[:, _FIRST + 1, rows], masks_before[:, _FIRST, rows]],
            invalid,
            values,
            residuals,
            [
                (own[:, ::2, rows], left[:, 0:planes:2, rows]),
                (own[:, 1::2, rows], left[:, 1:planes:2, drifted]),
            ],
        )
