"""Truth for light that was never rendered: sums of the light stage's OLATs, for environments turned about +Y."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from src.data.portrait.layout import Pair
from src.data.portrait.olat_stacks import read_planes
from src.data.portrait.relit_batches import RelitBatch
from src.data.stage.captures import Stage
from src.data.stage.olat import LightCells
from src.utils.color import luminance
from src.utils.image_io import read_mask
from src.utils.sphere import rotate_environment_y

TURNS = 8  # a full turn's; pairs get one after another, so that every seventh has the same


class StagePictures:
    """The OLATs of ``pairs``' subjects at the size that is asked for, one subject in memory at a time."""

    def __init__(self, stage: Stage, pairs: list[Pair]) -> None:
        self._stage = stage
        self._captures = {capture.name: capture for capture in stage.captures}
        self._cells = {name: LightCells(lights, stage.settings.weights) for name, lights in stage.light_sets.items()}
        self._masks: dict[str, Path | None] = {pair.subject: pair.mask for pair in pairs}
        self._olats = lru_cache(maxsize=1)(self._read)

    def __contains__(self, subject: str) -> bool:
        return subject in self._captures

    def turned_for(self, item: RelitBatch, index: int) -> RelitBatch | None:
        """The ``index``-th item in its light turned by one of :data:`TURNS` steps; None where there are no OLATs."""
        degrees = 360.0 / TURNS * (1 + index % (TURNS - 1))
        return self.turned(item, degrees) if item.name[0].partition("/")[0] in self else None

    def turned(self, item: RelitBatch, degrees: float) -> RelitBatch:
        """The item in its light turned by ``degrees``, as the OLATs show it."""
        subject, size = item.name[0].partition("/")[0], item.mask.shape[-1]
        environment = item.environment[0, 0].permute(1, 2, 0).numpy()
        turned = np.ascontiguousarray(rotate_environment_y(environment, degrees))
        light = self._cells[self._captures[subject].light_set].integrate(turned)
        planes = np.einsum("clp,lc->cp", self._olats(subject, size), light).reshape(3, size, size)
        return replace(
            item,
            environment=torch.from_numpy(turned.transpose(2, 0, 1).copy())[None, None],
            relit=torch.from_numpy(planes).float()[None, None].clamp_min(0) * item.mask[:, None],
        )

    def normals(self, subject: str, size: int) -> np.ndarray:
        """S x S x 3 unit normals of a subject: the mean direction that its light comes from."""
        cells = self._cells[self._captures[subject].light_set]
        weights = cells.solid_angles()[:, None] * cells.directions  # L x 3
        brightness = luminance(np.moveaxis(self._olats(subject, size), 0, -1))  # L x P
        normals = brightness.T @ weights + [0.0, 0.0, 1e-9]
        return (normals / np.linalg.norm(normals, axis=1, keepdims=True)).reshape(size, size, 3)

    def _read(self, subject: str, size: int) -> np.ndarray:
        mask = self._masks[subject]
        whole = None if mask is None else read_mask(mask)
        planes = read_planes(self._captures[subject], size, self._stage.settings.transfer, whole)
        return planes * np.float32(self._stage.settings.exposure)
