"""Pictures side by side with labels: what a person looks at to judge a result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MARGIN = 4  # pixels between pictures
LABEL_HEIGHT = 18
PAPER = 1.0  # white


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]], row_labels: Sequence[str] = (), column_labels: Sequence[str] = ()
) -> np.ndarray:
    """Rows of equally large pictures (H x W x 3, display values) -> one picture, H' x W' x 3 float32 in [0, 1].

    Column labels stand above, row labels on the upper left of each row's first picture's own strip.
    """
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    strip = LABEL_HEIGHT if len(row_labels) else 0
    top = LABEL_HEIGHT if len(column_labels) else 0
    row_height = strip + height + MARGIN
    sheet = np.full((top + len(rows) * row_height + MARGIN, columns * (width + MARGIN) + MARGIN, 3), PAPER, np.float32)
    labels = [(MARGIN + c * (width + MARGIN), 2, text) for c, text in enumerate(column_labels)]
    labels += [(MARGIN, top + r * row_height + 2, text) for r, text in enumerate(row_labels)]
    for r, row in enumerate(rows):
        y = top + r * row_height + strip + (0 if strip else MARGIN)
        for c, picture in enumerate(row):
            x = MARGIN + c * (width + MARGIN)
            sheet[y : y + height, x : x + width] = np.clip(picture, 0.0, 1.0)
    _write_labels(sheet, labels)
    return sheet


def comparison_sheet(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], labels: Sequence[str], error_gain: float = 8.0
) -> np.ndarray:
    """(truth, reconstruction) pairs in display values -> rows of truth, reconstruction and absolute error."""
    rows = [(truth, predicted, error_gain * np.abs(truth - predicted)) for truth, predicted in pairs]
    return contact_sheet(rows, labels, ["truth", "reconstruction", f"error x {error_gain:g}"])


def _write_labels(sheet: np.ndarray, labels: Sequence[tuple[int, int, str]]) -> None:
    """Write each text into its strip of ``sheet``, at (x, y)."""
    if not labels:
        return
    from PIL import Image, ImageDraw

    for x, y, text in labels:
        strip = sheet[y : y + LABEL_HEIGHT - 2, x:]
        image = Image.new("L", (strip.shape[1], strip.shape[0]), 255)
        ImageDraw.Draw(image).text((0, 0), text, fill=0)
        np.minimum(strip, np.asarray(image, np.float32)[..., None] / 255.0, out=strip)
