"""The valid texels of a lightmap at all hours, HDR or not, as one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from src.data.hprc import HprcLightmap
from src.data.lightmap_sequence import find_sequence, require_same_size
from src.utils import image_io
from src.utils.cli import InputError

_VALID = 0.5


class LightmapTexels:
    """``texels`` N x T x 3 float32: the N valid texels of ``mask`` H x W bool, row-major, at the T ``hours``.

    Values are linear radiance for exr and hdr (``is_radiance``), else display values in [0, 1] as stored.
    """

    def __init__(
        self,
        texels: Tensor,
        mask: Tensor,
        hours: Sequence[float],
        names: Sequence[str],
        size_bytes: int,
        is_radiance: bool,
    ) -> None:
        self.texels = texels
        self.mask = mask
        self.hour_values = tuple(float(hour) for hour in hours)
        self.names = tuple(names)
        self.size_bytes = size_bytes  # of the image files
        self.is_radiance = is_radiance
        self.height, self.width = mask.shape
        self._texels_of_rows = torch.nonzero(mask.flatten()).flatten()

    @classmethod
    def from_folder(
        cls, folder: str | Path, hours: Sequence[float] | None = None, device: str | torch.device = "cpu"
    ) -> LightmapTexels:
        """Read a folder of exr, hdr, png or jpg images; the mask is ``mask.png``, else the images' common alpha.

        Raises :class:`InputError` when a file cannot be read or has another size, or when no texel is valid.
        """
        sequence = find_sequence(folder, hours)
        files = [*sequence.files, sequence.mask_file] if sequence.mask_file else list(sequence.files)
        shape = require_same_size({file: image_io.image_size(file) for file in files})
        mask = np.ones(shape, bool)
        if sequence.mask_file:
            mask = image_io.read_mask(sequence.mask_file) > _VALID
        else:
            for file in sequence.files:
                alpha = image_io.read_alpha(file)
                mask &= True if alpha is None else alpha > _VALID
        if not mask.any():
            raise InputError(sequence.mask_file or folder, "no texel is valid", "white (or opaque) means valid")
        read = image_io.read_linear if sequence.is_radiance else image_io.read_display
        texels = np.empty((int(mask.sum()), len(sequence.files), 3), np.float32)
        for t, file in enumerate(sequence.files):
            texels[:, t] = read(file)[mask]
        names = [file.name for file in sequence.files]
        size_bytes = sum(file.stat().st_size for file in sequence.files)
        return cls(
            torch.from_numpy(texels).to(device),
            torch.from_numpy(mask).to(device),
            sequence.hours,
            names,
            size_bytes,
            sequence.is_radiance,
        )

    @classmethod
    def from_hprc(cls, lightmap: HprcLightmap, device: str | torch.device = "cpu") -> LightmapTexels:
        """One lightmap of an HPRC set. Raises :class:`InputError` when a file cannot be read or no texel is valid."""
        frames, hours, mask = lightmap.load()
        if not mask.any():
            raise InputError(lightmap.name, "no texel is valid", "its masks hold -1 everywhere")
        texels = np.ascontiguousarray(frames[:, mask].swapaxes(0, 1))
        names = [file.name for file in lightmap.frame_files]
        size_bytes = sum(file.stat().st_size for file in lightmap.frame_files)
        return cls(
            torch.from_numpy(texels).to(device), torch.from_numpy(mask).to(device), hours, names, size_bytes, True
        )

    @property
    def device(self) -> torch.device:
        return self.texels.device

    @property
    def texel_count(self) -> int:
        """How many texels are valid."""
        return len(self.texels)

    def frame(self, t: int) -> np.ndarray:
        """The t-th image, H x W x 3 float32, 0 where invalid."""
        image = torch.zeros(self.height * self.width, 3, device=self.device)
        image[self._texels_of_rows] = self.texels[:, t]
        return image.view(self.height, self.width, 3).cpu().numpy()

    def describe(self) -> dict:
        """What the data is, in plain types: tells one data set from another, wherever the folder lies."""
        return {
            "files": list(self.names),
            "hours": list(self.hour_values),
            "height": self.height,
            "width": self.width,
            "valid_texels": self.texel_count,
        }
