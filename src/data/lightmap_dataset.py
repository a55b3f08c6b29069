"""A day of lightmaps as one tensor on the training device; batches are indices into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from src.data.lightmap.atlas import LightmapAtlas
from src.data.lightmap.day_reader import DayReader
from src.data.lightmap.sources import Lightmap, open_lightmaps
from src.utils.content_hash import content_hashes
from src.utils.seeding import generator
from src.utils.texel_grid import texel_xy


class LightmapDataset:
    """All valid texels of a lightmap, or of several in one map, at all hours: what either way to store them trains on.

    ``texels`` is N x T x 3 float32, row-major: all hours of a texel lie together, since a batch takes them together.
    Values are linear radiance where ``is_radiance``, else display values in [0, 1] as stored. ``mask`` is H x W bool,
    True at the N valid texels, whose row-major indices are ``valid``. ``hours`` is T float32 in [0, 24).
    ``names`` are the images' names, hour by hour, of several lightmaps one after the other; ``files`` and
    ``mask_files`` say by a hash what each image and mask holds. ``regions`` says where each of several lightmaps lies,
    see :class:`LightmapAtlas`. ``remarks`` are what was noticed while reading, a line each. ``made_hours`` are those of
    ``hours`` that were not baked, see :meth:`with_frames`.
    """

    def __init__(
        self,
        texels: Tensor,
        mask: Tensor,
        hours: Sequence[float],
        *,
        is_radiance: bool = False,
        names: Sequence[str] = (),
        files: Mapping[str, str] | None = None,
        mask_files: Mapping[str, str] | None = None,
        regions: Sequence[tuple[str, int, int, int]] = (),
        remarks: Sequence[str] = (),
        made_hours: Sequence[float] = (),
    ) -> None:
        self.texels = texels
        self.mask = mask
        self.height, self.width = mask.shape
        self.valid = torch.nonzero(mask.flatten()).flatten()
        self.hour_values = tuple(float(hour) for hour in hours)
        self.hours = torch.tensor(self.hour_values, dtype=torch.float32, device=texels.device)
        self.is_radiance = is_radiance
        self.names = tuple(names)
        self.files = dict(files or {})
        self.mask_files = dict(mask_files or {})
        self.regions = tuple(regions)
        self.remarks = tuple(remarks)
        self.made_hours = tuple(made_hours)

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
    def from_lightmap(cls, lightmap: Lightmap | LightmapAtlas, device: str | torch.device = "cpu") -> LightmapDataset:
        """Read ``lightmap`` frame by frame, so that memory holds the data once.

        Raises :class:`InputError` when a file cannot be read, a valid texel is not finite or beyond all light, or no
        texel is valid.
        """
        parts = lightmap.lightmaps if isinstance(lightmap, LightmapAtlas) else (lightmap,)
        regions = lightmap.regions if isinstance(lightmap, LightmapAtlas) else ()
        first_rows = [row for _, row, _, _ in regions] or [0]
        readers = [DayReader(part) for part in parts]
        mask = np.zeros((lightmap.height, lightmap.width), bool)
        texels = np.empty((sum(int(reader.mask.sum()) for reader in readers), len(lightmap.hours), 3), np.float32)
        first = 0
        for part, reader, row in zip(parts, readers, first_rows, strict=True):
            mask[row : row + part.height, : part.width] = reader.mask
            days = texels[first : first + int(reader.mask.sum())]
            for t in range(len(lightmap.hours)):
                days[:, t] = reader.valid_texels(t)
            first += len(days)
        files = [file for part in parts for file in part.files]
        return cls(
            torch.from_numpy(texels).to(device),
            torch.from_numpy(mask).to(device),
            lightmap.hours,
            is_radiance=lightmap.is_radiance,
            names=[file.name for file in files],
            files=_hashes(files),
            mask_files=_hashes([file for part in parts for file in part.mask_files]),
            regions=regions,
            remarks=[
                f"{part.name}: {line}" for part, reader in zip(parts, readers, strict=True) for line in reader.remarks
            ],
        )

    @property
    def device(self) -> torch.device:
        return self.texels.device

    @property
    def texel_count(self) -> int:
        """How many texels are valid."""
        return len(self.texels)

    def uniform_lightmaps(self) -> list[bool]:
        """Of each lightmap whether all its texels are the same at each hour, black or of any colour."""
        counts = [int(self.mask[row : row + height].sum()) for _, row, height, _ in self.regions]
        parts = self.texels.split(counts or [len(self.texels)])
        return [torch.equal(part.amin(dim=0), part.amax(dim=0)) for part in parts]

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Rows ``index`` M of ``texels`` -> (xy M x 2, colours M x T x 3), both on the device."""
        return texel_xy(self.valid[index], self.height, self.width), self.texels.index_select(0, index)

    def frame(self, t: int) -> np.ndarray:
        """The t-th image, H x W x 3 float32; 0 where invalid."""
        image = torch.zeros(self.height, self.width, 3, device=self.device)
        image[self.mask] = self.texels[:, t]
        return image.cpu().numpy()

    @property
    def baked(self) -> Tensor:
        """Which hours were baked, T bool on the device."""
        return torch.tensor([hour not in self.made_hours for hour in self.hour_values], device=self.device)

    @property
    def baked_hours(self) -> tuple[float, ...]:
        return tuple(hour for hour in self.hour_values if hour not in self.made_hours)

    def with_frames(self, made: Mapping[float, np.ndarray]) -> LightmapDataset:
        """The same with frames H x W x 3 at further hours, which count as made, not as baked."""
        hours = sorted([*self.hour_values, *made])
        texels = self.texels.new_empty(self.texel_count, len(hours), 3)
        for t, hour in enumerate(hours):
            if hour in made:
                texels[:, t] = torch.from_numpy(made[hour]).to(self.texels)[self.mask]
            else:
                texels[:, t] = self.texels[:, self.hour_values.index(hour)]
        return LightmapDataset(
            texels,
            self.mask,
            hours,
            is_radiance=self.is_radiance,
            files=self.files,
            mask_files=self.mask_files,
            regions=self.regions,
            remarks=self.remarks,
            made_hours=sorted(made),
        )

    def describe(self) -> dict:
        """What the data is, in plain types: tells one data set from another, wherever the folder lies."""
        return {
            "files": self.files,
            "mask_files": self.mask_files,
            "hours": list(self.hour_values),
            "height": self.height,
            "width": self.width,
            "valid_texels": self.texel_count,
        }

    def describe_batch(self, index: Tensor) -> str:
        """Names the images that are not finite at some of the texels ``index`` M, for the message about a bad loss."""
        finite = torch.isfinite(self.texels[index]).all(dim=(0, 2)).tolist()
        hours = len(self.hour_values)
        bad = [name for t, good in enumerate(finite) if not good for name in self.names[t::hours]]
        return f"{len(index)} texels of {', '.join(bad)}" if bad else f"{len(index)} texels, all of them finite"


def _hashes(files: Sequence[Path]) -> dict[str, str]:
    return dict(zip([file.name for file in files], content_hashes(files), strict=True))


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
