"""Measured relighting as tables and as a contact sheet of the worst cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.relit_batches import of_pair
from src.evaluation.delit.quality import STRATA, Row
from src.evaluation.delit.report import figure_table
from src.evaluation.relit.methods import Method
from src.evaluation.relit.metrics import EXPOSED_TO, best_exposure
from src.evaluation.table import markdown_table, number
from src.utils.color import linear_to_srgb, luminance
from src.utils.contact_sheet import contact_sheet
from src.utils.image_io import write_display
from src.utils.resize import resize_area

# (heading, figure, digits) of each table
_PICTURES = (
    ("PSNR dB", "psnr_db", 2),
    ("SSIM", "ssim", 4),
    ("LPIPS", "lpips", 4),
    ("as is", "psnr_db_as_is", 2),
    ("turned PSNR dB", "turned_psnr_db", 2),
    ("SSIM", "turned_ssim", 4),
)
_PHYSICS = tuple((f"{name} error", f"{name}_error", 7) for name in ("linearity", "exposure", "white", "mirror"))
_CYCLE = (
    ("flat-lit PSNR dB, aligned", "cycle_psnr_db_aligned", 2),
    ("diffuse deg", "cycle_diffuse_angular_deg", 2),
    ("peak deg", "cycle_peak_angle_deg", 1),
)
SHEET_ROWS, SHEET_TILE = 8, 160


def format_tables(rows: Sequence[Row]) -> str:
    """Tables of relit pictures, of what light does, of the circle with delighting, and of pictures by skin tone."""
    titles = (
        (
            "Relit picture within the mask, sRGB at the best exposure (turned: in turned light, by OLATs)",
            _PICTURES,
        ),
        ("Relative errors of what light does", _PHYSICS),
        ("Relit and delighted again", _CYCLE),
    )
    parts = [f"{title}\n{table}" for title, columns in titles if (table := figure_table(rows, columns))]
    lines = [
        [row.name, stratum, str(count), number(row.mean("psnr_db", stratum), 2), number(row.mean("ssim", stratum), 4)]
        for row in rows
        for stratum, _ in STRATA
        if (count := sum(pair.stratum == stratum for pair in row.pairs))
    ]
    tones = markdown_table(["method", "tone", "pairs", "PSNR dB", "SSIM"], lines)
    return "\n\n".join([*parts, f"Relit picture by skin tone (median luminance of flat-lit)\n{tones}"])


def write_contact_sheet(path: Path, methods: Sequence[Method], row: Row, dataset: DelitDataset) -> None:
    """The first method's worst cases: flat-lit, the truth, and what every method answers, each at its best exposure."""
    order = np.argsort([pair.values["psnr_db"] for pair in row.pairs], kind="stable")[:SHEET_ROWS]
    pictures, labels = [], []
    for index in order.tolist():
        item = of_pair(dataset[index])
        truth, mask = item.relit[:, 0], item.mask
        exposure = EXPOSED_TO * mask.sum() / (luminance(truth) * mask[:, 0]).sum().clamp_min(1e-9)
        shown = linear_to_srgb(truth * exposure)
        line = [linear_to_srgb(item.flat_lit), shown]
        for method in methods:
            answer = method.answer(item) * mask * exposure
            stops = best_exposure(answer, shown, mask, answer.new_zeros(1))
            line.append(linear_to_srgb(answer * 2.0 ** float(stops)))
        tiles = [planes[0].permute(1, 2, 0).numpy() for planes in line]
        pictures.append([resize_area(tile, SHEET_TILE, SHEET_TILE) for tile in tiles])
        pair = row.pairs[index]
        labels.append(f"{pair.name}  PSNR {pair.values['psnr_db']:.1f} dB")
    write_display(path, contact_sheet(pictures, labels, ["flat-lit", "truth", *(method.name for method in methods)]))
