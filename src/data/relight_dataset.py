"""Relighting on the fly: every training sample is a subject under light that it has never been seen in.

A subject's OLATs stay in memory-mapped half floats; a sample's light is a random environment, or a mixture of two,
turned about +Y, at a random exposure, and its picture the product of ``c_l`` ``(3, L)`` with those OLATs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from src.data.captures import Capture, Stage, read_picture
from src.data.delit_augmentation import Sample, augment
from src.data.delit_dataset import DelitItem, fit_square, to_item
from src.data.environments import read_environment
from src.data.olat import LightCells
from src.data.picture_cache import PictureCache
from src.data.training_set import put_before
from src.utils.cli import InputError
from src.utils.image_io import read_mask
from src.utils.sphere import resize_environment, rotate_environment_y


class OlatStack(NamedTuple):
    """One subject at training size."""

    olats: np.ndarray  # (3, L, S * S) float16
    mask: np.ndarray  # (S, S) float32
    flat_lit: np.ndarray  # (S, S, 3) float32

    def relight(self, coefficients: np.ndarray) -> np.ndarray:
        """``(S, S, 3)`` float32 under light ``c_l`` ``(L, 3)``."""
        size = self.mask.shape[0]
        weights = torch.from_numpy(np.ascontiguousarray(coefficients.T[:, None], np.float32))
        planes = torch.from_numpy(self.olats.astype(np.float32))
        return torch.bmm(weights, planes)[:, 0].T.reshape(size, size, 3).numpy()


class RelightDataset(Dataset):
    """``length`` samples an epoch, each a function of ``(seed, epoch, index)`` alone.

    ``environments``: files whose light is drawn from. ``background``: put the environment behind the person, through a
    camera of ``fov_degrees``. Captures need masks for that.
    """

    def __init__(
        self,
        stage: Stage,
        environments: Sequence[Path],
        cache_dir: Path,
        *,
        image_size: int = 512,
        env_height: int = 128,
        env_width: int = 256,
        length: int = 1000,
        weights: str = "smooth",
        transfer: str = "srgb",
        background: bool = True,
        fov_degrees: float = 30.0,
        use_augmentation: bool = True,
        seed: int = 0,
    ) -> None:
        if not stage.captures or not environments:
            raise InputError("relighting on the fly", "needs captures and environments", "check their folders")
        self.stage, self.environments = stage, list(environments)
        self.image_size, self.env_size, self.length = image_size, (env_height, env_width), length
        self.transfer, self.background, self.fov_degrees = transfer, background, fov_degrees
        self.use_augmentation, self.seed, self.epoch = use_augmentation, seed, 0
        self.cells = {name: LightCells(directions, weights) for name, directions in stage.light_sets.items()}
        self._cache = PictureCache(cache_dir)

    def set_epoch(self, epoch: int) -> None:
        """Randomness is a function of this number, never of what was read before."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> DelitItem:
        rng = np.random.default_rng([self.seed, self.epoch, index])
        capture = self.stage.captures[int(rng.integers(len(self.stage.captures)))]
        environment, name = self.sample_environment(rng)
        stack = self.stack(capture)
        relit = stack.relight(self.cells[capture.light_set].integrate(environment))
        if self.background:
            relit = put_before(environment, relit, stack.mask, self.fov_degrees)
        sample = Sample(relit, stack.flat_lit, stack.mask, environment)
        if self.use_augmentation:
            sample = augment(sample, rng)
        return to_item(sample, f"{capture.name}/{name}")

    def sample_environment(self, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        """(random radiance map of the training size, the names it came from)."""
        first = int(rng.integers(len(self.environments)))
        environment = self._turned(first, rng)
        name = self.environments[first].stem
        if rng.uniform() < 0.3:
            second, share = int(rng.integers(len(self.environments))), np.float32(rng.uniform(0.1, 0.9))
            environment = (1 - share) * environment + share * self._turned(second, rng)
            name += f"+{self.environments[second].stem}"
        return environment, name

    def _turned(self, index: int, rng: np.random.Generator) -> np.ndarray:
        path = self.environments[index]
        environment = self._cache.get(
            path, ("env", *self.env_size), lambda: resize_environment(read_environment(path), *self.env_size)
        )
        return rotate_environment_y(environment, float(rng.uniform(0, 360)))

    def stack(self, capture: Capture) -> OlatStack:
        """The capture's OLATs, mask and flat-lit picture at training size, from the cache after the first time."""
        size = self.image_size
        mask = np.ones((size, size), np.float32)
        whole = None
        if capture.mask is not None:
            whole = read_mask(capture.mask)
            mask = fit_square(whole, size, whole)
        elif self.background:
            raise InputError(capture.images[0].parent, "has no mask.png", "give one, or train without background")

        def read_all() -> np.ndarray:
            return read_planes(capture, size, self.transfer, whole)

        olats = self._cache.map(capture.images[0], ("olats", size, len(capture.images), self.transfer), read_all)
        cells = self.cells[capture.light_set]
        stack = OlatStack(olats, mask, np.empty(0))
        flat = np.repeat(cells.solid_angles()[:, None], 3, axis=1)
        flat_lit = self._cache.get(
            capture.images[0], ("flat", size, cells.weights, self.transfer), lambda: stack.relight(flat)
        )
        return stack._replace(flat_lit=flat_lit)


def read_planes(capture: Capture, size: int, transfer: str = "srgb", whole_mask: np.ndarray | None = None) -> np.ndarray:
    """``(3, L, size * size)`` float16: the capture's OLATs cut and reduced as :func:`fit_square` does."""
    planes = np.empty((3, len(capture.images), size * size), np.float16)
    for light, path in enumerate(capture.images):
        picture = fit_square(read_picture(path, transfer), size, whole_mask)
        planes[:, light] = picture.reshape(-1, 3).T.clip(-65504, 65504)
    return planes
