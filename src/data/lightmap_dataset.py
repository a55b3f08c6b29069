"""A day of lightmaps as one tensor on the training device; batches are indices into it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from src.data.lightmap_sequence import find_sequence, require_same_size
from src.utils import image_io
from src.utils.cli import InputError
from src.utils.seeding import generator
from src.utils.texel_grid import texel_xy


class LightmapDataset:
    """All texels at all hours.

    ``texels`` is (H * W) x T x 3 float32, row-major: all hours of a texel lie together, since a batch takes them
    together. ``hours`` is T float32 in [0, 24). Values are as stored in the images, in [0, 1].
    """

    def __init__(
        self,
        texels: Tensor,
        hours: Sequence[float],
        height: int,
        width: int,
        names: Sequence[str],
        size_bytes: int,
    ) -> None:
        self.texels = texels
        self.hours = torch.tensor(hours, dtype=torch.float32, device=texels.device)
        self.hour_values = tuple(float(hour) for hour in hours)
        self.height = height
        self.width = width
        self.names = tuple(names)
        self.size_bytes = size_bytes  # of the image files

    @classmethod
    def from_folder(
        cls, folder: str | Path, hours: Sequence[float] | None = None, device: str | torch.device = "cpu"
    ) -> LightmapDataset:
        """Read a folder of png or jpg images (see :mod:`src.data.lightmap_sequence` for order and hours).

        Raises :class:`InputError` when a file cannot be read or is of another size than the others.
        """
        sequence = find_sequence(folder, hours)
        if sequence.is_radiance:
            raise InputError(sequence.files[0], "holds linear radiance", "give a folder of png or jpg images")
        height, width = require_same_size({file: image_io.image_size(file) for file in sequence.files})
        texels = np.empty((height * width, len(sequence.files), 3), np.float32)
        for t, file in enumerate(sequence.files):
            texels[:, t] = image_io.read_display(file).reshape(-1, 3)
        names = [file.name for file in sequence.files]
        size_bytes = sum(file.stat().st_size for file in sequence.files)
        return cls(torch.from_numpy(texels).to(device), sequence.hours, height, width, names, size_bytes)

    @property
    def device(self) -> torch.device:
        return self.texels.device

    @property
    def texel_count(self) -> int:
        return self.height * self.width

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Row-major texel ``index`` M -> (xy M x 2, colours M x T x 3), both on the device."""
        return texel_xy(index, self.height, self.width), self.texels.index_select(0, index)

    def frame(self, t: int) -> np.ndarray:
        """The t-th image, H x W x 3 float32."""
        return self.texels[:, t].reshape(self.height, self.width, 3).cpu().numpy()

    def describe(self) -> dict:
        """What the data is, in plain types: tells one data set from another, wherever the folder lies."""
        return {
            "files": list(self.names),
            "hours": list(self.hour_values),
            "height": self.height,
            "width": self.width,
        }


class TexelBatches:
    """Shuffled texel indices, without replacement within an epoch, shared out over the processes.

    A batch holds ``batch_size`` samples per process (a texel at all T hours makes T of them), always whole texels and
    at least one; the few texels that fill no batch wait for another epoch's order. Batch i of epoch e depends on
    ``(seed, e, i, rank)`` alone. N processes together see exactly what one process sees that takes N times as many
    texels per batch.
    """

    def __init__(
        self,
        dataset: LightmapDataset,
        batch_size: int,
        samples_per_epoch: int | None,
        seed: int,
        rank: int = 0,
        process_count: int = 1,
    ) -> None:
        frame_count = len(dataset.hour_values)
        self._dataset = dataset
        self._seed = seed
        self._rank = rank
        together = min(batch_size // frame_count * process_count, dataset.texel_count) // process_count
        self.texels_per_batch = max(1, together)
        self._stride = self.texels_per_batch * process_count
        samples = samples_per_epoch or dataset.texel_count * frame_count
        self.steps_per_epoch = max(1, samples // (self._stride * frame_count))

    def epoch(self, epoch: int, start: int) -> Iterator[Tensor]:
        """Indices of the texels of each batch from the ``start``-th on, on the data set's device."""
        order = self._order(epoch)
        for i in range(start, self.steps_per_epoch):
            first = i * self._stride + self._rank * self.texels_per_batch
            yield order[first : first + self.texels_per_batch]

    def _order(self, epoch: int) -> Tensor:
        needed = self.steps_per_epoch * self._stride
        count = self._dataset.texel_count
        rounds = [torch.randperm(count, generator=generator(self._seed, epoch, k)) for k in range(-(-needed // count))]
        return torch.cat(rounds)[:needed].to(self._dataset.device)
