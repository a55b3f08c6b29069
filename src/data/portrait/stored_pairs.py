"""Pairs of files that are drawn one at a time among others: all in memory, or read when they are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.pair_batch import PairBatch, concatenate


class StoredPairs:
    """The pairs of ``dataset`` without augmentation, on ``device``.

    They stay there when all of them take at most ``max_bytes``, and are read once, with a progress bar. Otherwise each
    is read when it is drawn, from the data set's cache.
    """

    def __init__(
        self, dataset: DelitDataset, device: torch.device, max_bytes: float, show_progress: bool = False
    ) -> None:
        self._dataset, self._device = dataset, device
        self._all: PairBatch | None = None
        if 0 < self.size_bytes <= max_bytes:
            from tqdm import tqdm

            indices = tqdm(range(len(dataset)), "reading pairs", unit="pair", disable=not show_progress)
            self._all = concatenate([self._read(index) for index in indices]).to(device)

    def __len__(self) -> int:
        return len(self._dataset)

    @property
    def size_bytes(self) -> int:
        """Of all pairs in memory."""
        pixels = 7 * self._dataset.image_size**2  # lit, flat-lit, mask
        return 4 * len(self) * (pixels + 3 * self._dataset.env_size[0] * self._dataset.env_size[1])

    def draw(self, indices: Sequence[int]) -> PairBatch:
        """The pairs of ``indices``, at least one, in that order."""
        if self._all is not None:
            return self._all.select(indices)
        return concatenate([self._read(index) for index in indices]).to(self._device)

    def _read(self, index: int) -> PairBatch:
        return self._dataset.load(index).to_batch(self._dataset.pairs[index].name)
