"""Lossless coding of quantised latent planes of a masked lightmap.

Each value is predicted from its decoded neighbours (the median edge detector of LOCO-I, only from valid texels) and its
residual is coded with one of 24 static tables. Which table is decided by an expected residual: a linear combination of
what is known around the texel, in this plane and in the planes before it, with integer weights fitted by the encoder.
Everything is integer arithmetic, so that any program decodes the same values.

Decoding order: at step s, plane d decodes the texels with x + 2 y = s - 3 d. All that a texel needs was decoded in an
earlier step, so a step is one vector operation, and a serial program may simply loop over it.

Weinberger, Seroussi, Sapiro, "The LOCO-I lossless image compression algorithm" (2000).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from src.export import entropy
from src.export.entropy import CorruptStream

CONTEXTS = 24
PLANE_LAG = 3  # plane d reads plane d-1 one row below: x + 2 (y + 1) = s + 2
FEATURES = 14
WEIGHT_BITS = 12
_RESIDUAL_CAP = 16
_SUM_CAP = 64
_WEIGHT_LIMIT = 1 << 15
# Expected residuals at which one table gives way to the next: 2.5 tables per octave from 0.015 quantisation steps.
_THRESHOLDS = np.floor(0.015 * 2.0 ** ((np.arange(1, CONTEXTS) - 0.5) / 2.5) * (1 << WEIGHT_BITS)).astype(np.int32)
_HEADER = struct.Struct("<HI")


@dataclass(frozen=True)
class _Neighbours:
    """For each valid texel, in row-major order, the indices of the texels it is predicted from; N means none."""

    values: np.ndarray  # 6 x N: W, N, NW, NE, WW, NN, replaced by a valid neighbour where they are not valid
    residuals: np.ndarray  # 6 x N: W, N, NW, NE, E, S; N where not valid
    missing: np.ndarray  # N: how many of W, N, NW, NE are not valid


def _neighbours(mask: np.ndarray) -> _Neighbours:
    height, width = mask.shape
    count = int(mask.sum())
    index = np.full((height + 3, width + 4), -1, np.int32)  # two rows above and one below, two columns on each side
    index[2:-1, 2:-2][mask] = np.arange(count, dtype=np.int32)

    def at(dy: int, dx: int) -> np.ndarray:
        return index[2 + dy : 2 + dy + height, 2 + dx : 2 + dx + width][mask]

    west, north, north_west, north_east, west2, north2, east, south = (
        at(*offset) for offset in ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (0, 1), (1, 0))
    )
    # What an invalid texel stands for: the valid texel to its left, else what the one above it stands for.
    stands_for = np.full((height + 1, width + 1), count, np.int32)
    for y in range(height):
        here, left = index[y + 2, 2:-2], index[y + 2, 1:-3]
        stands_for[y + 1, 1:] = np.where(here >= 0, here, np.where(left >= 0, left, stands_for[y, 1:]))
    beside = stands_for[1:, :-1][mask]

    w = np.where(west >= 0, west, np.where(north >= 0, north, beside))
    n = np.where(north >= 0, north, w)
    nw = np.where(north_west >= 0, north_west, np.where(north >= 0, n, w))
    ne = np.where(north_east >= 0, north_east, n)
    values = np.stack((w, n, nw, ne, np.where(west2 >= 0, west2, w), np.where(north2 >= 0, north2, n)))
    near = np.stack((west, north, north_west, north_east, east, south))
    missing = (near[:4] < 0).sum(axis=0, dtype=np.int32)
    return _Neighbours(values, np.where(near < 0, count, near).astype(np.int32), missing)


Numbers = np.ndarray | np.integer  # one for each texel, or one for all


class _State:
    """Values, absolute residuals and their sums over planes, each D x (N + 1): the last column is 'no texel'."""

    def __init__(self, neighbours: _Neighbours, planes: int, bits: int) -> None:
        count = len(neighbours.missing)
        self.stride = count + 1
        self.neighbours = neighbours
        self.values = np.zeros(planes * self.stride, np.int32)
        self.values[count :: self.stride] = 1 << (bits - 1)
        self.residuals = np.zeros(planes * self.stride, np.int32)
        self.sums = np.zeros((planes + 1) * self.stride, np.int32)  # plane d: over the planes before d

    def predict(self, texels: np.ndarray, base: Numbers, planes: Numbers) -> tuple[np.ndarray, np.ndarray]:
        """For M values (``base`` = plane x stride): predictions M and features FEATURES x M."""
        near = self.neighbours
        w, n, nw, ne, ww, nn = self.values[near.values[:, texels] + base]
        prediction = np.clip(w + n - nw, np.minimum(w, n), np.maximum(w, n))
        around = near.residuals[:, texels] + base
        rw, rn, rnw, rne = self.residuals[around[:4]]
        sw, sn, snw, sne, se, ss = self.sums[around]
        here = texels + base
        features = np.empty((FEATURES, len(texels)), np.int32)
        features[0] = np.abs(w - nw)
        features[1] = np.abs(n - nw)
        features[2] = np.abs(n - ne)
        features[3], features[4], features[5] = rw, rn, rnw + rne
        features[6] = np.abs(ww - w) + np.abs(nn - n)
        features[7] = np.where(planes > 0, self.residuals[np.maximum(here - self.stride, 0)], 0)
        features[8] = np.where(planes > 1, self.residuals[np.maximum(here - 2 * self.stride, 0)], 0)
        np.minimum(features[:9], _RESIDUAL_CAP, out=features[:9])
        features[9], features[10], features[11] = self.sums[here], se + ss, sw + sn + snw + sne
        np.minimum(features[9:12], _SUM_CAP, out=features[9:12])
        missing = near.missing[texels]
        features[12] = 1 + (missing == 3)
        features[13] = missing == 4
        return prediction, features

    def store(self, texels: np.ndarray, base: Numbers, values: np.ndarray, residuals: np.ndarray) -> None:
        here = texels + base
        self.values[here] = values
        self.residuals[here] = residuals
        self.sums[here + self.stride] = self.sums[here] + residuals


def _contexts(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``features`` and ``weights`` FEATURES x M (or x 1) -> table numbers M."""
    expected = np.einsum("km,km->m", features, np.broadcast_to(weights, features.shape))
    return np.searchsorted(_THRESHOLDS, expected, side="right")


