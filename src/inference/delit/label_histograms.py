"""How the figures of a set's clips are spread, and where the thresholds cut, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from src.data.portrait.manifest import FIGURES, Clip, Threshold, kept
from src.utils.atomic import atomic_path

_COLUMNS = 4
_BINS = 24


def write_histograms(path: Path, clips: Sequence[Clip], thresholds: Sequence[Threshold]) -> None:
    """One histogram per figure: all clips in grey, those that every threshold keeps in blue, thresholds as lines."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    remaining = kept(clips, thresholds)
    rows = -(-len(FIGURES) // _COLUMNS)
    figure = Figure(figsize=(3.4 * _COLUMNS, 2.3 * rows))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.04, right=0.98, bottom=0.07, top=0.9, hspace=0.65)
    for axes, (name, meaning) in zip(figure.subplots(rows, _COLUMNS).flat, FIGURES.items(), strict=True):
        values, of_kept = (_values(some, name) for some in (clips, remaining))
        axes.set_title(name, fontsize=9, fontweight="bold")
        axes.set_xlabel(meaning if values else f"{meaning}: not known", fontsize=7)
        axes.tick_params(labelsize=7)
        axes.locator_params(nbins=4)
        if not values:
            continue
        low, high = min(values), max(values)
        limits = (low, high) if high > low else (low - 0.5, low + 0.5)
        axes.hist(values, bins=_BINS, range=limits, color="0.8", histtype="stepfilled")
        axes.hist(of_kept, bins=_BINS, range=limits, color="tab:blue", histtype="stepfilled")
        for rule in thresholds:
            if rule.figure == name:
                axes.axvline(rule.value, color="tab:red", lw=1.2)
    figure.suptitle(f"{len(clips)} clips, {len(remaining)} kept", fontsize=10)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90)


def _values(clips: Sequence[Clip], name: str) -> list[float]:
    return [value for clip in clips if (value := clip.figures.get(name)) is not None]
