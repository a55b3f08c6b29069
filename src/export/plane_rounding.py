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
from src.export.plane_walk import PlaneWalk

_UNSEEN_BITS = 20.0  # of a symbol that the tables do not have


def round_planes(
    exact: np.ndarray, low: np.ndarray, high: np.ndarray, mask: np.ndarray, tables: PlaneTables, bit_price: float
) -> tuple[np.ndarray, float]:
    """``exact`` N x D, in quantisation steps, of the N valid texels of ``mask`` H x W -> (values N x D uint8, their
    bits by frequencies that fit them).

    Values stay within ``low`` and ``high``, N x D uint8 each. An error of one step is worth ``1 / bit_price`` bits.
    """
    frequencies = tables.frequencies
    alphabet = frequencies.shape[1]
    bits = np.where(frequencies > 0, np.log2(TOTAL / np.maximum(frequencies, 1.0)), _UNSEEN_BITS)
    cost = (bit_price * bits).astype(np.float32).ravel()
    counts = np.zeros(cost.shape, np.int64)
    walk = PlaneWalk(mask, tables.weights, alphabet.bit_length() - 1)
    in_order = [
        walk.order.to_stream(part.T) for part in (exact.astype(np.float32), low.astype(np.int16), high.astype(np.int16))
    ]
    end = 0
    for contexts in walk.steps():
        first, end = end, end + len(contexts)
        wanted, least, most = (part[first:end] for part in in_order)
        prediction, entry = walk.predictions().astype(np.int16), contexts * alphabet
        nearest = np.clip(np.rint(wanted).astype(np.int16), least, most)
        expected = np.clip(prediction, least, most)
        chosen, best = nearest, np.full(len(contexts), np.inf, np.float32)
        for value in (nearest, nearest + np.sign(expected - nearest), expected):
            costs = (value - wanted) ** 2 + cost.take(entry + ((value - prediction) & (alphabet - 1)))
            better = costs < best
            chosen, best = np.where(better, value, chosen), np.where(better, costs, best)
        symbols = (chosen - prediction) & (alphabet - 1)
        counts += np.bincount(entry + symbols, minlength=len(counts))
        walk.store(symbols.astype(np.uint8))
    by_context = counts.reshape(frequencies.shape)
    share = by_context / np.maximum(by_context.sum(axis=1, keepdims=True), 1)
    size_bits = float(-(by_context * np.log2(np.where(by_context > 0, share, 1.0))).sum())
    return np.ascontiguousarray(walk.values().T), size_bits
