"""A day of lightmaps as one tensor on the training device; batches are indices into it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from src.data.lightmap.day_reader import DayReader
from src.data.lightmap.sources import Lightmap, open_lightmaps
from src.utils.radiance_transfer import RadianceTransfer
from src.utils.seeding import generator
from src.utils.texel_grid import texel_xy

# Of the transfer that radiance is trained through. Measured on a lightmap of 64 x 128 texels after 960 steps, PSNR in
# linear radiance: 1.0 40.2 dB, 2.2 33.0 dB, 3.0 28.7 dB, a logarithm (log(1 + 100 x)) 24.5 dB.
RADIANCE_GAMMA = 1.0


class LightmapDataset:
    """All valid texels at all hours.

    ``texels`` is N x T x 3 float32 in [0, 1], row-major: all hours of a texel lie together, since a batch takes them
    together. ``valid`` holds the N row-major indices of the texels in the map, increasing. ``hours`` is T float32 in
    [0, 24). Values are as stored in png and jpg; radiance is coded by ``transfer``, which is None for the others.
    """

    def __init__(
        self,
        texels: Tensor,
        hours: Sequence[float],
        height: int,
        width: int,
        names: Sequence[str],
        size_bytes: int,
        valid: Tensor | None = None,
        transfer: RadianceTransfer | None = None,
        remarks: Sequence[str] = (),
    ) -> None:
        self.texels = texels
        self.hours = torch.tensor(hours, dtype=torch.float32, device=texels.device)
        self.hour_values = tuple(float(hour) for hour in hours)
        self.height = height
        self.width = width
        self.names = tuple(names)
        self.size_bytes = size_bytes  # of the image files
        self.valid = torch.arange(len(texels), device=texels.device) if valid is None else valid
        self.transfer = transfer
        self.remarks = list(remarks)  # what was noticed in the data, a line each

    @classmethod
    def from_folder(
        cls, folder: str | Path, hours: Sequence[float] | None = None, device: str | torch.device = "cpu"
    ) -> LightmapDataset:
        """Read a folder of images (see :mod:`src.data.lightmap.sequence` for order and hours).

        Raises :class:`InputError` when a file cannot be read or is of another size than the others.
        """
        (lightmap,) = open_lightmaps(folder, hours)
        return cls.from_lightmap(lightmap, device)

    @classmethod
    def from_lightmap(cls, lightmap: Lightmap, device: str | torch.device = "cpu") -> LightmapDataset:
        """Read ``lightmap`` frame by frame, so that memory holds the data once."""
        reader = DayReader(lightmap)
        mask = reader.mask
        texels = np.empty((int(mask.sum()), len(lightmap.hours), 3), np.float32)
        for t in range(len(lightmap.files)):
            texels[:, t] = reader.valid_texels(t)
        transfer = None
        if lightmap.is_radiance:
            transfer = RadianceTransfer.fitted(texels.max((0, 2)), lightmap.hours, RADIANCE_GAMMA)
            for t in range(len(lightmap.files)):
                texels[:, t] = transfer.encode_frame(texels[:, t], t)
        return cls(
            torch.from_numpy(texels).to(device),
            lightmap.hours,
            lightmap.height,
            lightmap.width,
            [file.name for file in lightmap.files],
            sum(file.stat().st_size for file in lightmap.files),
            torch.from_numpy(np.flatnonzero(mask)).to(device),
            transfer,
            reader.remarks,
        )

    @property
    def device(self) -> torch.device:
        return self.texels.device

    @property
    def texel_count(self) -> int:
        """How many texels are valid."""
        return len(self.texels)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Rows ``index`` M of ``texels`` -> (xy M x 2, colours M x T x 3), both on the device."""
        return texel_xy(self.valid[index], self.height, self.width), self.texels.index_select(0, index)

    def frame(self, t: int) -> np.ndarray:
        """The t-th image, H x W x 3 float32, coded as in ``texels``; 0 where invalid."""
        image = torch.zeros(self.height * self.width, 3, device=self.device)
        image[self.valid] = self.texels[:, t]
        return image.view(self.height, self.width, 3).cpu().numpy()

    def describe(self) -> dict:
        """What the data is, in plain types: tells one data set from another, wherever the folder lies."""
        described = {
            "files": list(self.names),
            "hours": list(self.hour_values),
            "height": self.height,
            "width": self.width,
        }
        if self.texel_count < self.height * self.width:
            described["valid_texels"] = self.texel_count
        return described


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
