"""Interleaved range asymmetric numeral systems (rANS) with static tables.

A symbol of frequency f out of 2^14 costs log2(2^14 / f) bits. Many coders ("lanes") share one stream of 16-bit words,
so that numpy codes one symbol of every lane at a time; a C or JavaScript program runs the same lanes in a plain loop.

Duda, "Asymmetric numeral systems" (2013); Giesen, "Interleaved entropy coders" (2014).
"""

from __future__ import annotations

import math

import numpy as np

PROBABILITY_BITS = 14
TOTAL = 1 << PROBABILITY_BITS
LEAST_BITS = math.log2(TOTAL / (TOTAL - 1))  # that a symbol costs
_WORD_BITS = 16
_SYMBOL_AT, _FREQUENCY_AT = 16, 32  # bits of a decoder's entry, below which is the start of its interval
# Operands of the decoder's loop, as arrays: numpy takes longer for Python's numbers.
_SLOTS, _SLOT_BITS, _FREQUENCY_BITS, _LOWEST = map(np.asarray, (TOTAL - 1, PROBABILITY_BITS, _FREQUENCY_AT, 1 << 16))
_SYMBOLS_PER_LANE = 4096  # a lane's start costs 4 bytes: below 0.1 bits in 100 symbols
_MAX_LANES = 1024


class CorruptStream(ValueError):
    """A coded stream that no encoder wrote."""


def lane_count(symbol_count: int) -> int:
    """How many lanes code ``symbol_count`` symbols: a power of two, more for more symbols."""
    lanes = 1
    while lanes < _MAX_LANES and lanes * _SYMBOLS_PER_LANE < symbol_count:
        lanes *= 2
    return lanes


