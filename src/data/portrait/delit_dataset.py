"""The training set for delighting: relit portraits with their flat-lit picture and environment.

Check a data root: counts, ranges, missing pairs, broken files, and a contact sheet:

    python -m src.data.portrait.delit_dataset DATA_ROOT [--contact_sheet sheet.jpg]

Layout, as prepare_olat.py writes it (exr, hdr and png are all read; mask.png may be absent):

    subjects/ID001/{flat_lit.exr, mask.png, relit/env_001.exr ...}  env_maps/env_001.hdr ...  [splits.json]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
from torch import Tensor, from_numpy
from torch.utils.data import Dataset

from src.data.portrait.layout import Pair
from src.data.portrait.pair_augmentation import Sample, augment
from src.data.portrait.picture_cache import PictureCache
from src.utils.cli import InputError
from src.utils.image_io import read_linear, read_mask
from src.utils.resize import fit_square
from src.utils.sphere import resize_environment


class DelitItem(TypedDict):
    """One training pair; pictures are linear radiance."""

    relit: Tensor  # 3 x S x S
    flat_lit: Tensor  # 3 x S x S
    mask: Tensor  # 1 x S x S in [0, 1]
    environment: Tensor  # 3 x H x W
    name: str  # "ID001/env_001"


class DelitDataset(Dataset):
    """Pairs as tensors of one size.

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

    def __getitem__(self, index: int) -> DelitItem:
        sample = self.load(index)
        if self.use_augmentation:
            sample = augment(sample, np.random.default_rng([self.seed, self.epoch, index]))
        return to_item(sample, self.pairs[index].name)

    def load(self, index: int) -> Sample:
        """The pair without augmentation; InputError naming the file that cannot be used."""
        pair = self.pairs[index]
        mask = self._cache.get(pair.mask or pair.flat_lit, ("mask", self.image_size), lambda: self._mask(pair))
        relit = self._picture(pair, pair.relit)
        flat_lit = self._picture(pair, pair.flat_lit)
        environment = self._cache.get(
            pair.environment,
            ("env", *self.env_size),
            lambda: resize_environment(_checked_environment(pair.environment), *self.env_size),
        )
        return Sample(relit=relit, flat_lit=flat_lit, mask=mask, environment=environment)

    def _picture(self, pair: Pair, path: Path) -> np.ndarray:
        size = self.image_size
        return self._cache.get(
            path,
            ("square", size),
            lambda: fit_square(self._read(pair, path), size, _box(pair)),
            depends_on=[pair.mask] if pair.mask else [],
        )

    def _read(self, pair: Pair, path: Path) -> np.ndarray:
        picture = read_linear(path)
        if pair.mask is not None:
            mask_shape = read_mask(pair.mask).shape
            if picture.shape[:2] != mask_shape:
                raise InputError(
                    path,
                    f"is {picture.shape[1]} x {picture.shape[0]}, its mask {mask_shape[1]} x {mask_shape[0]}",
                    "prepare this subject again",
                )
        return picture

    def _mask(self, pair: Pair) -> np.ndarray:
        if pair.mask is None:
            return np.ones((self.image_size, self.image_size), np.float32)
        return fit_square(read_mask(pair.mask), self.image_size, _box(pair))


def to_item(sample: Sample, name: str) -> DelitItem:
    """Tensors, channels first."""
    return DelitItem(
        relit=_planes(sample.relit),
        flat_lit=_planes(sample.flat_lit),
        mask=from_numpy(np.ascontiguousarray(sample.mask, np.float32))[None],
        environment=_planes(sample.environment),
        name=name,
    )


def _planes(picture: np.ndarray) -> Tensor:
    return from_numpy(np.ascontiguousarray(np.moveaxis(picture, 2, 0), np.float32))


def _checked_environment(path: Path) -> np.ndarray:
    environment = read_linear(path)
    if environment.shape[1] != 2 * environment.shape[0]:
        raise InputError(
            path,
            f"is {environment.shape[1]} x {environment.shape[0]}",
            "an equirectangular environment is twice as wide as high",
        )
    return environment.clip(0, None)


def _box(pair: Pair) -> np.ndarray | None:
    return None if pair.mask is None else read_mask(pair.mask)


if __name__ == "__main__":
    from src.data.portrait.check import main

    sys.exit(main())
