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
from src.export.plane_model import CONTEXTS, FEATURES, contexts, fit_weights
from src.export.plane_order import PlaneOrder
from src.export.plane_scan import PlaneScan
from src.export.plane_walk import PlaneWalk

_HEADER = struct.Struct("<HI")
_FITTED_TEXELS = 1 << 16  # evenly spread ones, that weights are fitted to
_TEXELS_AT_ONCE = 1 << 15


class PlaneTables(NamedTuple):
    """What the coder knows of its planes before their values."""

    weights: np.ndarray  # D x FEATURES int16
    frequencies: np.ndarray  # CONTEXTS x 2^bits uint16


class Residuals(NamedTuple):
    """Planes as what is coded."""

    symbols: np.ndarray  # D x N uint8, row-major
    contexts: np.ndarray  # D x N uint8
    counts: np.ndarray  # CONTEXTS x 2^bits
    tables: PlaneTables

    @property
    def size_bytes(self) -> float:
        """About what they are coded to, without the tables."""
        bits = np.log2(entropy.TOTAL / np.maximum(self.tables.frequencies, 1.0))
        return float((self.counts * bits).sum()) / 8


def residuals(values: np.ndarray, mask: np.ndarray, bits: int) -> Residuals:
    """Of ``values`` N x D (integers below 2^bits, bits <= 8) of the N valid texels of ``mask`` H x W, row-major."""
    count, planes = values.shape
    alphabet = 1 << bits
    scan = PlaneScan(mask, bits)
    symbols, of_context = np.empty((2, planes, count), np.uint8)
    weights = np.empty((planes, FEATURES), np.int16)
    counts = np.zeros(CONTEXTS * alphabet, np.int64)
    some = slice(None, None, -(-count // _FITTED_TEXELS))
    for d in range(planes):
        plane = scan.scan(values[:, d])
        weights[d] = fit_weights(plane.features[:, some], plane.residuals[some])
        symbols[d] = plane.symbols
        for first in range(0, count, _TEXELS_AT_ONCE):
            part = slice(first, first + _TEXELS_AT_ONCE)
            now = contexts(weights[d].astype(np.float32) @ plane.features[:, part].astype(np.float32))
            of_context[d, part] = now
            counts += np.bincount(now * alphabet + symbols[d, part], minlength=len(counts))
    frequencies = entropy.quantise_frequencies(counts.reshape(CONTEXTS, alphabet))
    return Residuals(symbols, of_context, counts.reshape(CONTEXTS, alphabet), PlaneTables(weights, frequencies))


def encode(values: np.ndarray, mask: np.ndarray, bits: int) -> bytes:
    """Code ``values`` as :func:`residuals` takes them."""
    coded = residuals(values, mask, bits)
    order = PlaneOrder(mask, values.shape[1])
    symbols, of_context = order.to_stream(coded.symbols), order.to_stream(coded.contexts)
    lanes = entropy.lane_count(values.size)
    stream = entropy.encode(symbols, of_context, order.sizes, coded.tables.frequencies, lanes)
    tables = _coded_tables(coded.tables)
    return _HEADER.pack(lanes, len(tables)) + tables + stream


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
    walk = PlaneWalk(mask, weights, bits)
    for of_step in walk.steps():
        walk.store(stream.read(of_step))
    stream.finish()
    return walk.values().T


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
