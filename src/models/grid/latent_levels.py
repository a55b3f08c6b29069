"""The latents of a lightmap at full resolution and, shared by blocks of texels, at coarser ones; random access."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from src.models.grid.packed_latents import PackedLatents, TexelIndex, block_mask, block_of_texels


@dataclass(frozen=True)
class Level:
    """Latents of blocks of ``stride`` x ``stride`` texels."""

    stride: int
    index: TexelIndex  # of blocks with a valid texel
    latents: PackedLatents


class LatentLevels:
    """A texel's latents are those of its own row at full resolution, then those of the blocks it lies in."""

    def __init__(self, mask: Tensor, values: Iterable[tuple[int, Tensor]], bits: int) -> None:
        """``mask`` H x W; ``values`` (stride, integers of the valid blocks N x D in [0, 2^bits)), full resolution
        (stride 1) first."""
        self.width = mask.shape[1]
        self.bits = bits
        self.levels = [
            Level(stride, TexelIndex(block_mask(mask, stride)), PackedLatents.pack(of_blocks, bits))
            for stride, of_blocks in values
        ]
        # combine @ pieces = values
        self.combine = torch.block_diag(*(level.latents.combine for level in self.levels))

    @property
    def index(self) -> TexelIndex:
        """Of the valid texels."""
        return self.levels[0].index

    @property
    def device(self) -> torch.device:
        return self.levels[0].latents.data.device

    @property
    def size_bytes(self) -> int:
        return sum(level.index.size_bytes + level.latents.size_bytes for level in self.levels)

    def rows(self, texels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Row-major ``texels`` M int64 -> (valid M bool, row M of each level; 0 where not valid)."""
        found = [level.index.rows(self._blocks(texels, level.stride)) for level in self.levels]
        return found[0][0], [rows for _, rows in found]

    @cached_property
    def valid(self) -> tuple[Tensor, list[Tensor]]:
        """(all valid texels N in the order of their rows at full resolution, their row N at each coarser level).

        For whole frames. Kept from the first use on, 8 bytes per texel and level; single texels do without it.
        """
        texels = self.index.valid_texels()
        coarser = [level.index.row_table()[self._blocks(texels, level.stride)] for level in self.levels[1:]]
        return texels, coarser

    def span(self, first_row: int, end_row: int) -> tuple[int, int]:
        """Where in :attr:`valid` the texels of some rows of the map begin and end."""
        bounds = torch.tensor([first_row, end_row], device=self.device) * self.width
        begin, end = torch.searchsorted(self.valid[0], bounds).tolist()
        return begin, end

    def pieces(self, rows: Sequence[Tensor | slice], out: Tensor | None = None) -> Tensor:
        """The bytes' pieces of M texels at all levels, P x M float32, see :meth:`PackedLatents.pieces`."""
        if out is None and len(self.levels) == 1:
            return self.levels[0].latents.pieces(rows[0])
        if out is None:
            count = len(cast(Tensor, rows[1]))  # those of coarser levels are never a slice
            out = torch.empty(self.combine.shape[1], count, device=self.device)
        first = 0
        for level, at in zip(self.levels, rows, strict=True):
            size = 2 * len(level.latents.data)
            level.latents.pieces(at, out[first : first + size])
            first += size
        return out

    def unpack(self, rows: Sequence[Tensor | slice]) -> Tensor:
        """The values of some texels at all levels, M x z_dim uint8."""
        parts = (level.latents.unpack(at) for level, at in zip(self.levels, rows, strict=True))
        return torch.cat(list(parts), dim=1)

    def _blocks(self, texels: Tensor, stride: int) -> Tensor:
        return texels if stride == 1 else block_of_texels(texels, self.width, stride)
