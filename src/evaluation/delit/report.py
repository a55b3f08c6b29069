"""Measured delighting methods as tables, as JSON and as a contact sheet of the worst cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from src.data.portrait.delit_dataset import DelitDataset
from src.data.stage.environments import mean_luminance
from src.evaluation.delit.methods import Method
from src.evaluation.delit.metrics import ERROR_BOUNDS
from src.evaluation.delit.quality import STRATA, Row
from src.evaluation.table import markdown_table, number
from src.utils import json_files
from src.utils.color import linear_to_srgb
from src.utils.contact_sheet import contact_sheet
from src.utils.image_io import write_display
from src.utils.resize import resize_area
from src.utils.sphere import resize_environment
from src.utils.warp_error import VideoFigures

# (heading, figure, digits) of each table
_FLAT_LIT = (
    ("PSNR dB", "srgb_psnr_db", 2),
    ("aligned", "srgb_psnr_db_aligned", 2),
    ("SSIM", "srgb_ssim", 4),
    ("aligned", "srgb_ssim_aligned", 4),
    ("LPIPS", "lpips", 4),
    ("aligned", "lpips_aligned", 4),
    ("linear PSNR dB", "linear_psnr_db", 2),
    ("aligned", "linear_psnr_db_aligned", 2),
)
_ENVIRONMENT = (
    *((f"{sphere} deg", f"{sphere}_angular_deg", 2) for sphere in ("diffuse", "matte", "mirror")),
    *((f"{sphere} si-RMSE", f"{sphere}_si_rmse", 3) for sphere in ("diffuse", "matte", "mirror")),
    *((f"{sphere} nRMSE", f"{sphere}_normalised_rmse", 3) for sphere in ("diffuse", "matte", "mirror")),
    ("peak deg", "peak_angle_deg", 1),
)
_LIGHT = (("c_l relative L2", "c_l_relative_l2", 3), ("c_l log RMSE", "c_l_log_rmse", 3))
_CALIBRATION = (
    ("expected", "flat_error_expected", 3),
    ("found", "flat_error_found", 3),
    *((f"from {low:g}", f"flat_error_found_{k}", 3) for k, low in enumerate(ERROR_BOUNDS)),
)
_STRATA = (("PSNR dB", "srgb_psnr_db", 2), ("aligned", "srgb_psnr_db_aligned", 2), ("SSIM", "srgb_ssim", 4))
SHEET_ROWS = 8
SHEET_TILE = 160
_ERROR_GAIN = 4.0
_ENVIRONMENT_GREY = 0.35  # what an environment's mean luminance is shown as, linear


def format_tables(rows: Sequence[Row]) -> str:
    """Tables of the flat-lit pictures, the environments and the light on the stage; then flat-lit by skin tone."""
    parts = [
        f"{title}\n{table}"
        for title, columns in (
            ("Flat-lit picture within the mask (sRGB unless linear; aligned: scale and bias per channel)", _FLAT_LIT),
            (
                "Environment: three spheres (angle between colours, scale-invariant and normalised RMSE), peak",
                _ENVIRONMENT,
            ),
            ("Error of log flat-lit but for brightness: expected, found, and found by what is expected", _CALIBRATION),
            ("Light per cell of the stage", _LIGHT),
        )
        if (table := figure_table(rows, columns))
    ]
    if strata := _strata_table(rows):
        parts.append(f"Flat-lit picture by skin tone (median luminance of the true one)\n{strata}")
    return "\n\n".join(parts)


def format_videos(videos: Mapping[str, VideoFigures]) -> str:
    """A table of the videos' steadiness and sharpness."""
    headings = ("video", "frames", "E_warp x 1e4", "input's", "ratio", "sharpness ratio")
    lines = [
        (
            name, str(v.frames), f"{1e4 * v.e_warp:.3f}", f"{1e4 * v.e_warp_input:.3f}",
            number(v.e_warp_ratio, 3), number(v.sharpness_ratio, 3),
        )
        for name, v in videos.items()
    ]  # fmt: skip
    return f"Video: warping error along the input's flow\n{markdown_table(headings, lines)}"


def to_json(rows: Sequence[Row]) -> list[dict]:
    """Rows in plain types: means, means per stratum, and every pair; None for what could not be measured."""
    return [
        {
            "name": row.name,
            "kind": row.kind,
            "mean": row.means(),
            "strata": {
                stratum: {"pairs": count, "mean": row.means(stratum)}
                for stratum, _ in STRATA
                if (count := sum(pair.stratum == stratum for pair in row.pairs))
            },
            "pairs": [
                {
                    "name": pair.name,
                    "stratum": pair.stratum,
                    **{name: value if math.isfinite(value) else None for name, value in pair.values.items()},
                }
                for pair in row.pairs
            ],
        }
        for row in rows
    ]


