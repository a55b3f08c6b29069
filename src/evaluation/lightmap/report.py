"""Rows of measured coders as a table, as JSON and as a rate-distortion plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from src.evaluation.lightmap.between import BetweenRow
from src.evaluation.lightmap.between import to_json as between_to_json
from src.evaluation.lightmap.quality import Row
from src.evaluation.table import markdown_table, number
from src.utils.atomic import atomic_path

_HEADINGS = (
    "coder",
    "setting",
    "PSNR dB",
    "worst (hour)",
    "SSIM",
    "LPIPS",
    "bpp memory",
    "bpp disk",
    "ms/frame",
    "HPRC",
)
_MARKERS = "osD^vPXh"
OURS = "ours"  # the name of our own rows; drawn to stand out


def format_table(rows: Sequence[Row]) -> str:
    """A Markdown table, one line per row."""
    return markdown_table(_HEADINGS, [_cells(row) for row in rows])


def format_hours(row: Row) -> str:
    """A Markdown table of one row's frames: lightmap, hour, PSNR, SSIM, LPIPS."""
    lines = ["| lightmap | hour | PSNR dB | SSIM | LPIPS |", "| --- | --- | --- | --- | --- |"]
    for frame in _frames(row):
        values = [number(frame[name], digits) for name, digits in (("psnr_db", 2), ("ssim", 4), ("lpips", 4))]
        lines.append(f"| {frame['lightmap']} | {frame['hour']:g} | {' | '.join(values)} |")
    return "\n".join(lines)


def to_json(rows: Sequence[Row]) -> list[dict]:
    """Rows in plain types; each has ``frames`` with the lightmap, the hour and its metrics (None: not measured)."""
    plain = []
    for row in rows:
        values = {field.name: getattr(row, field.name) for field in fields(row) if field.name != "lightmaps"}
        plain.append({**values, "frames": _frames(row)})
    return plain


def write_json(
    path: str | Path,
    data_dir: Path,
    lightmaps: Sequence[Any],
    rows: Sequence[Row],
    skipped: dict[str, str],
    between: Sequence[BetweenRow] = (),
) -> None:
    """Write everything that was measured; ``skipped`` says what was not, and why."""
    described = [{"name": m.name, "height": m.height, "width": m.width, "hours": m.hours} for m in lightmaps]
    report = {"data_dir": str(data_dir), "lightmaps": described, "rows": to_json(rows), "skipped": skipped}
    if between:
        report["between"] = between_to_json(between)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def plot_rate_distortion(path: str | Path, rows: Sequence[Row], title: str) -> None:
    """PSNR over bits per texel and frame, on disk and in memory, one line per coder in order of first appearance.

    In the memory panel a coder without random access is a dashed line over its bits on disk. The suffix of ``path``
    chooses the format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = zip(
        figure.subplots(1, 2, sharey=True),
        ("bpp_disk", "bpp_memory"),
        ("on disk (file bytes)", "in memory (dashed: on disk, no random access)"),
        strict=True,
    )
    coders = list(dict.fromkeys(row.coder for row in rows))
    handles: dict[str, Any] = {}
    for axes, rate, name in panels:
        for index, coder in enumerate(coders):
            own = [row for row in rows if row.coder == coder]
            is_resident = own[0].bpp_memory is not None
            points = sorted((getattr(row, rate if is_resident else "bpp_disk"), row.psnr_db) for row in own)
            style = {"color": f"C{index % 10}", "marker": _MARKERS[index % len(_MARKERS)], "lw": 1.6}
            if coder == OURS:
                style = {"color": "black", "marker": "*", "ms": 13, "lw": 2.4, "zorder": 3}
            is_dashed = rate == "bpp_memory" and not is_resident
            (line,) = axes.plot(*zip(*points, strict=True), **style, ls="--" if is_dashed else "-")
            handles.setdefault(coder, line)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(f"bits per texel and frame {name}")
        axes.grid(True, which="both", alpha=0.25)
    figure.axes[0].set_ylabel("PSNR, dB (masked, tiles of 256 x 256)")
    figure.suptitle(title)
    figure.legend(list(handles.values()), list(handles), loc="outside right center", frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _cells(row: Row) -> list[str]:
    score = "-" if row.hprc_points is None else f"{row.hprc_points:.1f}/{row.hprc_attainable:.0f}"
    return [
        row.coder,
        row.setting,
        number(row.psnr_db, 2),
        f"{number(row.worst_psnr_db, 1)} ({row.worst_hour:g})",
        number(row.ssim, 4),
        number(row.lpips, 4),
        number(row.bpp_memory, 3),
        number(row.bpp_disk, 3),
        number(row.decode_ms, 1),
        score,
    ]


def _frames(row: Row) -> list[dict]:
    frames = []
    for lightmap in row.lightmaps:
        metrics = {name: values for name, values in asdict(lightmap.metrics).items() if name != "counted"}
        for index, hour in enumerate(lightmap.hours):
            counts = lightmap.metrics.counted[index]
            values = {
                name: float(array[index]) if array is not None and counts else None for name, array in metrics.items()
            }
            frames.append({"lightmap": lightmap.name, "hour": hour, **values})
    return frames
