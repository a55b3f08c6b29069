"""Decoded and resized pictures kept on disk as half floats, mapped into memory on later reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from src.utils.content_hash import combined_hash, file_stamp
from src.utils.npy_files import write_npy

_HALF_MAX = 65504.0


class PictureCache:
    """``get`` makes a picture once; without a folder it is made every time.

    An entry belongs to the full path, size and times of ``source`` and of all other files in ``depends_on``,
    and to a key that says what was done to them, so that a changed file is never served from the cache. Values beyond
    +-65504 are clamped.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def get(
        self, source: Path, key: tuple, make: Callable[[], np.ndarray], depends_on: Sequence[Path] = ()
    ) -> np.ndarray:
        """The float32 array that ``make`` gives for ``source``."""
        return make() if self.folder is None else self.map(source, key, make, depends_on).astype(np.float32)

    def map(
        self, source: Path, key: tuple, make: Callable[[], np.ndarray], depends_on: Sequence[Path] = ()
    ) -> np.ndarray:
        """The same as float16, read-only and mapped: large stacks take no memory of their own. Needs a folder."""
        if self.folder is None:
            raise ValueError("mapping needs a cache folder")
        files = [(str(path.resolve()), file_stamp(path)) for path in (source, *depends_on)]
        path = self.folder / f"{combined_hash([files, key])}.npy"
        if not path.exists():
            array = make().clip(-_HALF_MAX, _HALF_MAX).astype(np.float16, copy=False)
            write_npy(path, array.shape, "<f2", [array])
        return np.load(path, mmap_mode="r", allow_pickle=False)
