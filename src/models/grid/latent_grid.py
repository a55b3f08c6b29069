"""F1 as learned latent planes: a quantised latent vector per valid texel, and an F2 that shares work over the hours.

F2 maps a latent z to features once per texel, ``[z, relu MLP(z)]``, and each baked hour reads its colour from them with
a linear map of its own; between two baked hours the two maps are interpolated, which cross-fades radiance, except
across an event. Latents start as the temporal SVD of the data, see :mod:`src.models.grid.temporal_svd`.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from src.models.grid.block_latents import BlockLatents
from src.models.grid.block_rounding import BlockLayout
from src.models.grid.config import GridConfig
from src.models.grid.decoder import GridDecoder
from src.models.grid.f2_weights import F2Weights
from src.models.grid.group_rounding import round_groups
from src.models.grid.latent_levels import LatentLevels
from src.models.grid.packed_latents import block_mask, block_of_texels
from src.models.grid.quantiser import Quantiser
from src.models.grid.temporal_svd import temporal_svd
from src.utils import checkpoint
from src.utils.tile_metrics import tile_of_texels

CHECKPOINT_KIND = "lightmap-grid"
ROUNDING_PRICE = 0.12  # squared steps that a bit is worth: from 1/12 to 1/48 per value is what the first bit brings
_CHUNK = 65536  # texels


class LatentGrid(nn.Module):
    """The trainable form: latents as floats in [-1, 1], F2 as float32."""

    mask: Tensor
    frame_scale: Tensor
    error_level: Tensor
    rate_price: Tensor
    rounding_price: Tensor
    memory_goal: Tensor
    price_check: Tensor
    is_rounded: Tensor

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
        for weight, bias in F2Weights.from_arrays(arrays).hidden:
            nn.init.normal_(weight, std=(2.0 / weight.shape[0]) ** 0.5)  # He et al. 2015
            nn.init.uniform_(bias, -0.5, 0.5)
        self.f2 = nn.ParameterList(arrays)
        self.quantiser = Quantiser(config.latent_bits)
        if config.blocks:  # what training has found out, kept with the latents so that a resumed run goes on alike
            self.register_buffer("rate_price", torch.zeros((), dtype=torch.float64, device=mask.device))
            self.register_buffer(
                "rounding_price", torch.full((), ROUNDING_PRICE, dtype=torch.float64, device=mask.device)
            )
            self.register_buffer("memory_goal", torch.zeros((), dtype=torch.float64, device=mask.device))
            self.register_buffer("price_check", torch.zeros((), dtype=torch.int64, device=mask.device))
            self.register_buffer("is_rounded", torch.zeros((), dtype=torch.bool, device=mask.device))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        if self.config.blocks:  # earlier checkpoints have no goal
            state_dict.setdefault(f"{prefix}memory_goal", torch.zeros_like(self.memory_goal))
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def f2_weights(self) -> F2Weights:
        """The trained arrays ``f2`` by name."""
        return F2Weights.from_arrays(list(self.f2))

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
    def start_from(self, texels: Tensor, scale: float = 1.0) -> None:
        """Start as the temporal SVD of ``texels`` N x T x 3: frames are scaled to a peak of 1, F2 is linear.

        A quantisation step changes the colours alike in every channel; that with the largest changes has latents from
        ``-scale`` to ``scale``, the others accordingly less.
        """
        peak = texels.amax(dim=(0, 2))
        self.frame_scale.copy_(torch.where(peak > 0, peak, 1.0))
        svd = temporal_svd(
            texels.flatten(1), self.config.latent_dim, scale=self.frame_scale.repeat_interleave(texels.shape[2])
        )
        _, basis = svd.in_equal_steps(scale, out=self.latents.data)
        f2 = self.f2_weights
        f2.hour_weight.zero_()
        # A black hour is exactly black, and without an error it stays so.
        lit = (peak > 0).repeat_interleave(3)
        f2.hour_weight[: self.config.latent_dim] = basis * lit
        f2.hour_bias.copy_(svd.mean * lit)

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
        f2 = self.f2_weights
        return torch.addmm(f2.hour_bias, f2.features(z), f2.hour_weight).unflatten(1, (-1, 3))

    @cached_property
    def layout(self) -> BlockLayout:
        """How the valid texels lie in blocks."""
        return BlockLayout.of(self.mask)

    @torch.no_grad()
    def codes(self) -> list[Tensor]:
        """The integers of each of :meth:`tables` that are stored, uint8."""
        if self.config.blocks:
            return [self.codes_of(self.layout, slice(None))]
        return [self.quantiser.to_code(table) for table in self.tables()]

    @torch.no_grad()
    def codes_of(self, layout: BlockLayout, texels: Tensor | slice) -> Tensor:
        """The integers of some valid texels, which lie in blocks as ``layout`` says, M x D uint8."""
        if self.is_rounded:
            return self.quantiser.to_code(self.latents[texels])
        return round_groups(layout, self.latents[texels], self.config.latent_bits, float(self.rounding_price))

    @torch.no_grad()
    def round_latents(self, tables: list[Tensor] | None = None) -> None:
        """Put every latent where its integer is, by default that of :meth:`codes`; changes nothing the second time."""
        for table, codes in zip(self.tables(), tables or self.codes(), strict=True):
            for rows, stored in zip(table.split(_CHUNK), codes.split(_CHUNK), strict=True):
                rows.copy_(self.quantiser.to_value(stored))
        if self.config.blocks:
            self.is_rounded.fill_(True)

    @torch.no_grad()
    def round_f2(self) -> None:
        """Put F2's weights where half precision keeps them, as they are shipped."""
        for array in self.f2:
            array.copy_(array.half())

    def decoder(self) -> GridDecoder:
        codes, bits = self.codes(), self.config.latent_bits
        if self.config.blocks:
            latents: BlockLatents | LatentLevels = BlockLatents.pack(self.mask, codes[0], bits)
        else:
            strides = (1, *(stride for stride, _ in self.config.coarse))
            latents = LatentLevels(self.mask, zip(strides, codes, strict=True), bits)
        f2 = self.f2_weights.map(lambda array: array.detach().half())
        return GridDecoder(self.config, latents, f2, self.frame_scale)


def load(path: str | Path, device: str | torch.device = "cpu") -> GridDecoder:
    """The decoder of a checkpoint of a latent grid. Raises :class:`InputError` if it is not one."""
    return load_grid(path, device).decoder()


def load_grid(path: str | Path, device: str | torch.device = "cpu") -> LatentGrid:
    """The model of a checkpoint, in evaluation mode."""

    def build(stored: dict) -> LatentGrid:
        return LatentGrid(GridConfig.from_dict(stored["config"]), stored["state"]["mask"])

    return checkpoint.read_model(path, CHECKPOINT_KIND, build).to(device)
