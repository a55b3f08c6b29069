"""Frames between those that were baked, in which shadows' edges have moved on instead of fading.

How far a texel has gone from one frame to the next in the middle of an interval is learned from the day itself: every
baked frame lies in the middle between its neighbours, and at half resolution shadows move in two hours about as many
texels as at full resolution in one. A small network learns that share from what can be seen in the neighbours alone,
see :mod:`src.data.lightmap.moving_edges`; where that says little it learns to fade, which has the least squared error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from src.data.lightmap.moving_edges import FEATURES, Changes, find_changes, moving_share
from src.data.lightmap_dataset import LightmapDataset
from src.utils.hour_interpolation import HOURS_PER_DAY
from src.utils.seeding import generator

MOST_MOVING = 1.0 / 3.0  # of the valid texels: where more change it is the light itself that does
LEAST_GAIN_DB = 42.0  # a frame that is as near as this to the fade is not worth its bits
MIDDLE = 0.1  # of an interval: so far from its middle a frame may lie to be learned from
_WIDTH = 32
_LEAST_DEVIATION = 0.05  # of a feature: what hardly varies in a day must not count for much where it does
_STEPS, _MOST_BATCH, _RATE = 200, 8192, 1e-2


class PassedShare(nn.Module):
    """Features M x FEATURES of changing texels -> how far each has gone in the middle of the interval, M in [0, 1]."""

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self._mean, self._deviation = mean, deviation
        first, second, last = nn.Linear(FEATURES, _WIDTH), nn.Linear(_WIDTH, _WIDTH), nn.Linear(_WIDTH, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), last)

    def forward(self, features: Tensor) -> Tensor:
        return torch.sigmoid(self.layers((features - self._mean) / self._deviation).squeeze(1))


def learn_passed_share(
    frames: Sequence[np.ndarray], hours: Sequence[float], events: Sequence[float], mask: np.ndarray, seed: int
) -> PassedShare | None:
    """Learned from the ``frames`` H x W x 3 of a day; None where no frame has moving edges beside it."""
    small_mask = _halved(mask[..., None].astype(np.float32), mask)[1]
    small = [_halved(frame, mask)[0] for frame in frames]
    features, shares, weights = [], [], []
    for t, hour in enumerate(hours):
        before, after = t - 1, (t + 1) % len(hours)
        if len(hours) < 3 or not _is_middle(hours[before], hour, hours[after]):
            continue
        if _has_event(hours[before], hours[after], events):
            continue
        fade_error = np.square(small[t] - (small[before] + small[after]) / 2).sum()
        for start, end in ((before, after), (after, before)):  # a day backwards is a day, too
            changes = find_changes(small[start], small[end], small_mask)
            first, middle, last = (small[k].reshape(-1, 3)[changes.index] for k in (start, t, end))
            squared = np.square(last - first).sum(axis=1)
            features.append(changes.features)
            shares.append(((middle - first) * (last - first)).sum(axis=1) / np.maximum(squared, 1e-20))
            weights.append(squared / max(fade_error, 1e-20))
    if not sum(map(len, features)):
        return None
    joined = (torch.from_numpy(np.concatenate(part).astype(np.float32)) for part in (features, shares, weights))
    all_features, all_shares, all_weights = joined
    return _fit(all_features, all_shares, all_weights, seed)


def _fit(features: Tensor, shares: Tensor, weights: Tensor, seed: int) -> PassedShare:
    """Weighted least squares: weights are the squared errors of a share of 1, relative to those of the frame's fade."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PassedShare(features.mean(dim=0), features.std(dim=0).clamp_min(_LEAST_DEVIATION))
    random = generator(seed)
    chance = weights + weights.mean()
    importance = weights / chance
    optimizer = torch.optim.Adam(network.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    batch = min(_MOST_BATCH, max(1, len(shares) // 8))
    cumulative = chance.double().cumsum(0)
    for _ in range(_STEPS):
        drawn = torch.rand(batch, generator=random, dtype=torch.float64) * cumulative[-1]
        some = torch.searchsorted(cumulative, drawn).clamp_max(len(shares) - 1)
        error = (importance[some] * (network(features[some]) - shares[some]).square()).mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        schedule.step()
    return network


@torch.no_grad()
def middle_frame(network: PassedShare, first: np.ndarray, last: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """The frame in the middle between two, H x W x 3; None where fading is as good: no edges, or changing light."""
    if not 0.0 < moving_share(first, last, mask) <= MOST_MOVING:
        return None
    changes: Changes = find_changes(first, last, mask)
    share = network(torch.from_numpy(changes.features)).numpy()[:, None]
    fade = (first + last) / 2
    made = fade.copy().reshape(-1, 3)
    made[changes.index] = (1 - share) * first.reshape(-1, 3)[changes.index] + share * last.reshape(-1, 3)[changes.index]
    made = made.reshape(fade.shape)
    difference = np.square(made - fade)[mask].mean()
    return made if difference > fade[mask].max() ** 2 * 10 ** (-LEAST_GAIN_DB / 10) else None


def with_made_frames(data: LightmapDataset, events: Sequence[float], seed: int) -> LightmapDataset:
    """``data`` with a frame in the middle of each interval where shadows move; ``made_hours`` lists them."""
    mask = data.mask.cpu().numpy()
    hours = data.hour_values
    frames = [data.frame(t) for t in range(len(hours))]
    network = learn_passed_share(frames, hours, events, mask, seed)
    made: dict[float, np.ndarray] = {}
    for t, hour in enumerate(hours):
        if network is None:
            break
        after = (t + 1) % len(hours)
        if _has_event(hour, hours[after], events) or len(hours) < 2:
            continue
        frame = middle_frame(network, frames[t], frames[after], mask)
        if frame is not None:
            middle = (hour + ((hours[after] - hour) % HOURS_PER_DAY) / 2) % HOURS_PER_DAY
            made[round(middle, 6)] = frame
    return data.with_frames(made)


def _is_middle(before: float, hour: float, after: float) -> bool:
    share = (hour - before) % HOURS_PER_DAY / max((after - before) % HOURS_PER_DAY, 1e-9)
    return abs(share - 0.5) <= MIDDLE


def _has_event(first: float, last: float, events: Sequence[float]) -> bool:
    """Whether light switches in the interval; at its very beginning it has switched before."""
    length = (last - first) % HOURS_PER_DAY
    return any(0.0 < (event - first) % HOURS_PER_DAY <= length for event in events)


def _halved(frame: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over the valid texels of 2 x 2 each, and where there are any; an odd last row or column is left out."""
    height, width = mask.shape[0] // 2, mask.shape[1] // 2
    valid = mask[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 1)
    sums = (frame[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1) * valid).sum(axis=(1, 3))
    counts = valid.sum(axis=(1, 3))
    return sums / np.maximum(counts, 1), counts[..., 0] > 0
