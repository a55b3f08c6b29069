"""Where a shadow's edge passed between two frames of a lightmap, as far as the two frames tell.

A texel that becomes lit (or dark) belongs to a region of its like, which the edge swept: on one side of the region lies
what was lit already, where the edge was at first, and on another what is not lit yet, where it is at last. On a line
through the texel that meets both, the distances to the two say when the edge passed:

    first distance / (first distance + last distance), a share of the interval

Lines run in four directions. Some leave the region at the border of a chart, or meet the same kind of edge twice; how
much the others can be trusted is left to whoever reads the features, see :mod:`src.tasks.made_frames`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from src.utils.color import luminance

LEAST_CHANGE = 0.25  # of the logarithm of a texel's luminance: what changes less is no edge
FLOOR = 0.02  # of the bright luminance: darker than that, change is noise
FARTHEST = 64  # texels to the end of a region
FEATURES = 23
_BRIGHT = 99.0  # percentile
_LINES = ((0, 1), (1, 0), (1, 1), (1, -1))
_CLEAR = 0.3  # of an edge's jump against the texel's change: so much more at one of the two times than at the other
_NEVER = 3.0 * FARTHEST


class Changes(NamedTuple):
    """The texels M of a map H x W that change clearly: row-major ``index`` M, and ``features`` M x FEATURES float32."""

    index: np.ndarray  # type: ignore[assignment]  # hides tuple.index, which nobody asks of it
    features: np.ndarray


def moving_share(first: np.ndarray, last: np.ndarray, mask: np.ndarray) -> float:
    """Of the valid texels, those that change clearly from frame ``first`` to ``last``, H x W x 3 each."""
    change = np.diff(_log_luminance(first, last, mask), axis=0)[0]
    return float((np.abs(change[mask]) > LEAST_CHANGE).mean())


def find_changes(first: np.ndarray, last: np.ndarray, mask: np.ndarray) -> Changes:
    """What can be seen of edges that move from frame ``first`` to ``last``, H x W x 3, within ``mask`` H x W bool."""
    width = mask.shape[1]
    valid = np.pad(mask, 1)
    logs = np.stack([np.pad(log, 1) for log in _log_luminance(first, last, mask)]).reshape(2, -1)
    indices, features = [np.zeros(0, np.int64)], [np.zeros((0, FEATURES), np.float32)]
    for sign in (1.0, -1.0):
        region = (valid.ravel() & (sign * (logs[1] - logs[0]) > LEAST_CHANGE)).reshape(valid.shape)
        row, column = np.nonzero(region)
        if len(row):
            indices.append((row - 1) * width + column - 1)
            features.append(_features(region, valid.ravel(), sign * logs))
    return Changes(np.concatenate(indices), np.concatenate(features))


def _log_luminance(first: np.ndarray, last: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """2 x H x W, in units of what is bright in either frame."""
    both = luminance(np.stack([first, last]))
    bright = max(float(np.percentile(both[:, mask], _BRIGHT)), 1e-12)
    return np.log(both / bright + FLOOR)


def _features(region: np.ndarray, valid: np.ndarray, logs: np.ndarray) -> np.ndarray:
    """Of the M texels of ``region``, which all become brighter from ``logs[0]`` to ``logs[1]``: M x FEATURES.

    The maps have a border of invalid texels; ``valid`` and ``logs`` are flat.
    """
    start = np.flatnonzero(region)
    change = logs[1][start] - logs[0][start]
    distances, kinds, passed, widths, trust = [], [], [], [], []
    for line in _LINES:
        (near, near_kind), (far, far_kind) = (
            _walk(region, valid, logs, start, change, (way * line[0], way * line[1])) for way in (1, -1)
        )
        distances += [near, far]
        kinds += [near_kind, far_kind]
        widths.append(near + far)
        passed.append(np.where(near_kind > far_kind, near, far) / (near + far) - 0.5)
        trust.append(np.abs(near_kind - far_kind) / 2 * (near_kind * far_kind < 0))
    distance, kind = np.stack(distances), np.stack(kinds)
    time, width, trusted = np.stack(passed), np.stack(widths), np.stack(trust)
    to_first, to_last, to_none = (
        np.where(is_kind, distance, _NEVER).min(axis=0)
        for is_kind in (kind > _CLEAR, kind < -_CLEAR, np.abs(kind) <= _CLEAR)
    )
    order = np.argsort(width + 1e3 * (trusted <= 0.2), axis=0)  # narrow ones that can be trusted come first
    time, width, trusted = (np.take_along_axis(values, order, axis=0) for values in (time, width, trusted))
    inverse = 1.0 / distance
    features = [
        *(time * trusted),
        *trusted,
        *(np.log1p(width) / 4),
        to_first / (to_first + to_last) - 0.5,
        (time * trusted / width).sum(axis=0) / ((trusted / width).sum(axis=0) + 1e-6),
        *(np.log1p(nearest) / 4 for nearest in (to_first, to_last, to_none)),
        (kind > _CLEAR).mean(axis=0),
        (kind < -_CLEAR).mean(axis=0),
        np.minimum(change, 3.0),
        trusted.max(axis=0),
        (kind.clip(0, 1) * inverse).sum(axis=0) / inverse.sum(axis=0),
        ((-kind).clip(0, 1) * inverse).sum(axis=0) / inverse.sum(axis=0),
    ]
    return np.stack(features, axis=1).astype(np.float32)


def _walk(
    region: np.ndarray, valid: np.ndarray, logs: np.ndarray, start: np.ndarray, change: np.ndarray, way: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """From each texel of ``start`` M along ``way`` to the end of ``region``: how far (M, in texels), and what is there.

    The second is 1 where an edge lies there at first (beyond it is lit already), -1 where one lies there at last, 0 at
    the end of a chart; in between by how much the two jump against the texel's own ``change``.
    """
    offset = way[0] * region.shape[1] + way[1]
    inside = region.ravel()
    end, steps = start.copy(), np.full(len(start), FARTHEST, np.float64)
    walking = np.arange(len(start))
    for step in range(FARTHEST):
        beyond = end[walking] + offset
        goes_on = inside[beyond]
        steps[walking[~goes_on]] = step + 0.5
        walking = walking[goes_on]
        end[walking] = beyond[goes_on]
        if not len(walking):
            break
    beyond = end + offset
    is_edge = valid[beyond]
    is_edge[walking] = False
    at_first = np.maximum(logs[0][beyond] - logs[0][end], 0.0)
    at_last = np.maximum(logs[1][end] - logs[1][beyond], 0.0)
    kind = np.where(is_edge, (at_first - at_last) / change, 0.0).clip(-1.0, 1.0)
    return steps * float(np.hypot(*way)), kind
