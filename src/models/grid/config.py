"""What a latent grid is built from, and how large it may be in a given memory."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace

from src.utils.tile_metrics import tile_count

LATENT_BITS = (4, 6, 8)


@dataclass(frozen=True)
class GridConfig:
    """What a latent grid is built from; plain types, stored in every checkpoint and bundle."""

    height: int
    width: int
    hours: tuple[float, ...]
    events: tuple[float, ...] = ()
    latent_dim: int = 16
    latent_bits: int = 6
    hidden_f2: int = 32
    layers_f2: int = 2
    is_radiance: bool = True  # linear radiance; else display values in [0, 1]
    regions: tuple[tuple[str, int, int, int], ...] = ()  # of an atlas: (name, first row, height, width)
    coarse: tuple[tuple[int, int], ...] = ()  # (stride, channels): latents that blocks of stride x stride texels share
    made_hours: tuple[float, ...] = ()  # of the hours, those that were not baked but made for training
    blocks: bool = False  # latents are packed in blocks, see block_latents.py; else in rows, without a bound by widths

    def to_dict(self) -> dict:
        lists = {name: [list(part) for part in getattr(self, name)] for name in ("regions", "coarse")}
        times = {name: list(getattr(self, name)) for name in ("hours", "events", "made_hours")}
        return {**asdict(self), **times, **lists}

    @classmethod
    def from_dict(cls, values: dict) -> GridConfig:
        values = {"coarse": (), "blocks": False, "made_hours": (), **values}  # earlier versions had none
        known = {field.name: values[field.name] for field in fields(cls)}
        tuples = {name: tuple(known[name]) for name in ("hours", "events", "made_hours")}
        nested = {name: tuple(tuple(part) for part in known[name]) for name in ("regions", "coarse")}
        return cls(**{**known, **tuples, **nested})

    def with_latent_dim(self, latent_dim: int) -> GridConfig:
        return replace(self, latent_dim=latent_dim)

    @property
    def z_dim(self) -> int:
        """Values that F2 reads: channels of all resolutions."""
        return self.latent_dim + sum(channels for _, channels in self.coarse)

    @property
    def baked_count(self) -> int:
        """Frames that were baked: bits are counted per texel and baked frame."""
        return len(self.hours) - len(self.made_hours)

    @property
    def texel_count(self) -> int:
        """Texels of the lightmap, or of all lightmaps, valid or not."""
        return sum(height * width for _, _, height, width in self.regions) or self.height * self.width

    @property
    def tile_ranges(self) -> list[range]:
        """The numbers of each lightmap's tiles, over which PSNR is averaged."""
        ranges, first = [], 0
        for _, _, height, width in self.regions or (("", 0, self.height, self.width),):
            ranges.append(range(first, first + tile_count(height, width)))
            first = ranges[-1].stop
        return ranges

    @property
    def f2_bytes(self) -> int:
        """What must be resident beside the latents: F2 in half precision, the frames' scales in single precision."""
        return sum(math.prod(shape) for shape in self.f2_shapes) * 2 + len(self.hours) * 4

    @property
    def f2_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of F2's arrays: for each hidden layer weight and bias, then the hours' weight and bias."""
        shapes: list[tuple[int, ...]] = []
        width = self.z_dim
        for _ in range(self.layers_f2):
            shapes += [(width, self.hidden_f2), (self.hidden_f2,)]
            width = self.hidden_f2
        values = len(self.hours) * 3
        return [*shapes, (self.z_dim + self.hidden_f2, values), (values,)]
