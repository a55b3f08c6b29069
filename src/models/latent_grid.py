"""F1 as learned latent planes: a quantised latent vector per valid texel, and an F2 that shares work over the hours.

F2 maps a latent z to features once per texel, ``[z, relu MLP(z)]``, and each baked hour reads its colour from them with
a linear map of its own; between two baked hours the two maps are interpolated, which cross-fades radiance, except
across an event. Latents start as the temporal SVD of the data, see :mod:`src.models.temporal_svd`.

from src.models.latent_grid import load
decoder = load("runs/courtyard/best.ckpt")
colours = decoder.decode(xy, hours)    # single texels
frames = decoder.render([6, 12.5])     # whole images
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from src.models.packed_latents import PackedLatents, TexelIndex, row_bytes
from src.models.temporal_svd import temporal_svd
from src.utils import checkpoint
from src.utils.cli import InputError
from src.utils.hour_interpolation import HourInterpolation
from src.utils.parallel import run_parallel, worker_count
from src.utils.texel_grid import texel_index, tile_of_texels

CHECKPOINT_KIND = "lightmap-grid"
TILE_ROWS = 8192  # decoded together: activations stay in the processor's cache
TILE_SIZE = 256  # of the tiles over which the field averages PSNR
LATENT_BITS = (4, 6, 8)


@dataclass(frozen=True)
class GridConfig:
    """What a :class:`LatentGrid` is built from; plain types, stored in every checkpoint and bundle."""

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

    def to_dict(self) -> dict:
        regions = [list(region) for region in self.regions]
        return {**asdict(self), "hours": list(self.hours), "events": list(self.events), "regions": regions}

    @classmethod
    def from_dict(cls, values: dict) -> GridConfig:
        known = {field.name: values[field.name] for field in fields(cls)}
        tuples = {name: tuple(known[name]) for name in ("hours", "events")}
        return cls(**{**known, **tuples, "regions": tuple(tuple(region) for region in known["regions"])})

    def with_latent_dim(self, latent_dim: int) -> GridConfig:
        return replace(self, latent_dim=latent_dim)

    @property
    def texel_count(self) -> int:
        """Texels of the lightmap, or of all lightmaps, valid or not."""
        return sum(height * width for _, _, height, width in self.regions) or self.height * self.width

    @property
    def tile_ranges(self) -> list[range]:
        """The numbers of each lightmap's tiles of 256 x 256."""
        ranges, first = [], 0
        for _, _, height, width in self.regions or (("", 0, self.height, self.width),):
            count = -(-height // TILE_SIZE) * -(-width // TILE_SIZE)
            ranges.append(range(first, first + count))
            first += count
        return ranges

    @property
    def f2_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of F2's arrays: for each hidden layer weight and bias, then the hours' weight and bias."""
        shapes: list[tuple[int, ...]] = []
        width = self.latent_dim
        for _ in range(self.layers_f2):
            shapes += [(width, self.hidden_f2), (self.hidden_f2,)]
            width = self.hidden_f2
        values = len(self.hours) * 3
        return [*shapes, (self.latent_dim + self.hidden_f2, values), (values,)]


def largest_latent_dim(bpp_memory: float, mask: np.ndarray, config: GridConfig) -> int:
    """The most channels with which all that is resident takes at most ``bpp_memory`` bits per texel and frame.

    Raises :class:`InputError` when not even one channel fits.
    """
    budget = bpp_memory * config.texel_count * len(config.hours) / 8
    index = TexelIndex(torch.from_numpy(mask))
    for latent_dim in range(len(config.hours) * 3, 0, -1):
        trial = config.with_latent_dim(latent_dim)
        latents = index.row_count * row_bytes(latent_dim, config.latent_bits)
        f2 = sum(int(np.prod(shape)) for shape in trial.f2_shapes) * 2 + len(config.hours) * 4
        if latents + f2 + index.size_bytes <= budget:
            return latent_dim
    raise InputError("--bpp", f"{bpp_memory:g} is less than one channel takes", "give more, or fewer --latent_bits")


class LatentGrid(nn.Module):
    """The trainable form: latents as floats in [-1, 1], F2 as float32."""

    def __init__(self, config: GridConfig, mask: Tensor) -> None:
        """``mask`` H x W bool, True where a texel is valid."""
        super().__init__()
        self.config = config
        self.register_buffer("mask", mask)
        self.register_buffer("frame_scale", torch.ones(len(config.hours), device=mask.device))
        tiles = config.tile_ranges[-1].stop
        self.register_buffer("error_level", torch.zeros(tiles, len(config.hours), device=mask.device))
        self.latents = nn.Parameter(torch.zeros(int(mask.sum()), config.latent_dim, device=mask.device))
        arrays = [torch.zeros(shape, device=mask.device) for shape in config.f2_shapes]
        for weight, bias in zip(arrays[:-2:2], arrays[1:-2:2], strict=True):
            nn.init.normal_(weight, std=(2.0 / weight.shape[0]) ** 0.5)  # He et al. 2015
            nn.init.uniform_(bias, -0.5, 0.5)
        self.f2 = nn.ParameterList(arrays)

    def tile_of_texels(self) -> Tensor:
        """The number of the tile in which each valid texel lies, N; every lightmap has tiles of its own."""
        if not self.config.regions:
            return tile_of_texels(self.mask, TILE_SIZE)
        parts = []
        for (_, first_row, height, width), tiles in zip(self.config.regions, self.config.tile_ranges, strict=True):
            part = self.mask[first_row : first_row + height, :width]
            parts.append(tiles.start + tile_of_texels(part, TILE_SIZE))
        return torch.cat(parts)

    @torch.no_grad()
    def start_from(self, texels: Tensor) -> None:
        """Start as the temporal SVD of ``texels`` N x T x 3: frames are scaled to a peak of 1, F2 is linear."""
        peak = texels.amax(dim=(0, 2))
        self.frame_scale.copy_(torch.where(peak > 0, peak, 1.0))
        svd = temporal_svd((texels / self.frame_scale[:, None]).flatten(1), self.config.latent_dim)
        self.latents.copy_(svd.latents)
        weight, bias = self.f2[-2], self.f2[-1]
        weight.zero_()
        weight[: self.config.latent_dim] = svd.basis
        bias.copy_(svd.mean)

    def forward(self, z: Tensor) -> Tensor:
        """``z`` M x latent_dim -> all baked hours, M x T x 3, relative to ``frame_scale``."""
        return torch.addmm(self.f2[-1], _features(z, self.f2), self.f2[-2]).unflatten(1, (-1, 3))

    def at_hours(self, z: Tensor, hour: Tensor) -> Tensor:
        """``z`` M x latent_dim, each at one baked hour: ``hour`` M int64, an index -> M x 3, relative as above."""
        weight = self.f2[-2].unflatten(1, (-1, 3))[:, hour]  # F x M x 3
        return torch.einsum("mf,fmc->mc", _features(z, self.f2), weight) + self.f2[-1].view(-1, 3)[hour]

    @property
    def levels(self) -> int:
        """The highest quantised value."""
        return 2**self.config.latent_bits - 1

    @torch.no_grad()
    def quantised(self) -> Tensor:
        """The latents as integers in [0, levels], N x latent_dim uint8."""
        return ((self.latents.clamp(-1.0, 1.0) + 1.0) * (self.levels / 2)).round_().to(torch.uint8)

    @torch.no_grad()
    def round_latents(self) -> None:
        """Put every latent where its quantised value is; changes nothing the second time."""
        self.latents.copy_(self.quantised() * (2.0 / self.levels) - 1.0)

    @torch.no_grad()
    def round_f2(self) -> None:
        """Put F2's weights where half precision keeps them, as they are shipped."""
        for array in self.f2:
            array.copy_(array.half())

    def decoder(self) -> GridDecoder:
        packed = PackedLatents.pack(self.quantised(), self.config.latent_bits)
        arrays = [array.detach().half() for array in self.f2]
        return GridDecoder(self.config, TexelIndex(self.mask), packed, arrays, self.frame_scale)


def _features(z: Tensor, f2: Sequence[Tensor]) -> Tensor:
    h = z
    for weight, bias in zip(f2[:-2:2], f2[1:-2:2], strict=True):
        h = torch.relu(torch.addmm(bias, h, weight))
    return torch.cat((z, h), dim=1)


class GridDecoder:
    """Colours of any texel at any hour from packed latents and F2 in half precision; invalid texels are 0.

    Values are linear radiance, or display values in [0, 1] when the grid was trained on png or jpg.
    """

    def __init__(
        self, config: GridConfig, index: TexelIndex, latents: PackedLatents, f2: Sequence[Tensor], frame_scale: Tensor
    ) -> None:
        self.config = config
        self.index = index
        self.latents = latents
        self.f2 = list(f2)
        self.frame_scale = frame_scale.float()
        self.height, self.width = config.height, config.width
        self._first_row = 0
        self.hours = config.hours
        self.is_radiance = config.is_radiance
        self.device = latents.data.device
        self._interpolation = HourInterpolation(config.hours, config.events)

    @property
    def lightmap_names(self) -> tuple[str, ...]:
        """The lightmaps that share this F2, for :meth:`lightmap`; empty for a single one."""
        return tuple(part[0] for part in self.config.regions)

    def lightmap(self, name: str) -> GridDecoder:
        """The decoder of one of the lightmaps that share this F2. Raises :class:`InputError` when it has none so named.

        The lightmaps stand below one another in one map; nothing is copied.
        """
        for part, first_row, height, width in self.config.regions:
            if part == name:
                decoder = copy.copy(self)
                decoder._first_row, decoder.height, decoder.width = first_row, height, width
                return decoder
        known = ", ".join(self.lightmap_names) or "a single one, without a name"
        raise InputError("--lightmap", f"no lightmap {name!r} in the file", f"it has {known}")

    @property
    def peak(self) -> float:
        """The largest value of the training images."""
        return float(self.frame_scale.max())

    @property
    def resident_bytes(self) -> int:
        """All that must stay in memory for random access: latents, index, F2, and the frames' scales."""
        f2 = sum(array.numel() * array.element_size() for array in self.f2)
        return self.latents.size_bytes + self.index.size_bytes + f2 + 4 * len(self.frame_scale)

    def bpp_memory(self) -> float:
        """Resident bits per texel of the map (valid or not) and baked frame."""
        return self.resident_bytes * 8 / (self.config.texel_count * len(self.hours))

    @torch.no_grad()
    def decode(self, xy: Tensor, hours: Tensor | float) -> Tensor:
        """Single texels: ``xy`` N x 2 in [-1, 1], ``hours`` a number or N of them -> N x 3."""
        xy = torch.as_tensor(xy, dtype=torch.float32, device=self.device)
        hours = torch.as_tensor(hours, dtype=torch.float64).reshape(-1).expand(len(xy))
        colours = xy.new_zeros(len(xy), 3)
        texels = texel_index(xy, self.height, self.width)
        if self.width != self.config.width:
            texels = texels // self.width * self.config.width + texels % self.width
        valid, rows = self.index.rows(texels + self._first_row * self.config.width)
        different, which = hours.unique(return_inverse=True)
        which = which.to(self.device)
        for k, hour in enumerate(different.tolist()):
            f2 = self._f2_at(hour)
            for part in torch.nonzero(valid & (which == k)).flatten().split(TILE_ROWS):
                colours[part] = self._colours(rows[part], *f2).T
        return colours

    def render(self, hours: float | Sequence[float]) -> np.ndarray:
        """Whole frames: one hour -> H x W x 3 float32, several -> T x H x W x 3."""
        if isinstance(hours, int | float):
            return next(self.frames([hours]))
        return np.stack(list(self.frames(hours)))

    @torch.no_grad()
    def frames(self, hours: Sequence[float]) -> Iterator[np.ndarray]:
        """The frames one by one, H x W x 3 float32 each."""
        width = self.config.width
        texels = self.index.valid_texels() - self._first_row * width
        bounds = torch.tensor([0, self.height * width], device=texels.device)
        begin, end = torch.searchsorted(texels, bounds).tolist()
        for hour in hours:
            f2 = self._f2_at(float(hour))
            frame = torch.zeros(self.height * width, 3, device=self.device)
            firsts = range(begin, end, TILE_ROWS)
            workers = max(1, min(worker_count(self.device), len(firsts)))
            run_parallel([partial(self._fill, frame, texels, firsts[k::workers], end, f2) for k in range(workers)])
            yield frame.view(self.height, width, 3)[:, : self.width].cpu().numpy()

    def _fill(self, frame: Tensor, texels: Tensor, firsts: Sequence[int], end: int, f2: tuple) -> None:
        for first in firsts:
            part = slice(first, min(first + TILE_ROWS, end))
            frame.index_copy_(0, texels[part], self._colours(part, *f2).T.contiguous())

    def _f2_at(self, hour: float) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
        """F2 at one hour as it acts on the packed bytes, all transposed: hidden layers, then the colours' maps."""
        first, second, share = (values[0] for values in self._interpolation(np.array([hour])))
        near, far = self.frame_scale[first] * float(1.0 - share), self.frame_scale[second] * float(share)
        weight, bias = self.f2[-2].float().unflatten(1, (-1, 3)), self.f2[-1].float().view(-1, 3)
        weight = weight[:, first] * near + weight[:, second] * far
        bias = bias[first] * near + bias[second] * far
        # z = values * 2 / levels - 1, and values = pieces @ combine: both go into the layers that read z.
        step = 2.0 / (2**self.latents.bits - 1)
        hidden = [array.float().t() for array in self.f2[:-2]]
        dim = self.config.latent_dim
        direct = [weight[:dim].T, bias]
        for reads_z in (hidden, direct):
            reads_z[1] = reads_z[1] - reads_z[0].sum(dim=1)
            reads_z[0] = reads_z[0] @ self.latents.combine * step
        hidden[1::2] = [layer_bias.unsqueeze(1) for layer_bias in hidden[1::2]]
        return hidden, direct[0], direct[1].unsqueeze(1), weight[dim:].T.contiguous()

    def _colours(
        self, rows: Tensor | slice, hidden: Sequence[Tensor], direct: Tensor, bias: Tensor, from_hidden: Tensor
    ) -> Tensor:
        pieces = self.latents.pieces(rows)
        h = pieces
        for layer_weight, layer_bias in zip(hidden[::2], hidden[1::2], strict=True):
            h = torch.addmm(layer_bias, layer_weight, h).relu_()
        colours = torch.addmm(bias, direct, pieces).addmm_(from_hidden, h).clamp_min_(0.0)
        return colours if self.config.is_radiance else colours.clamp_max_(1.0)


def load(path: str | Path, device: str | torch.device = "cpu") -> GridDecoder:
    """The decoder of a checkpoint of a latent grid. Raises :class:`InputError` if it is not one."""
    return load_model(path, device).decoder()


def load_model(path: str | Path, device: str | torch.device = "cpu") -> LatentGrid:
    """The model of a checkpoint, in evaluation mode."""
    stored = checkpoint.read(path, CHECKPOINT_KIND)["model"]
    try:
        model = LatentGrid(GridConfig.from_dict(stored["config"]), stored["state"]["mask"])
        model.load_state_dict(stored["state"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(path, f"its model cannot be rebuilt ({error})", "use a checkpoint of this version") from error
    return model.eval().to(device)
