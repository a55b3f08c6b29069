"""Latents as the integers that a file holds best: rounding that knows what the plane coder's bits cost.

Values are decided in the order in which they are coded, each with the tables that the coder had for the planes before:
of the nearest integer, the next one towards the prediction and the prediction itself the one with the least
``(value - exact)^2 + bit_price * bits``. What a choice does to later predictions is not looked at.

Ramchandran and Vetterli, "Rate-distortion optimal fast thresholding with complete JPEG/MPEG decoder compatibility"
(1994) is the idea; in video coders it is called rate-distortion optimised quantisation.
"""

from __future__ import annotations

import numpy as np

from src.export.entropy import TOTAL
from src.export.plane_codec import PlaneTables
from src.export.plane_model import PlaneOrder, PlaneState, contexts, neighbours

_UNSEEN_BITS = 20.0  # of a symbol that the tables do not have


def round_planes(
    exact: np.ndarray, low: np.ndarray, high: np.ndarray, mask: np.ndarray, tables: PlaneTables, bit_price: float
) -> tuple[np.ndarray, float]:
    """``exact`` N x D, in quantisation steps, of the N valid texels of ``mask`` H x W -> (values N x D uint8, their
    bits by frequencies that fit them).

    Values stay within ``low`` and ``high``, N x D uint8 each. An error of one step is worth ``1 / bit_price`` bits.
    """
    count, planes = exact.shape
    frequencies = tables.frequencies
    alphabet = frequencies.shape[1]
    bits = np.where(frequencies > 0, np.log2(TOTAL / np.maximum(frequencies, 1.0)), _UNSEEN_BITS)
    cost = (bit_price * bits).astype(np.float32).ravel()
    counts = np.zeros(cost.shape, np.int64)
    order = PlaneOrder(mask)
    state = PlaneState(neighbours(mask, order.texels), planes, alphabet.bit_length() - 1)
    weights = np.ascontiguousarray(tables.weights.T, np.float32)
    exact, low, high = (_by_plane(values, order) for values in (exact.astype(np.float32), low, high))
    bases, firsts = state.stride * np.arange(planes), count * np.arange(planes)
    for step in order.steps(planes):
        texels, base = step.texels, step.spread(bases)
        prediction, features = state.predict(texels, base)
        entry = contexts(features, step.spread(weights)) * alphabet
        here = np.arange(texels.start, texels.stop) + step.spread(firsts)
        wanted, least, most = exact[here], low[here].astype(np.int16), high[here].astype(np.int16)
        nearest = np.clip(np.rint(wanted).astype(np.int16), least, most)
        expected = np.clip(prediction, least, most)
        chosen, best = nearest, np.full(len(here), np.inf, np.float32)
        for value in (nearest, nearest + np.sign(expected - nearest), expected):
            costs = (value - wanted) ** 2 + cost.take(entry + ((value - prediction) & (alphabet - 1)))
            better = costs < best
            chosen, best = np.where(better, value, chosen), np.where(better, costs, best)
        symbols = (chosen - prediction) & (alphabet - 1)
        counts += np.bincount(entry + symbols, minlength=len(counts))
        state.store(texels, base, chosen, np.minimum(symbols, alphabet - symbols), features[9])
    values = np.empty((count, planes), np.uint8)
    values[order.texels] = state.values.reshape(planes, -1)[:, :count].T
    by_context = counts.reshape(frequencies.shape)
    share = by_context / np.maximum(by_context.sum(axis=1, keepdims=True), 1)
    return values, float(-(by_context * np.log2(np.where(by_context > 0, share, 1.0))).sum())


def _by_plane(values: np.ndarray, order: PlaneOrder) -> np.ndarray:
    """N x D row-major -> D N values, plane by plane, in the order of coding."""
    return np.ascontiguousarray(values[order.texels].T).ravel()
