"""The OLATs of a light stage at training size, as tensors that whole batches are relit from."""

from __future__ import annotations

from collections.abc import Sequence

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

    Pictures are cut to the square about the person, reduced by area averaging and kept in ``cache`` as half floats;
    transfer, weights and exposure are those of ``stage.settings``. OLATs stay on ``device`` when they take at most
    ``max_bytes`` there, else they are mapped from the cache. A capture needs a mask: behind it the environment is put.
    """

    def __init__(
        self,
        stage: Stage,
        cache: PictureCache,
        image_size: int,
        device: torch.device,
        max_bytes: float = RESIDENT_BYTES,
        show_progress: bool = False,
    ) -> None:
        if not stage.captures:
            raise InputError("--olat_root", "no captures to train on", "hold out fewer subjects, or give more")
        from tqdm import tqdm

        self.stage, self.device, self.image_size = stage, device, image_size
        self.cells = {name: LightCells(lights, stage.settings.weights) for name, lights in stage.light_sets.items()}
        self._cache = cache
        stacks, masks = [], []
        for capture in tqdm(stage.captures, "reading OLATs", unit="subject", disable=not show_progress):
            whole_mask = _whole_mask(capture)
            stacks.append(self._load(capture, whole_mask))
            masks.append(fit_square(whole_mask, self.image_size, whole_mask))
        # A GPU multiplies half floats into what it needs; a CPU would convert them again for every batch.
        dtype = torch.float16 if device.type == "cuda" else torch.float32
        self.size_bytes = sum(stack.size for stack in stacks) * dtype.itemsize
        self.is_resident = self.size_bytes <= max_bytes
        self._olats: Sequence[Tensor | np.ndarray] = stacks
        if self.is_resident:
            self._olats = [torch.from_numpy(np.array(stack)).to(device, dtype) for stack in stacks]
        self.masks = torch.from_numpy(np.stack(masks))[:, None].to(device)  # K x 1 x S x S
        flat = []
        for k, capture in enumerate(stage.captures):
            solid_angles = torch.from_numpy(self.cells[capture.light_set].solid_angles()).float()
            solid_angles = solid_angles * stage.settings.exposure
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
        """Capture ``k`` with OLATs times the coefficients (n x 3 x L): n x 3 x S x S linear radiance."""
        pictures = torch.bmm(coefficients.transpose(0, 1), self.olats(k))  # 3 x n x S*S
        return pictures.transpose(0, 1).unflatten(2, (self.image_size, self.image_size))

    def light_matrices(self, height: int, width: int) -> list[Tensor]:
        """For each capture, L x (height * width): what OLATs are multiplied by under an environment E is matrix @ E.

        That is ``c_l`` times the exposure; float32 on the device. Captures of one light set have the same tensor.
        """
        sets = dict.fromkeys(capture.light_set for capture in self.stage.captures)
        exposure = np.float32(self.stage.settings.exposure)
        matrices = {
            name: torch.from_numpy(self.cells[name].matrix(height, width) * exposure).to(self.device) for name in sets
        }
        return [matrices[capture.light_set] for capture in self.stage.captures]

    def _load(self, capture: Capture, whole_mask: np.ndarray) -> np.ndarray:
        size, transfer = self.image_size, self.stage.settings.transfer
        return self._cache.map(
            capture.images[0],
            ("olats", size, transfer),
            lambda: read_planes(capture, size, transfer, whole_mask),
            depends_on=[*capture.images[1:], *([capture.mask] if capture.mask else [])],
        )


def _whole_mask(capture: Capture) -> np.ndarray:
    if capture.mask is None:
        raise InputError(capture.images[0].parent, "has no mask.png", "relighting puts a background behind masks")
    return read_mask(capture.mask)


def read_planes(
    capture: Capture, size: int, transfer: str = "srgb", whole_mask: np.ndarray | None = None
) -> np.ndarray:
    """``(3, L, size * size)`` float32: the capture's OLATs cut and reduced as :func:`fit_square` does.

    A mask of fewer rows is that of pictures that were prepared smaller: then the OLATs are reduced as those were.
    """
    rows = None if whole_mask is None else whole_mask.shape[0]
    planes = np.empty((3, len(capture.images), size * size), np.float32)
    for light, path in enumerate(capture.images):
        planes[:, light] = fit_square(read_picture(path, transfer, rows), size, whole_mask).reshape(-1, 3).T
    return planes
