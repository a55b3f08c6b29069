"""Lossless coding of quantised latent planes of a masked lightmap.

The residual of each value beside its prediction is coded with one of 24 static tables; prediction and table come from
:mod:`src.export.plane_model`.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import numpy as np

from src.export import entropy
from src.export.entropy import CorruptStream
from src.export.plane_model import CONTEXTS, FEATURES, PlaneOrder, PlaneState, contexts, fit_weights, neighbours

_HEADER = struct.Struct("<HI")


class PlaneTables(NamedTuple):
    """What the coder knows of its planes before their values."""

    weights: np.ndarray  # D x FEATURES int16
    frequencies: np.ndarray  # CONTEXTS x 2^bits uint16


class Residuals(NamedTuple):
    """Planes as what is coded: symbols and contexts D x N, texels in the order of ``order``."""

    order: PlaneOrder
    symbols: np.ndarray
    contexts: np.ndarray
    tables: PlaneTables

    @property
    def size_bytes(self) -> float:
        """About what they are coded to, without the tables."""
        frequencies = self.tables.frequencies
        counts = np.bincount((self.contexts * frequencies.shape[1] + self.symbols).ravel(), minlength=frequencies.size)
        bits = np.log2(entropy.TOTAL / np.maximum(frequencies.ravel(), 1.0))
        return float(counts @ bits) / 8


def residuals(values: np.ndarray, mask: np.ndarray, bits: int) -> Residuals:
    """Of ``values`` N x D (integers below 2^bits, bits <= 8) of the N valid texels of ``mask`` H x W, row-major."""
    count, planes = values.shape
    alphabet = 1 << bits
    order = PlaneOrder(mask)
    row_major = np.argsort(order.texels)
    state = PlaneState(neighbours(mask, order.texels), planes, bits)
    texels = slice(0, count)
    symbols, of_context = np.empty((planes, count), np.uint8), np.empty((planes, count), np.int64)
    weights = np.empty((planes, FEATURES), np.int16)
    for d in range(planes):
        now = values[order.texels, d].astype(np.int16)
        base = d * state.stride
        # The planes before are known as a whole; this plane's own residuals follow from its values alone.
        state.values[base : base + count] = now
        prediction, features = state.predict(texels, np.int64(base))
        symbols[d] = (now - prediction) & (alphabet - 1)
        absolute = np.minimum(symbols[d], alphabet - symbols[d].astype(np.int16))
        state.store(texels, np.int64(base), now, absolute, features[9])
        _, features = state.predict(texels, np.int64(base))
        weights[d] = fit_weights(features[:, row_major], absolute[row_major])
        by_texel = np.broadcast_to(weights[d].astype(np.float32)[:, None], features.shape)
        of_context[d] = contexts(features, by_texel)
    counts = np.bincount((of_context * alphabet + symbols).ravel(), minlength=CONTEXTS * alphabet)
    frequencies = entropy.quantise_frequencies(counts.reshape(CONTEXTS, alphabet))
    return Residuals(order, symbols, of_context, PlaneTables(weights, frequencies))


def encode(values: np.ndarray, mask: np.ndarray, bits: int) -> bytes:
    """Code ``values`` as :func:`residuals` takes them."""
    count, planes = values.shape
    order, symbols, of_context, tables = residuals(values, mask, bits)
    firsts = count * np.arange(planes)
    steps = [np.arange(step.texels.start, step.texels.stop) + step.spread(firsts) for step in order.steps(planes)]
    place = np.concatenate(steps) if steps else np.zeros(0, np.int64)
    sizes = np.array([len(step) for step in steps], np.int64)
    lanes = entropy.lane_count(count * planes)
    stream = entropy.encode(symbols.ravel()[place], of_context.ravel()[place], sizes, tables.frequencies, lanes)
    coded = _coded_tables(tables)
    return _HEADER.pack(lanes, len(coded)) + coded + stream


def _coded_tables(tables: PlaneTables) -> bytes:
    return zlib.compress(tables.weights.astype("<i2").tobytes() + tables.frequencies.astype("<u2").tobytes(), 9)


def decode(data: bytes, mask: np.ndarray, planes: int, bits: int) -> np.ndarray:
    """The inverse of :func:`encode`: values N x D uint8. Raises :class:`CorruptStream` for anything else."""
    count = int(mask.sum())
    alphabet = 1 << bits
    if len(data) < _HEADER.size:
        raise CorruptStream("the planes are cut off")
    lanes, table_bytes = _HEADER.unpack_from(data)
    if lanes != entropy.lane_count(count * planes):
        raise CorruptStream("the planes' lanes do not fit their size")
    weights, frequencies = _read_tables(data[_HEADER.size : _HEADER.size + table_bytes], planes, alphabet)
    coded = data[_HEADER.size + table_bytes :]
    if count * planes * entropy.LEAST_BITS > 8 * len(coded):
        raise CorruptStream("the planes are too short for their size")
    stream = entropy.Decoder(coded, frequencies, lanes)
    order = PlaneOrder(mask)
    state = PlaneState(neighbours(mask, order.texels), planes, bits)
    weights = np.ascontiguousarray(weights.T, np.float32)
    bases = state.stride * np.arange(planes)
    for step in order.steps(planes):
        base = step.spread(bases)
        prediction, features = state.predict(step.texels, base)
        symbols = stream.read(contexts(features, step.spread(weights))).astype(np.int16)
        absolute = np.minimum(symbols, alphabet - symbols)
        state.store(step.texels, base, (prediction + symbols) & (alphabet - 1), absolute, features[9])
    stream.finish()
    values = np.empty((count, planes), np.uint8)
    values[order.texels] = state.values.reshape(planes, -1)[:, :count].T
    return values


def _read_tables(data: bytes, planes: int, alphabet: int) -> tuple[np.ndarray, np.ndarray]:
    weight_bytes, size = planes * FEATURES * 2, planes * FEATURES * 2 + CONTEXTS * alphabet * 2
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(data, size)
    except zlib.error as error:
        raise CorruptStream("the tables are damaged") from error
    if len(raw) != size:
        raise CorruptStream("the tables have the wrong size")
    frequencies = np.frombuffer(raw, "<u2", offset=weight_bytes).reshape(CONTEXTS, alphabet)
    return np.frombuffer(raw, "<i2", planes * FEATURES).reshape(planes, FEATURES), frequencies
