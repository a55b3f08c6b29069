"""Shuffled blocks of texels: batches of which the i-th of an epoch depends on seed, epoch and i alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from src.utils.seeding import generator


class BlockBatch(NamedTuple):
    """M blocks and their N valid texels."""

    rows: Tensor  # M x K int64: texels of each block; its first one again in the slots that are not valid
    count: Tensor  # type: ignore[assignment]  # M int64: how many are valid; nobody counts in the tuple
    texels: Tensor  # N int64: the valid ones
    slots: Tensor  # N int64: where each of them stands in ``rows``, counted row by row


class BlockBatches:
    """``per_batch`` of the blocks at a time, without replacement within an epoch.

    The few blocks that fill no batch wait for another epoch's order.
    """

    def __init__(self, texels: Tensor, count: Tensor, per_batch: int, seed: int, device: torch.device) -> None:
        """``texels`` B x K: those of each block, of which the first ``count`` B are valid, the others repetitions."""
        self._texels, self._count = texels.cpu(), count.cpu()
        self._seed, self._device = seed, device
        self.blocks_per_batch = min(per_batch, len(count))
        self.steps_per_epoch = len(count) // self.blocks_per_batch

    def epoch(self, epoch: int, start: int) -> Iterator[BlockBatch]:
        """The batches from the ``start``-th on, on the device. Nothing there is waited for."""
        order = torch.randperm(len(self._count), generator=generator(self._seed, epoch))
        for blocks in order.split(self.blocks_per_batch)[start : self.steps_per_epoch]:
            rows, count = self._texels[blocks].long(), self._count[blocks].long()
            slots = torch.nonzero((torch.arange(rows.shape[1]) < count.unsqueeze(1)).flatten()).flatten()
            batch = BlockBatch(rows, count, rows.flatten()[slots], slots)
            yield BlockBatch(*(part.to(self._device, non_blocking=True) for part in batch))
