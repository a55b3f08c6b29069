"""Coders at hours between those that were baked for them, beside what is known without any coder.

``crossfade`` fades the true neighbours into each other: what linear interpolation gives at best, without any loss of
coding. ``best of three`` takes, texel by texel and knowing the truth, whichever is nearest to it of that fade, the hour
before and the hour after: a bound for what chooses among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.data.lightmap.hprc import HprcLightmap
from src.data.lightmap.sources import Lightmap, open_lightmaps
from src.evaluation.lightmap.quality import Coded
from src.evaluation.table import markdown_table, number
from src.utils.cli import InputError
from src.utils.hour_interpolation import HourInterpolation, detect_events
from src.utils.tile_metrics import TileMetrics, tile_metrics

TRUTH = "truth"
CROSSFADE, BEST_OF_THREE = "crossfade", "best of three"
_HEADINGS = ("between hours", "setting", "PSNR dB", "worst (hour)", "SSIM")
_SAME_HOUR = 1e-6


@dataclass(frozen=True)
class Between:
    """Frames of one lightmap that its coders never saw, M x H x W x 3, at ``hours`` M within ``mask`` H x W bool.

    ``baked`` T x H x W x 3 are the frames that they saw, ``interpolation`` is between the hours of those.
    """

    name: str
    hours: tuple[float, ...]
    frames: np.ndarray
    mask: np.ndarray
    interpolation: HourInterpolation
    baked: np.ndarray

    def crossfade(self, frames: np.ndarray) -> np.ndarray:
        """``frames`` at the baked hours, faded to :attr:`hours` as a grid does it."""
        first, second, share = self.interpolation(np.array(self.hours))
        share = share.astype(np.float32)[:, None, None, None]
        return frames[first] * (1 - share) + frames[second] * share

    def best_of_three(self) -> np.ndarray:
        """Of the true neighbours and their fade, each texel's nearest to the truth."""
        first, second, _ = self.interpolation(np.array(self.hours))
        best = self.crossfade(self.baked)
        least = np.square(best - self.frames).sum(axis=3)
        for other in (self.baked[first], self.baked[second]):
            error = np.square(other - self.frames).sum(axis=3)
            nearer = error < least
            best[nearer], least[nearer] = other[nearer], error[nearer]
        return best

    def measure(self, predicted: np.ndarray) -> TileMetrics:
        return tile_metrics(self.frames, np.asarray(predicted, np.float32), self.mask)


@dataclass(frozen=True)
class BetweenRow:
    """One coder at the hours between, means over the frames of all lightmaps; ``frames`` has each of them."""

    coder: str
    setting: str
    psnr_db: float
    worst_psnr_db: float
    worst_hour: float
    ssim: float
    frames: tuple[dict, ...]


def open_between(
    folder: Path,
    lightmaps: Sequence[Lightmap],
    loaded: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    say: Callable[[str], None],
) -> list[Between]:
    """The frames of ``folder`` for each of ``lightmaps``, ``loaded`` as (frames, hours, mask).

    Hours come from the folder, as those of any lightmaps; what is also among the baked hours is left out and said.
    Texels count that are valid in both. Raises :class:`InputError` where the folder holds lightmaps of other names (of
    a set), another size or kind, no light, or no hour that was not baked.
    """
    found = open_lightmaps(folder, select=[part.name for part in lightmaps if isinstance(part, HprcLightmap)])
    if len(found) != len(lightmaps):
        problem = f"holds {len(found)} lightmaps, --data_dir {len(lightmaps)}"
        raise InputError(folder, problem, "give the same lightmaps at other hours")
    parts = []
    for other, lightmap, (baked, hours, mask) in zip(found, lightmaps, loaded, strict=True):
        if (other.height, other.width, other.is_radiance) != (lightmap.height, lightmap.width, lightmap.is_radiance):
            mine, its = (
                f"{part.width} x {part.height} texels of {'radiance' if part.is_radiance else 'display values'}"
                for part in (lightmap, other)
            )
            raise InputError(folder, f"is {its}, {lightmap.name} is {mine}", "give the same lightmap at other hours")
        remarks: list[str] = []
        frames, its_hours, its_mask = other.load(remarks)
        both = mask & its_mask
        for line in (*other.describe(), *remarks):
            say(f"between, {other.name}: {line}")
        is_new = np.abs(its_hours[:, None] - hours).min(axis=1) > _SAME_HOUR
        if not is_new.all():
            say(f"between, {other.name}: baked too, left out: {', '.join(f'{h:g}' for h in its_hours[~is_new])} h")
        if not is_new.any():
            raise InputError(folder, "has no hour that was not baked", "give images of other hours")
        if not frames[is_new][:, both].any():
            raise InputError(folder, "is black at every valid texel", "PSNR needs light")
        interpolation = HourInterpolation(hours.tolist(), detect_events(hours.tolist()))
        new_hours = tuple(its_hours[is_new].tolist())
        parts.append(Between(lightmap.name, new_hours, frames[is_new], both, interpolation, baked))
    return parts


def measure_truth(parts: Sequence[Between]) -> list[BetweenRow]:
    """What fading the true neighbours gives, and the bound."""
    return [
        summarise(TRUTH, CROSSFADE, parts, [part.measure(part.crossfade(part.baked)) for part in parts]),
        summarise(TRUTH, BEST_OF_THREE, parts, [part.measure(part.best_of_three()) for part in parts]),
    ]


def measure_coded(part: Between, coded: Coded) -> TileMetrics:
    """A coder at the hours between; one that knows no time of day has its decoded frames faded."""
    predicted = coded.decode_at(part.hours) if coded.decode_at else part.crossfade(coded.decode())
    return part.measure(predicted)


def summarise(coder: str, setting: str, parts: Sequence[Between], measured: Sequence[TileMetrics]) -> BetweenRow:
    """Join the lightmaps of a set into one row; black frames are left out."""
    frames: tuple[dict[str, Any], ...] = tuple(
        {"lightmap": part.name, "hour": hour, "psnr_db": float(metrics.psnr_db[t]), "ssim": float(metrics.ssim[t])}
        for part, metrics in zip(parts, measured, strict=True)
        for t, hour in enumerate(part.hours)
        if metrics.counted[t]
    )
    worst = min(frames, key=lambda frame: frame["psnr_db"])
    psnr_db, ssim = (float(np.mean([frame[name] for frame in frames])) for name in ("psnr_db", "ssim"))
    return BetweenRow(coder, setting, psnr_db, worst["psnr_db"], worst["hour"], ssim, frames)


def format_between(rows: Sequence[BetweenRow]) -> str:
    """A Markdown table, one line per row, and below it one of the PSNR at every hour, rows side by side."""
    cells = [
        [
            row.coder,
            row.setting,
            number(row.psnr_db, 2),
            f"{number(row.worst_psnr_db, 1)} ({row.worst_hour:g})",
            number(row.ssim, 4),
        ]
        for row in rows
    ]
    by_hour = [
        [frames[0]["lightmap"], f"{frames[0]['hour']:g}", *(number(frame["psnr_db"], 2) for frame in frames)]
        for frames in zip(*(row.frames for row in rows), strict=True)
    ]
    headings = ["lightmap", "hour", *(f"{row.coder}, {row.setting}" for row in rows)]
    return f"{markdown_table(_HEADINGS, cells)}\n\n{markdown_table(headings, by_hour)}"


def to_json(rows: Sequence[BetweenRow]) -> list[dict]:
    """Rows in plain types; each has ``frames`` with the lightmap, the hour, PSNR and SSIM."""
    return [{**asdict(row), "frames": list(row.frames)} for row in rows]