def quantise_frequencies(counts: np.ndarray) -> np.ndarray:
    """Symbol counts K x A -> frequencies K x A uint16, each row summing to ``TOTAL``.

    A symbol that occurs keeps at least 1; none gets everything, so that every symbol of a stream costs something and
    the length of a stream bounds how many it can hold. A row without any count becomes uniform.
    """
    counts = np.array(counts, np.int64)
    alphabet = counts.shape[1]
    counts[~counts.any(axis=1)] = 1
    alone = np.flatnonzero((counts > 0).sum(axis=1) == 1)
    beside = (counts[alone].argmax(axis=1) + 1) % alphabet
    counts[alone] *= TOTAL
    counts[alone, beside] = 1
    scaled = np.maximum(1, counts * TOTAL // counts.sum(axis=1, keepdims=True))
    frequencies = np.where(counts > 0, scaled, 0)
    for row in frequencies:
        while (excess := int(row.sum()) - TOTAL) != 0:
            largest = int(row.argmax())  # costs least where it is largest
            row[largest] -= excess if excess < 0 else min(excess, max(1, int(row[largest]) // 2))
    return frequencies.astype(np.uint16)


def check_frequencies(frequencies: np.ndarray) -> None:
    """Raises :class:`CorruptStream` unless ``frequencies`` could come from :func:`quantise_frequencies`."""
    if (frequencies.sum(axis=1, dtype=np.int64) != TOTAL).any() or (frequencies == TOTAL).any():
        raise CorruptStream("a frequency table does not sum to 2^14")


def _cumulative(frequencies: np.ndarray) -> np.ndarray:
    return np.cumsum(frequencies, axis=1, dtype=np.int64) - frequencies


def encode(symbols: np.ndarray, contexts: np.ndarray, steps: np.ndarray, frequencies: np.ndarray, lanes: int) -> bytes:
    """Code ``symbols`` N, each with the table ``frequencies[contexts]``.

    ``steps`` are the sizes of the groups in which the decoder will ask for them (sum N): symbol k of a group goes to
    lane ``k mod lanes``. Returns the lanes' states (4 bytes each, little-endian), then the words (2 bytes each).
    """
    entries = (contexts.astype(np.uint16) * np.uint16(frequencies.shape[1]) + symbols).astype(np.uint16)
    frequency, start = frequencies.astype(np.int64).ravel(), _cumulative(frequencies).ravel()
    states = np.full(lanes, _LOWEST)
    words: list[np.ndarray] = []
    for first, last in reversed(list(_chunks(steps, lanes))):
        entry, x = entries[first:last], states[: last - first]
        f = frequency.take(entry)
        full = (x >= f << 32 - PROBABILITY_BITS).nonzero()[0]
        if len(full):
            words.append(x[full].astype("<u2"))
            x[full] >>= _WORD_BITS
        high = (x / f).astype(np.int64)  # exact: both have far fewer bits than a float
        x += high * (TOTAL - f) + start.take(entry)  # x = high * TOTAL + x % f + start
    return states.astype("<u4").tobytes() + b"".join(part.tobytes() for part in reversed(words))


def _chunks(steps: np.ndarray, lanes: int):
    first = 0
    for size in steps.tolist():
        end = first + size
        while first < end:
            last = min(first + lanes, end)
            yield first, last
            first = last


class Decoder:
    """Reads back what :func:`encode` wrote, group by group."""

    def __init__(self, data: bytes, frequencies: np.ndarray, lanes: int) -> None:
        """Raises :class:`CorruptStream` when ``data`` is too short for its lanes or a table is impossible."""
        check_frequencies(frequencies)
        if len(data) < 4 * lanes or len(data) % 2:
            raise CorruptStream("the stream is shorter than its lanes")
        # A state, and every product below, is less than 2^32.
        self._states = np.frombuffer(data, "<u4", lanes).astype(np.int64)
        words = np.frombuffer(data, "<u2", offset=4 * lanes).astype(np.int64)
        self._words = np.concatenate((words, np.zeros(lanes, np.int64)))  # reads past the end are found afterwards
        self._word_count = len(words)
        self._next = 0
        self._lanes = lanes
        # All that a slot says in one entry. Most slots of most tables are the first symbol's: they share theirs, so
        # that what is asked for often is little.
        starts, lengths = _cumulative(frequencies), frequencies.astype(np.int64)
        entries = lengths << _FREQUENCY_AT | np.arange(frequencies.shape[1]) << _SYMBOL_AT | starts
        self._shared = np.maximum(lengths[:, 0] - 1, 0)
        lengths[:, 0] -= self._shared
        sizes = TOTAL - self._shared
        self._first_entry = np.cumsum(sizes) - sizes - self._shared
        self._entries = np.repeat(entries.ravel(), lengths.ravel())
        self._arrays = [self._states, *np.empty((2, lanes), np.int64)]

    def read(self, contexts: np.ndarray) -> np.ndarray:
        """The next ``len(contexts)`` symbols, uint8. Raises :class:`CorruptStream` past the end."""
        shared, first_entry = self._shared.take(contexts), self._first_entry.take(contexts)
        found = np.empty(len(contexts), np.int64)
        for first in range(0, len(contexts), self._lanes):
            here = slice(first, first + self._lanes)
            entry, arrays = found[here], self._arrays
            if len(entry) < self._lanes:
                arrays = [array[: len(entry)] for array in arrays]
            states, slot, at = arrays
            np.bitwise_and(states, _SLOTS, out=slot)
            np.maximum(slot, shared[here], out=at)
            np.add(at, first_entry[here], out=at)
            self._entries.take(at, out=entry, mode="clip")
            np.right_shift(states, _SLOT_BITS, out=states)
            np.right_shift(entry, _FREQUENCY_BITS, out=at)
            np.multiply(states, at, out=states)
            np.add(states, slot, out=states)
            np.bitwise_and(entry, _SLOTS, out=at)
            np.subtract(states, at, out=states)
            low = (states < _LOWEST).nonzero()[0]
            if len(low):
                words = self._words[self._next : self._next + len(low)]
                self._next += len(low)
                if self._next > self._word_count:
                    raise CorruptStream("the stream ends too early")
                states[low] = states.take(low) << _WORD_BITS | words
        return (found >> _SYMBOL_AT).astype(np.uint8)

    def finish(self) -> None:
        """Raises :class:`CorruptStream` unless the stream was read exactly to its end."""
        if self._next != self._word_count or (self._states != _LOWEST).any():
            raise CorruptStream("the stream does not end where it should")
