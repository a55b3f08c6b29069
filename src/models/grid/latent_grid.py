"""F1 as learned latent planes: a quantised latent vector per valid texel, and an F2 that shares work over the hours.

F2 maps a latent z to features once per texel, ``[z, relu MLP(z)]``, and each baked hour reads its colour from them with
a linear map of its own; between two baked hours the two maps are interpolated, which cross-fades radiance, except
across an event. Latents start as the temporal SVD of the data, see :mod:`src.models.grid.temporal_svd`.

from src.models.grid.latent_grid import load
decoder = load("runs/courtyard/best.ckpt")
colours = decoder.decode(xy, hours)    # single texels
frames = decoder.render([6, 12.5])     # whole images
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from src.models.grid.config import GridConfig
from src.models.grid.decoder import GridDecoder
from src.models.grid.latent_levels import LatentLevels
from src.models.grid.packed_latents import block_mask, block_of_texels
from src.models.grid.temporal_svd import temporal_svd
from src.utils import checkpoint
from src.utils.cli import InputError
from src.utils.tile_metrics import tile_of_texels

CHECKPOINT_KIND = "lightmap-grid"
_CHUNK = 65536  # texels


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
        texels = torch.nonzero(mask.flatten()).flatten()
        self.latents = nn.Parameter(torch.zeros(len(texels), config.latent_dim, device=mask.device))
        self.coarse = nn.ParameterList()
        for k, (stride, channels) in enumerate(config.coarse):
            blocks = block_mask(mask, stride)
            self.coarse.append(nn.Parameter(torch.zeros(int(blocks.sum()), channels, device=mask.device)))
            row = blocks.flatten().cumsum(0) - 1
            rows = row[block_of_texels(texels, config.width, stride)]  # of each valid texel
            self.register_buffer(f"coarse_rows_{k}", rows, persistent=False)
        arrays = [torch.zeros(shape, device=mask.device) for shape in config.f2_shapes]
        for weight, bias in zip(arrays[:-2:2], arrays[1:-2:2], strict=True):
            nn.init.normal_(weight, std=(2.0 / weight.shape[0]) ** 0.5)  # He et al. 2015
            nn.init.uniform_(bias, -0.5, 0.5)
        self.f2 = nn.ParameterList(arrays)

    def tile_of_texels(self) -> Tensor:
        """The number of the tile in which each valid texel lies, N; every lightmap has tiles of its own."""
        if not self.config.regions:
            return tile_of_texels(self.mask)
        parts = []
        for (_, first_row, height, width), tiles in zip(self.config.regions, self.config.tile_ranges, strict=True):
            part = self.mask[first_row : first_row + height, :width]
            parts.append(tiles.start + tile_of_texels(part))
        return torch.cat(parts)

    @torch.no_grad()
    def start_from(self, texels: Tensor) -> None:
        """Start as the temporal SVD of ``texels`` N x T x 3: frames are scaled to a peak of 1, F2 is linear."""
        peak = texels.amax(dim=(0, 2))
        self.frame_scale.copy_(torch.where(peak > 0, peak, 1.0))
        days = (texels / self.frame_scale[:, None]).flatten(1)
        bases, mean = [], 0.0
        # The coarsest first, of its blocks' means; every finer level of what is left of the texels.
        for table, rows in reversed(list(zip(self.coarse, self.rows(slice(None))[1:], strict=True))):
            counts = torch.bincount(rows, minlength=len(table)).unsqueeze(1)
            means = days.new_zeros(len(table), days.shape[1]).index_add_(0, rows, days) / counts
            svd = temporal_svd(means, table.shape[1])
            table.copy_(svd.latents)
            bases.insert(0, svd.basis)
            mean = mean + svd.mean
            described = svd.latents @ svd.basis + svd.mean
            for part, own in zip(days.split(_CHUNK), rows.split(_CHUNK), strict=True):
                part.sub_(described[own])
        svd = temporal_svd(days, self.config.latent_dim)
        self.latents.copy_(svd.latents)
        weight, bias = self.f2[-2], self.f2[-1]
        weight.zero_()
        # A black hour is exactly black, and without an error it stays so.
        lit = (peak > 0).repeat_interleave(3)
        weight[: self.config.z_dim] = torch.cat([svd.basis, *bases]) * lit
        bias.copy_((mean + svd.mean) * lit)

    def tables(self) -> list[nn.Parameter]:
        """The latents of each level: of texels N x latent_dim, then of blocks."""
        return [self.latents, *self.coarse]

    def rows(self, texels: Tensor | slice) -> list[Tensor | slice]:
        """Where some valid texels, counted row-major, stand in each of :meth:`tables`."""
        return [texels, *(getattr(self, f"coarse_rows_{k}")[texels] for k in range(len(self.coarse)))]

    def z(self, texels: Tensor | slice) -> Tensor:
        """The latents of some valid texels at all levels, M x z_dim."""
        return torch.cat([table[rows] for table, rows in zip(self.tables(), self.rows(texels), strict=True)], dim=1)

    def forward(self, z: Tensor) -> Tensor:
        """``z`` M x z_dim -> all baked hours, M x T x 3, relative to ``frame_scale``."""
        return torch.addmm(self.f2[-1], _features(z, self.f2), self.f2[-2]).unflatten(1, (-1, 3))

    def at_hours(self, z: Tensor, hour: Tensor) -> Tensor:
        """``z`` M x z_dim, each at one baked hour: ``hour`` M int64, an index -> M x 3, relative as above."""
        weight = self.f2[-2].unflatten(1, (-1, 3))[:, hour]  # F x M x 3
        return torch.einsum("mf,fmc->mc", _features(z, self.f2), weight) + self.f2[-1].view(-1, 3)[hour]

    @property
    def levels(self) -> int:
        """The highest quantised value."""
        return 2**self.config.latent_bits - 1

    @torch.no_grad()
    def quantised(self, latents: Tensor) -> Tensor:
        """``latents`` as integers in [0, levels], uint8."""
        return ((latents.clamp(-1.0, 1.0) + 1.0) * (self.levels / 2)).round_().to(torch.uint8)

    @torch.no_grad()
    def rounded(self, latents: Tensor) -> Tensor:
        """``latents`` where their quantised values are."""
        return self.quantised(latents) * (2.0 / self.levels) - 1.0

    @torch.no_grad()
    def round_latents(self) -> None:
        """Put every latent where its quantised value is; changes nothing the second time."""
        for table in self.tables():
            table.copy_(self.rounded(table))

    @torch.no_grad()
    def round_f2(self) -> None:
        """Put F2's weights where half precision keeps them, as they are shipped."""
        for array in self.f2:
            array.copy_(array.half())

    def decoder(self) -> GridDecoder:
        strides = (1, *(stride for stride, _ in self.config.coarse))
        values = ((stride, self.quantised(table)) for stride, table in zip(strides, self.tables(), strict=True))
        latents = LatentLevels(self.mask, values, self.config.latent_bits)
        arrays = [array.detach().half() for array in self.f2]
        return GridDecoder(self.config, latents, arrays, self.frame_scale)


def _features(z: Tensor, f2: Sequence[Tensor]) -> Tensor:
    h = z
    for weight, bias in zip(f2[:-2:2], f2[1:-2:2], strict=True):
        h = torch.relu(torch.addmm(bias, h, weight))
    return torch.cat((z, h), dim=1)


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