def _fit_weights(features: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """Weights whose combination of ``features`` expects the absolute ``residuals``: iteratively reweighted."""
    x, y = features.astype(np.float64), np.minimum(residuals, 1.5 * _RESIDUAL_CAP)
    expected = np.full(len(y), y.mean() + 0.1)
    for _ in range(6):
        weighted = x / expected**2
        solution = np.linalg.solve(weighted @ x.T + 0.01 * np.eye(FEATURES), weighted @ y)
        expected = np.maximum(solution @ x, 0.015)
    return np.clip(np.rint(solution * (1 << WEIGHT_BITS)), 1 - _WEIGHT_LIMIT, _WEIGHT_LIMIT - 1).astype(np.int16)


def _wavefront(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Texel indices sorted by x + 2 y, and where each value of x + 2 y starts among them."""
    y, x = np.nonzero(mask)
    key = x + 2 * y
    starts = np.concatenate(([0], np.cumsum(np.bincount(key, minlength=mask.shape[1] + 2 * mask.shape[0]))))
    return np.argsort(key, kind="stable"), starts


def _steps(mask: np.ndarray, planes: int):
    """Per step the texels and their planes, as one array each."""
    order, starts = _wavefront(mask)
    last = len(starts) - 1
    for step in range(last + PLANE_LAG * (planes - 1)):
        present = range(max(0, -(-(step - last + 1) // PLANE_LAG)), min(planes - 1, step // PLANE_LAG) + 1)
        parts = [order[starts[step - PLANE_LAG * d] : starts[step - PLANE_LAG * d + 1]] for d in present]
        sizes = [len(part) for part in parts]
        if sum(sizes):
            yield np.concatenate(parts), np.repeat(np.array(present), sizes)


def encode(values: np.ndarray, mask: np.ndarray, bits: int) -> bytes:
    """Code ``values`` N x D (integers below 2^bits, bits <= 8) of the N valid texels of ``mask`` H x W, row-major."""
    count, planes = values.shape
    alphabet = 1 << bits
    state = _State(_neighbours(mask), planes, bits)
    texels = np.arange(count)
    symbols, contexts = np.empty((planes, count), np.uint8), np.empty((planes, count), np.int64)
    weights = np.empty((planes, FEATURES), np.int16)
    for d in range(planes):
        now = values[:, d].astype(np.int32)
        base = d * state.stride
        # The planes before are known as a whole; this plane's own residuals follow from its values alone.
        state.values[base : base + count] = now
        prediction, _ = state.predict(texels, np.int64(base), np.int64(d))
        symbols[d] = (now - prediction) % alphabet
        residuals = np.minimum(symbols[d], alphabet - symbols[d].astype(np.int32))
        state.store(texels, np.int64(base), now, residuals)
        _, features = state.predict(texels, np.int64(base), np.int64(d))
        weights[d] = _fit_weights(features, residuals)
        contexts[d] = _contexts(features, weights[d].astype(np.int32)[:, None])
    counts = np.bincount((contexts * alphabet + symbols).ravel(), minlength=CONTEXTS * alphabet)
    frequencies = entropy.quantise_frequencies(counts.reshape(CONTEXTS, alphabet))
    steps = list(_steps(mask, planes))
    place = np.concatenate([d * count + texel for texel, d in steps]) if steps else np.zeros(0, np.int64)
    sizes = np.array([len(texel) for texel, _ in steps], np.int64)
    lanes = entropy.lane_count(count * planes)
    stream = entropy.encode(symbols.ravel()[place], contexts.ravel()[place], sizes, frequencies, lanes)
    tables = zlib.compress(weights.astype("<i2").tobytes() + frequencies.astype("<u2").tobytes(), 9)
    return _HEADER.pack(lanes, len(tables)) + tables + stream


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
    state = _State(_neighbours(mask), planes, bits)
    weights = weights.T.astype(np.int32)
    for texels, plane in _steps(mask, planes):
        base = plane * state.stride
        prediction, features = state.predict(texels, base, plane)
        symbols = stream.read(_contexts(features, weights[:, plane])).astype(np.int32)
        residuals = np.minimum(symbols, alphabet - symbols)
        state.store(texels, base, (prediction + symbols) % alphabet, residuals)
    stream.finish()
    return np.ascontiguousarray(state.values.reshape(planes, -1)[:, :count].T.astype(np.uint8))


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
