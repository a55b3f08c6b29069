"""The files that engines read, of either way to store a day: their names, the latent map, and what they weigh."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from src.utils.npy_files import write_npy

BUNDLE = "day.tod"
LATENT_MAP = "latent_map.npy"
F2_WEIGHTS = "f2_state_dict.pt"
F2_TORCHSCRIPT = "f2_ts.pt"
F2_PROGRAM = "f2.pt2"
F2_ONNX = "f2.onnx"
F2_ONNX_AT_HOUR = "f2_at_hour.onnx"
F2_CONFIG = "f2_config.json"


def write_latent_map(path: Path, shape: tuple[int, int, int], parts: Iterable[np.ndarray]) -> None:
    """Write an H x W x latent_dim float32 .npy of ``parts`` (M x latent_dim each, row-major), atomically."""
    write_npy(path, shape, "<f4", parts)


def describe_sizes(source_bytes: int, values: int, exports: Sequence[Path], is_radiance: bool = False) -> str:
    """One clause that sets the exported files beside the images, of so many ``values``, that they stand for."""
    parts = [f"{path.name} {_megabytes(path.stat().st_size)}" for path in exports]
    raw = f"{_megabytes(2 * values)} as half-float RGB" if is_radiance else f"{_megabytes(values)} as 8-bit RGB"
    images = f"{_megabytes(source_bytes)} of images ({raw})"
    return f"{', '.join(parts)} for {images}" if parts else f"trained on {images}"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.3g} MB"