def write_json(path: Path, rows: Sequence[Row], videos: Mapping[str, VideoFigures], described: Mapping) -> None:
    """``described``: what was measured, with what settings; stands first in the file."""
    report = {
        **described,
        "rows": to_json(rows),
        "videos": {name: figures.to_json() for name, figures in videos.items()},
    }
    json_files.write_json(path, report, indent=1)


def worst_pairs(row: Row) -> list[int]:
    """Indices of the ``SHEET_ROWS`` pairs with the lowest aligned PSNR, or widest angle on the mirror, worst first."""
    figure, sign = ("srgb_psnr_db_aligned", 1) if row.mean("srgb_psnr_db_aligned") else ("mirror_angular_deg", -1)
    scores = [sign * pair.values.get(figure, math.nan) for pair in row.pairs]
    order = np.argsort(scores, kind="stable")  # NaN comes last
    return [int(index) for index in order[:SHEET_ROWS] if math.isfinite(scores[index])]


def write_contact_sheet(path: Path, method: Method, row: Row, dataset: DelitDataset) -> None:
    """The worst cases of one method: relit, flat-lit predicted and true, error, environments predicted and true."""
    pictures, labels = [], []
    for index in worst_pairs(row):
        item = dataset[index]
        answer = method.answer(dataset.pairs[index], item)
        truth, mask = _picture(item.flat_lit), item.mask[0, 0].numpy()[..., None]
        line = [_picture(item.relit)]
        if answer.flat_lit is None:
            line += [np.zeros_like(truth), truth, np.zeros_like(truth)]
        else:
            predicted = _picture(answer.flat_lit)
            line += [predicted, truth, _ERROR_GAIN * np.abs(predicted - truth) * mask]
        line = [resize_area(picture.astype(np.float32), SHEET_TILE, SHEET_TILE) for picture in line]
        true_map = None if item.known() is None else item.environment
        pictures.append([*line, _sphere_map(answer.environment), _sphere_map(true_map)])
        pair = row.pairs[index]
        figures = (
            ("PSNR", "srgb_psnr_db", "dB"),
            ("aligned", "srgb_psnr_db_aligned", "dB"),
            ("mirror", "mirror_angular_deg", "deg"),
        )
        known = [f"{n} {pair.values[f]:.1f} {unit}" for n, f, unit in figures if f in pair.values]
        labels.append(f"{method.name}: {pair.name}  {'  '.join(known)}")
    columns = [
        "relit",
        "flat-lit predicted",
        "flat-lit truth",
        f"error x {_ERROR_GAIN:g}",
        "env predicted",
        "env truth",
    ]
    write_display(path, contact_sheet(pictures, labels, columns))


def figure_table(rows: Sequence[Row], columns: Sequence[tuple[str, str, int]]) -> str | None:
    """A line per row with the means of (heading, figure, digits) columns that any row has; None where none has one."""
    shown = [column for column in columns if any(row.mean(column[1]) is not None for row in rows)]
    lines = [
        [row.name, str(len(row.pairs)), *(number(row.mean(figure), digits) for _, figure, digits in shown)]
        for row in rows
        if any(row.mean(figure) is not None for _, figure, _ in shown)
    ]
    return markdown_table(["method", "pairs", *(heading for heading, _, _ in shown)], lines) if lines else None


def _strata_table(rows: Sequence[Row]) -> str | None:
    lines = [
        [row.name, stratum, str(count), *(number(row.mean(figure, stratum), digits) for _, figure, digits in _STRATA)]
        for row in rows
        if row.mean(_STRATA[0][1]) is not None
        for stratum, _ in STRATA
        if (count := sum(pair.stratum == stratum for pair in row.pairs))
    ]
    return (
        markdown_table(["method", "tone", "pairs", *(heading for heading, _, _ in _STRATA)], lines) if lines else None
    )


def _picture(planes: Tensor) -> np.ndarray:
    return linear_to_srgb(planes[0].permute(1, 2, 0).numpy())


def _sphere_map(environment: Tensor | None) -> np.ndarray:
    """The map, at an exposure of its own, in the middle of a square tile; empty without one."""
    tile = np.ones((SHEET_TILE, SHEET_TILE, 3), np.float32)
    if environment is not None:
        height = SHEET_TILE // 2
        top = (SHEET_TILE - height) // 2
        shown = resize_environment(environment[0].permute(1, 2, 0).numpy(), height, SHEET_TILE)
        exposure = np.float32(_ENVIRONMENT_GREY / max(mean_luminance(shown), 1e-12))
        tile[top : top + height] = linear_to_srgb(shown * exposure)
    return tile
