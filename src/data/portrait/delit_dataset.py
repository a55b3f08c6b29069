"""The training set for delighting: relit portraits with their flat-lit picture and environment.

Check a data root: counts, ranges, missing pairs, broken files, and a contact sheet:

    python -m src.data.portrait.delit_dataset DATA_ROOT [--contact_sheet sheet.jpg]

Layout, as prepare_olat.py writes it (exr, hdr and png are all read; mask.png may be absent):

    subjects/ID001/{flat_lit.exr, mask.png, relit/env_001.exr ...}  env_maps/env_001.hdr ...  [splits.json]

A subject whose pictures are called like no environment map goes without: its pairs teach the flat-lit picture alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from src.data.portrait.layout import Pair
from src.data.portrait.pair_augmentation import augment
from src.data.portrait.pair_batch import PairBatch, PairPictures
from src.data.portrait.picture_cache import PictureCache
from src.data.stage.environments import read_environment
from src.utils.cli import InputError
from src.utils.image_io import read_linear, read_mask
from src.utils.resize import fit_square
from src.utils.sphere import resize_environment


class DelitDataset(Dataset):
    """Pairs as tensors of one size; an item is a :class:`PairBatch` of one.

    ``image_size`` S: pictures are cropped to the square about the person and area-filtered to S x S; environments are
    resized with their energy kept. ``cache_dir``: resized pictures are kept there as half floats and mapped on later
    reads. ``augmentation``: see :mod:`src.data.portrait.pair_augmentation`; a function of ``(seed, epoch, index)``
    alone, so call :meth:`set_epoch` before each epoch.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        image_size: int = 512,
        env_height: int = 128,
        env_width: int = 256,
        use_augmentation: bool = False,
        cache_dir: Path | None = None,
        seed: int = 0,
    ) -> None:
        self.pairs = list(pairs)
        self.image_size, self.env_size = image_size, (env_height, env_width)
        self.use_augmentation, self.seed, self.epoch = use_augmentation, seed, 0
        self._cache = PictureCache(cache_dir)

    def set_epoch(self, epoch: int) -> None:
        """Randomness is a function of this number, never of what was read before."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> PairBatch:
        """A batch of one, augmented where that is asked for."""
        pictures = self.load(index)
        if self.use_augmentation:
            pictures = augment(pictures, np.random.default_rng([self.seed, self.epoch, index]))
        return pictures.to_batch(self.pairs[index].name)

    def load(self, index: int) -> PairPictures:
        """The pair without augmentation; InputError naming the file that cannot be used."""
        pair = self.pairs[index]
        files = _Files(pair)
        return PairPictures(
            relit=self._square(pair, pair.relit, files.picture),
            flat_lit=self._square(pair, pair.flat_lit, files.picture),
            mask=self._mask(pair, files),
            environment=self._environment(pair.environment),
            has_environment=pair.environment is not None,
        )

    def _environment(self, path: Path | None) -> np.ndarray:
        """h x w x 3; black where it is unknown."""
        if path is None:
            return np.zeros((*self.env_size, 3), np.float32)
        key = ("env", *self.env_size)
        return self._cache.get(path, key, lambda: resize_environment(read_environment(path), *self.env_size))

    def _square(self, pair: Pair, path: Path, read: Callable[[Path, int], np.ndarray]) -> np.ndarray:
        size = self.image_size
        depends_on = [pair.mask] if pair.mask else []
        return self._cache.get(path, ("square", size), lambda: read(path, size), depends_on=depends_on)

    def _mask(self, pair: Pair, files: _Files) -> np.ndarray:
        size = self.image_size
        if pair.mask is None:
            return np.ones((size, size), np.float32)

        def read() -> np.ndarray:
            assert files.mask is not None, "the pair has one"
            return fit_square(files.mask, size, files.mask)

        return self._cache.get(pair.mask, ("mask", size), read)


class _Files:
    """The files of a pair. Its mask is decoded once, and only when something has to be cut by it."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair

    @cached_property
    def mask(self) -> np.ndarray | None:
        """H x W in [0, 1]; None where there is no file."""
        return None if self._pair.mask is None else read_mask(self._pair.mask)

    def picture(self, path: Path, size: int) -> np.ndarray:
        """The square about the person, size x size x 3. InputError unless the picture has the mask's size."""
        picture = read_linear(path)
        if self.mask is not None and picture.shape[:2] != self.mask.shape:
            (height, width), (rows, columns) = picture.shape[:2], self.mask.shape
            problem = f"is {width} x {height}, its mask {columns} x {rows}"
            raise InputError(path, problem, "prepare this subject again")
        return fit_square(picture, size, self.mask)


if __name__ == "__main__":
    from src.data.portrait.check import main

    sys.exit(main())
