"""Arrays as .npy files, written part by part, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from src.utils.atomic import atomic_path


def write_npy(path: Path, shape: tuple[int, ...], dtype: str, parts: Iterable[np.ndarray]) -> None:
    """Write an array of ``shape`` whose values, row-major, are those of ``parts`` one after another.

    ``np.save`` would tell of a full disk only that too few bytes were written: here it is the system's OSError.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype).data)
