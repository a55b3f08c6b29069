"""Pairs of a lit and a flat-lit portrait, with the light that makes the difference: one as pictures, N as a batch.

Everything is linear float32 radiance. Losses may import these types; where the pairs come from is not their business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

Record = TypeVar("Record", bound="PairBatch | OtherLight | StageView")


@dataclass(frozen=True)
class PairPictures:
    """One pair in numpy, as it is read from files and augmented."""

    relit: np.ndarray  # S x S x 3
    flat_lit: np.ndarray  # S x S x 3
    mask: np.ndarray  # S x S in [0, 1]
    environment: np.ndarray  # h x w x 3
    has_environment: bool = True  # or it is unknown, and ``environment`` black

    def to_batch(self, name: str) -> PairBatch:
        """A batch of one, on the CPU."""
        return PairBatch(
            relit=_planes(self.relit),
            flat_lit=_planes(self.flat_lit),
            mask=_planes(self.mask[..., None]),
            environment=_planes(self.environment),
            name=[name],
            has_environment=None if self.has_environment else torch.zeros(1, dtype=torch.bool),
        )


@dataclass(frozen=True)
class OtherLight:
    """What is known of a batch's first n subjects under a second light."""

    environment: Tensor  # n x 3 x h x w
    shading: Tensor  # n x 3 x S x S: lit over flat-lit under it


@dataclass(frozen=True)
class StageView:
    """A batch's first n subjects on the light stage, as captured: how to light them with any environment.

    Subjects of stages with fewer than L lights have black pictures and rows of zeros for the rest.
    """

    olats: Tensor  # n x L x 3 x s x s: under one light at a time
    mask: Tensor  # n x 1 x s x s in [0, 1]
    light_matrix: Tensor  # n x L x (h * w): environment in the stage's frame -> each light's share of it
    to_stage: Tensor  # n x h x w x 2: what src.utils.sphere_torch.sample takes environments to the stage's frame by

    def select(self, at: Tensor) -> StageView:
        """The subjects of the indices ``at``."""
        return _of_tensors(self, lambda tensor: tensor[at])


@dataclass(frozen=True)
class PairBatch:
    """N pairs as tensors, all on one device. ``other`` and ``stage`` come with batches that are relit on the fly."""

    relit: Tensor  # N x 3 x S x S
    flat_lit: Tensor  # N x 3 x S x S
    mask: Tensor  # N x 1 x S x S in [0, 1]
    environment: Tensor  # N x 3 x h x w
    name: list[str]  # "ID001/env_001"
    other: OtherLight | None = None
    stage: StageView | None = None
    has_environment: Tensor | None = None  # N bool: where ``environment`` is known; None: everywhere

    def __len__(self) -> int:
        return len(self.relit)

    def to(self, device: torch.device | str) -> PairBatch:
        """The batch on ``device``; pinned memory is copied while other work goes on."""
        return _of_tensors(self, lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> PairBatch:
        """The batch in memory that a GPU copies from by itself."""
        return _of_tensors(self, Tensor.pin_memory)

    def select(self, indices: Sequence[int]) -> PairBatch:
        """The pairs of ``indices`` in that order, without ``other`` and ``stage``."""
        at = torch.as_tensor(indices, dtype=torch.long, device=self.relit.device)
        pairs = replace(self, other=None, stage=None, name=[self.name[index] for index in indices])
        return _of_tensors(pairs, lambda tensor: tensor[at])

    def known(self) -> PairBatch | None:
        """The pairs whose environment is known, without ``other`` and ``stage``; None where there is none."""
        if self.has_environment is None:
            return self
        indices = self.has_environment.nonzero().flatten().tolist()
        return replace(self.select(indices), has_environment=None) if indices else None


def join_known(batches: Sequence[PairBatch]) -> Tensor | None:
    """``has_environment`` of several batches one after another."""
    if all(batch.has_environment is None for batch in batches):
        return None
    marks = (batch.has_environment for batch in batches)
    return torch.cat(
        [
            batch.relit.new_ones(len(batch), dtype=torch.bool) if mark is None else mark
            for batch, mark in zip(batches, marks, strict=True)
        ]
    )


def concatenate(batches: Sequence[PairBatch]) -> PairBatch:
    """One batch of several, without their ``other`` and ``stage``; what a ``DataLoader`` collates items by."""
    # Through PyTorch's own collating, which writes to shared memory at once where a worker process runs it.
    from torch.utils.data import default_collate

    tensors = {
        name: default_collate([row for batch in batches for row in getattr(batch, name)])
        for name in ("relit", "flat_lit", "mask", "environment")
    }
    names = [name for batch in batches for name in batch.name]
    return PairBatch(**tensors, name=names, has_environment=join_known(batches))


def _of_tensors(record: Record, change: Callable[[Tensor], Tensor]) -> Record:
    """The record with every tensor changed, those of records within it too."""
    changed: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, Tensor):
            changed[field.name] = change(value)
        elif isinstance(value, OtherLight | StageView):
            changed[field.name] = _of_tensors(value, change)
    return replace(record, **changed)


def _planes(picture: np.ndarray) -> Tensor:
    """H x W x C -> 1 x C x H x W."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(picture, 2, 0), np.float32))[None]
