"""The OLATs of a light stage at training size, as tensors that whole batches are relit from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from src.data.portrait.picture_cache import PictureCache
from src.data.stage.captures import Capture, Stage, read_picture
from src.data.stage.olat import LightCells
from src.utils.cli import InputError
from src.utils.image_io import read_mask
from src.utils.resize import fit_square

RESIDENT_BYTES = 4 * 2**30  # OLATs up to this size stay on the device; larger sets are mapped from the cache


class OlatStacks:
    """For each capture ``k`` of ``stage``: its OLATs at S x S, its mask, and its flat-lit picture.

    Pictures are cut to the square about the person, reduced by area averaging and kept in ``cache_dir`` as half floats.
    A capture needs a mask: behind it the environment is put.
    """

    def __init__(
        self,
        stage: Stage,
        cache_dir: Path,
        image_size: int,
        device: torch.device,
        weights: str = "smooth",
        transfer: str = "srgb",
    ) -> None:
        if not stage.captures:
            raise InputError("--olat_root", "no captures to train on", "hold out fewer subjects, or give more")
        self.stage, self.image_size, self.device = stage, image_size, device
        self.cells = {name: LightCells(directions, weights) for name, directions in stage.light_sets.items()}
        self._cache, self._transfer = PictureCache(cache_dir), transfer
        stacks = [self._load(capture) for capture in stage.captures]
        # A GPU multiplies half floats into what it needs; a CPU would convert them again for every batch.
        dtype = torch.float16 if device.type == "cuda" else torch.float32
        total = sum(stack.size for stack in stacks) * dtype.itemsize
        self._olats: Sequence[Tensor | np.ndarray] = stacks
        if total <= RESIDENT_BYTES:
            self._olats = [torch.from_numpy(np.array(stack)).to(device, dtype) for stack in stacks]
        masks = np.stack([self._mask(capture) for capture in stage.captures])
        self.masks = torch.from_numpy(masks)[:, None].to(device)  # K x 1 x S x S
        flat = []
        for k, capture in enumerate(stage.captures):
            solid_angles = torch.from_numpy(self.cells[capture.light_set].solid_angles()).float()
            flat.append(self.relight(k, solid_angles.expand(1, 3, -1).to(device)))
        self.flat_lit = torch.cat(flat)  # K x 3 x S x S

    def __len__(self) -> int:
        return len(self.stage.captures)

    def olats(self, k: int) -> Tensor:
        """3 x L x S*S of capture ``k``, float32 on the device."""
        stack = self._olats[k]
        if isinstance(stack, np.ndarray):
            stack = torch.from_numpy(np.array(stack)).to(self.device)
        return stack.float()

    def relight(self, k: int, coefficients: Tensor) -> Tensor:
        """Capture ``k`` under n lights ``c_l`` (n x 3 x L): n x 3 x S x S linear radiance."""
        pictures = torch.bmm(coefficients.transpose(0, 1), self.olats(k))  # 3 x n x S*S
        return pictures.transpose(0, 1).unflatten(2, (self.image_size, self.image_size))

    def light_matrix(self, k: int, height: int, width: int) -> Tensor:
        """L x (height * width) with ``c_l = matrix @ E``, float32 on the device."""
        return torch.from_numpy(self.cells[self.stage.captures[k].light_set].matrix(height, width)).to(self.device)

    def _load(self, capture: Capture) -> np.ndarray:
        size, transfer = self.image_size, self._transfer
        return self._cache.map(
            capture.images[0],
            ("olats", size, transfer),
            lambda: read_planes(capture, size, transfer, self._whole_mask(capture)),
            depends_on=[*capture.images[1:], *([capture.mask] if capture.mask else [])],
        )

    def _mask(self, capture: Capture) -> np.ndarray:
        whole = self._whole_mask(capture)
        return fit_square(whole, self.image_size, whole)

    @staticmethod
    def _whole_mask(capture: Capture) -> np.ndarray:
        if capture.mask is None:
            raise InputError(capture.images[0].parent, "has no mask.png", "relighting puts a background behind masks")
        return read_mask(capture.mask)


def read_planes(
    capture: Capture, size: int, transfer: str = "srgb", whole_mask: np.ndarray | None = None
) -> np.ndarray:
    """``(3, L, size * size)`` float32: the capture's OLATs cut and reduced as :func:`fit_square` does."""
    planes = np.empty((3, len(capture.images), size * size), np.float32)
    for light, path in enumerate(capture.images):
        planes[:, light] = fit_square(read_picture(path, transfer), size, whole_mask).reshape(-1, 3).T
    return planes
