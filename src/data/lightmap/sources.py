"""Whole lightmaps as arrays, whatever they are stored as: an HPRC set, or a folder of EXR, HDR, PNG or JPEG images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.data.lightmap.coverage import VALID_FROM, Coverage, coverage_from_alpha, coverage_from_masks
from src.data.lightmap.day_reader import load_frames
from src.data.lightmap.hprc import HprcLightmap, is_hprc, load_hprc
from src.data.lightmap.sequence import LightmapSequence, find_sequence, require_same_size
from src.utils import image_io
from src.utils.cli import InputError


@dataclass(frozen=True)
class FolderLightmap:
    """The one lightmap of a folder of images; ``load`` reads them."""

    name: str
    height: int
    width: int
    sequence: LightmapSequence

    @property
    def folder_name(self) -> str:
        return self.name

    @property
    def hours(self) -> tuple[float, ...]:
        return self.sequence.hours

    @property
    def is_radiance(self) -> bool:
        return self.sequence.is_radiance

    def load(self, remarks: list[str] | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read ``(frames, hours, mask)``; what is noticed is appended to ``remarks``.

        frames: T x H x W x 3 float32, linear radiance or, for PNG and JPEG, display values in [0, 1] as stored; 0 at
        invalid texels, repaired at valid ones as :class:`DayReader` does. hours: T float64 in [0, 24). mask: H x W
        bool, see :meth:`read_coverage`.
        """
        return load_frames(self, remarks)

    @property
    def files(self) -> tuple[Path, ...]:
        return self.sequence.files

    @property
    def mask_files(self) -> tuple[Path, ...]:
        return self.sequence.mask_files

    def describe(self) -> list[str]:
        """What was taken from the folder, a line each."""
        return self.sequence.describe()

    def read_frame(self, t: int) -> np.ndarray:
        """The t-th image as it is, H x W x 3 float32; radiance may hold NaN."""
        file = self.sequence.files[t]
        return image_io.read_linear(file, allow_nan=True) if self.is_radiance else image_io.read_display(file)

    def read_coverage(self) -> Coverage:
        """The valid texels: by the folder's masks, else by the images' alpha."""
        if self.mask_files:
            masks = [image_io.read_mask(file) >= VALID_FROM for file in self.mask_files]
            return coverage_from_masks(self.mask_files, masks, (self.height, self.width))
        return coverage_from_alpha(self.files, (self.height, self.width))


Lightmap = FolderLightmap | HprcLightmap


def open_lightmaps(
    folder: str | Path, hours: Sequence[float] | None = None, select: Sequence[str] = ()
) -> list[Lightmap]:
    """The lightmaps of a folder: all (or those named by ``select``) of an HPRC set, or the one of an image folder.

    ``hours`` sets the hours of an image folder (see :mod:`src.data.lightmap.sequence`). No pixels are read yet.
    Raises :class:`InputError` as the readers do, and when images differ in size.
    """
    if is_hprc(folder):
        if hours is not None:
            raise InputError("--hours", "does not apply to an HPRC set", "its config.json has the hours")
        return list(load_hprc(folder, select))
    sequence = find_sequence(folder, hours)
    if select:
        raise InputError("--lightmap", f"{folder} is a folder of images", "LEVEL:ID picks from an HPRC set")
    files = (*sequence.files, *sequence.mask_files)
    height, width = require_same_size({file: image_io.image_size(file) for file in files})
    return [FolderLightmap(Path(folder).resolve().name or "lightmap", height, width, sequence)]
