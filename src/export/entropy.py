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
_LOWEST_STATE = np.uint64(1 << _WORD_BITS)
_WORD_MASK = np.uint64((1 << _WORD_BITS) - 1)
_SLOT_MASK = np.uint64(TOTAL - 1)
_SHIFT, _WORD_SHIFT = np.uint64(PROBABILITY_BITS), np.uint64(_WORD_BITS)
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
    return np.cumsum(frequencies, axis=1, dtype=np.uint64) - frequencies


def encode(symbols: np.ndarray, contexts: np.ndarray, steps: np.ndarray, frequencies: np.ndarray, lanes: int) -> bytes:
    """Code ``symbols`` N, each with the table ``frequencies[contexts]``.

    ``steps`` are the sizes of the groups in which the decoder will ask for them (sum N): symbol k of a group goes to
    lane ``k mod lanes``. Returns the lanes' states (4 bytes each, little-endian), then the words (2 bytes each).
    """
    f = frequencies[contexts, symbols].astype(np.uint64)
    c = _cumulative(frequencies)[contexts, symbols]
    states = np.full(lanes, _LOWEST_STATE)
    words: list[np.ndarray] = []
    limit = np.uint64(32 - PROBABILITY_BITS)
    for first, last in reversed(list(_chunks(steps, lanes))):
        f_now, c_now, x = f[first:last], c[first:last], states[: last - first]
        full = x >= f_now << limit
        words.append((x[full] & _WORD_MASK).astype("<u2"))
        x = np.where(full, x >> _WORD_SHIFT, x)
        high, low = np.divmod(x, f_now)
        states[: last - first] = (high << _SHIFT) + low + c_now
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
        self._states = np.frombuffer(data, "<u4", lanes).astype(np.uint32)
        words = np.frombuffer(data, "<u2", offset=4 * lanes)
        self._words = np.concatenate((words, np.zeros(lanes, "<u2")))  # reads past the end are found afterwards
        self._word_count = len(words)
        self._next = 0
        self._lanes = lanes
        alphabet = frequencies.shape[1]
        self._alphabet = alphabet
        self._frequencies = frequencies.astype(np.uint32).ravel()
        self._starts = _cumulative(frequencies).astype(np.uint32).ravel()
        symbols = np.arange(alphabet, dtype=np.uint8)
        self._symbol_of_slot = np.concatenate([np.repeat(symbols, row) for row in frequencies])

    def read(self, contexts: np.ndarray) -> np.ndarray:
        """The next ``len(contexts)`` symbols, uint8. Raises :class:`CorruptStream` past the end."""
        symbols = np.empty(len(contexts), np.uint8)
        tables, entries = contexts << PROBABILITY_BITS, contexts * self._alphabet
        for first in range(0, len(contexts), self._lanes):
            part = slice(first, first + self._lanes)
            states = self._states[: len(contexts) - first]
            slot = states & np.uint32(TOTAL - 1)
            symbol = self._symbol_of_slot.take(tables[part] + slot, out=symbols[part], mode="clip")
            entry = entries[part] + symbol
            high = states >> np.uint32(PROBABILITY_BITS)
            states[:] = self._frequencies.take(entry, mode="clip") * high + slot - self._starts.take(entry, mode="clip")
            low = np.flatnonzero(states < np.uint32(1 << _WORD_BITS))
            if len(low):
                words = self._words[self._next : self._next + len(low)]
                self._next += len(low)
                if self._next > self._word_count:
                    raise CorruptStream("the stream ends too early")
                states[low] = (states[low] << np.uint32(_WORD_BITS)) | words
        return symbols

    def finish(self) -> None:
        """Raises :class:`CorruptStream` unless the stream was read exactly to its end."""
        if self._next != self._word_count or (self._states != _LOWEST_STATE).any():
            raise CorruptStream("the stream does not end where it should")
