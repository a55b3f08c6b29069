"""Batches of a data set of files, loaded by worker processes ahead of time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset

from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.pair_batch import PairBatch, concatenate
from src.utils.seeding import generator

_PREFETCHED = 4  # batches per worker


class PairBatches:
    """Batches of pairs in an order that is a function of ``(seed, epoch)``; every rank has its share of each.

    Sets smaller than one batch are gone through more than once. The workers live on from epoch to epoch and load
    across its end, so that training does not wait there.
    """

    def __init__(
        self,
        dataset: DelitDataset,
        batch_size: int,
        device: torch.device,
        *,
        num_workers: int = 4,
        seed: int = 0,
        rank: int = 0,
        count: int = 1,
    ) -> None:
        self.dataset, self.batch_size, self.device = dataset, batch_size, device
        self.seed, self.rank, self.count = seed, rank, count
        self.steps_per_epoch = max(1, len(dataset) // (batch_size * count))
        self._num_workers = num_workers
        self._stream: Iterator[PairBatch] | None = None
        self._position: tuple[int, int] | None = None

    def epoch(self, epoch: int, start: int) -> Iterator[PairBatch]:
        if self._stream is None or self._position != (epoch, start):
            self._stream = iter(self._loader(epoch, start))
        for index in range(start, self.steps_per_epoch):
            batch = next(self._stream)
            self._position = (epoch, index + 1) if index + 1 < self.steps_per_epoch else (epoch + 1, 0)
            yield batch.to(self.device)

    def keys(self, epoch: int, start: int) -> Iterator[list[tuple[int, int]]]:
        """(epoch, index) of the samples of this rank's batches, without end."""
        while True:
            order = torch.randperm(len(self.dataset), generator=generator(self.seed, epoch)).tolist()
            for step in range(start, self.steps_per_epoch):
                first = (step * self.count + self.rank) * self.batch_size
                yield [(epoch, order[k % len(order)]) for k in range(first, first + self.batch_size)]
            epoch, start = epoch + 1, 0

    def _loader(self, epoch: int, start: int) -> DataLoader:
        return DataLoader(
            _KeyedByEpoch(self.dataset),
            batch_sampler=_Endless(self, epoch, start),
            collate_fn=concatenate,
            num_workers=self._num_workers,
            prefetch_factor=_PREFETCHED if self._num_workers else None,
            pin_memory=self.device.type == "cuda",
        )


class _KeyedByEpoch(Dataset):
    """Indexed by (epoch, index), so that workers which outlive an epoch augment by the right one."""

    def __init__(self, dataset: DelitDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, key: tuple[int, int]) -> PairBatch:
        epoch, index = key
        self.dataset.set_epoch(epoch)
        return self.dataset[index]


class _Endless:
    """An iterable of index lists, as DataLoader wants it."""

    def __init__(self, batches: PairBatches, epoch: int, start: int) -> None:
        self._batches, self._epoch, self._start = batches, epoch, start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return self._batches.keys(self._epoch, self._start)
