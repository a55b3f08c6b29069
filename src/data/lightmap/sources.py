"""Whole lightmaps as arrays, whatever they are stored as: an HPRC set, or a folder of EXR, HDR, PNG or JPEG images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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

    def load(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read ``(frames, hours, mask)``.

        frames: T x H x W x 3 float32, linear radiance or, for PNG and JPEG, display values in [0, 1] as stored; 0 at
        invalid texels. hours: T float64 in [0, 24). mask: H x W bool, from ``mask.png``, else from the images' alpha
        (valid where every hour's alpha is at least one half), else True everywhere.
        """
        mask = self.read_mask()
        frames = np.empty((len(self.hours), self.height, self.width, 3), np.float32)
        for t, frame in enumerate(frames):
            frame[:] = self.read_frame(t)
        frames[:, ~mask] = 0
        return frames, np.array(self.hours), mask

    @property
    def files(self) -> tuple[Path, ...]:
        return self.sequence.files

    def read_frame(self, t: int) -> np.ndarray:
        """The t-th image as it is, H x W x 3 float32."""
        read = image_io.read_linear if self.is_radiance else image_io.read_display
        return read(self.sequence.files[t])

    def read_mask(self) -> np.ndarray:
        """The mask, H x W bool. An alpha channel that is opaque nowhere says nothing about coverage."""
        if self.sequence.mask_file is not None:
            mask = image_io.read_mask(self.sequence.mask_file) >= 0.5
            if not mask.any():
                problem = "the mask leaves no valid texel"
                raise InputError(self.sequence.mask_file, problem, "valid texels are white")
            return mask
        mask = np.ones((self.height, self.width), bool)
        for file in self.sequence.files:
            alpha = image_io.read_alpha(file)
            if alpha is not None:
                mask &= alpha >= 0.5
        return mask if mask.any() else np.ones_like(mask)


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
    files = [*sequence.files, *([sequence.mask_file] if sequence.mask_file else [])]
    height, width = require_same_size({file: image_io.image_size(file) for file in files})
    return [FolderLightmap(Path(folder).resolve().name or "lightmap", height, width, sequence)]
