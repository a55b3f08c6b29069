"""Latents as the integers that blocks pack best: how large they are, and rounding that knows what a bit costs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from src.models.grid.block_records import BLOCK, BLOCKS, GROUP, TEXELS, bit_length
from src.models.grid.quantiser import Quantiser

_CHUNK = 512  # blocks at a time: more leave the processor's cache
_GROUPS = 64


class BlockLayout(NamedTuple):
    """Which valid texels, counted row-major, lie in which block, and which blocks in which group."""

    texels: (
        Tensor  # B x 16 int32: the valid texels of each block that has one; its first one again where there are fewer
    )
    count: Tensor  # type: ignore[assignment]  # B int32: how many are valid; nobody counts in the tuple
    group: Tensor  # B int64: the block's group among those that have a valid texel
    partial: Tensor  # of each such group, whether some of its texels are not valid
    group_count: int  # with those that have none

    @classmethod
    def of(cls, mask: Tensor) -> BlockLayout:
        """Of a map's ``mask`` H x W bool."""
        height, width = mask.shape
        y, x = torch.nonzero(mask).unbind(1)
        group = y // GROUP * -(-width // GROUP) + x // GROUP
        block = group * BLOCKS + y % GROUP // BLOCK * (GROUP // BLOCK) + x % GROUP // BLOCK
        order = torch.argsort(block, stable=True)
        blocks, count = block[order].unique_consecutive(return_counts=True)
        slot = torch.arange(TEXELS, device=mask.device)
        first = (count.cumsum(0) - count).unsqueeze(1)
        texels = order[first + torch.where(slot < count.unsqueeze(1), slot, 0)].int()
        groups, group = (blocks // BLOCKS).unique_consecutive(return_inverse=True)
        filled = torch.zeros(len(groups), dtype=torch.int64, device=mask.device).index_add_(0, group, count)
        group_count = -(-height // GROUP) * -(-width // GROUP)
        return cls(texels, count.int(), group, filled < GROUP**2, group_count)

    def slots(self, blocks: Tensor | slice) -> Tensor:
        """M x 16 bool of M blocks: which of their ``texels`` are not a repetition."""
        slot = torch.arange(TEXELS, device=self.count.device)
        return slot < self.count[blocks].unsqueeze(1)

    def runs(self, groups: int) -> Iterator[tuple[slice, slice]]:
        """So many groups at a time: (the blocks that lie in them, these groups)."""
        firsts = torch.arange(0, len(self.partial) + groups, groups, device=self.group.device)
        for k, (first, end) in enumerate(pairwise(torch.searchsorted(self.group, firsts).tolist())):
            yield slice(first, end), slice(k * groups, min((k + 1) * groups, len(self.partial)))

    def some(self, blocks: int) -> tuple[BlockLayout, Tensor]:
        """(evenly spread groups of about so many blocks, with their texels counted anew; which texels those are)."""
        every = -(-len(self.count) // blocks)
        kept = self.group % every == every // 2
        kept = kept if kept.any() else torch.ones_like(kept)
        groups, group = self.group[kept].unique_consecutive(return_inverse=True)
        texels, renumbered = self.texels[kept].unique(return_inverse=True)
        group_count = round(self.group_count * len(groups) / len(self.partial))
        return BlockLayout(renumbered.int(), self.count[kept], group, self.partial[groups], group_count), texels.long()


@torch.no_grad()
def packed_bytes(layout: BlockLayout, codes: Tensor, bits: int) -> int:
    """What :class:`~src.models.grid.block_latents.BlockLatents` take in memory, exactly; ``codes`` N x D uint8."""
    dim, lengths = codes.shape[1], bit_length(codes.device)
    fixed = BLOCKS * (dim * bits).bit_length() + dim * (bits + bits.bit_length())
    words = torch.zeros((), dtype=torch.int64, device=codes.device)
    for blocks, groups in layout.runs(_GROUPS):
        low, high = (part.int() for part in codes[layout.texels[blocks].long()].aminmax(dim=1))
        partial, group = layout.partial[groups], layout.group[blocks] - groups.start
        index = group.unsqueeze(1).expand_as(low)
        base = low.new_full((len(partial), dim), 255).scatter_reduce_(0, index, low, "amin")
        top = torch.zeros_like(base).scatter_reduce_(0, index, high, "amax")
        wide = lengths[top - base]
        header = (wide + lengths[wide]).sum(1)
        total = (fixed + partial * (BLOCKS * TEXELS)).long()
        total.index_add_(0, group, lengths[high - low].sum(1) * layout.count[blocks] + header[group])
        words += ((total + 31) // 32).sum()
    return 4 * (int(words) + 2 + layout.group_count)


@torch.no_grad()
def round_blocks(layout: BlockLayout, latents: Tensor, bits: int, bit_price: float) -> Tensor:
    """``latents`` N x D in [-1, 1] -> codes N x D uint8, those of whole blocks moved where that narrows them.

    For each block and channel, of all widths w the one with the least ``sum (code - latent)^2 + bit_price n w``,
    distances in quantisation steps: an error of one step at one texel is worth ``1 / bit_price`` bits. Codes of texels
    that are in no block of ``layout`` are their nearest.
    """
    quantiser = Quantiser(bits)
    codes = quantiser.to_code(latents)
    for first in range(0, len(layout.count), _CHUNK):
        blocks = slice(first, first + _CHUNK)
        rows, slots = layout.texels[blocks].long(), layout.slots(blocks)
        exact = quantiser.in_steps(latents[rows].clamp(-1.0, 1.0) + 1.0)  # M x 16 x D
        codes[rows[slots]] = _narrowed(exact, slots.unsqueeze(2), bits, bit_price)[slots].to(torch.uint8)
    return codes


def texel_ranges(layout: BlockLayout, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest code of the block in which each texel lies, N x D uint8 each."""
    low, high = torch.empty_like(codes), torch.empty_like(codes)
    for first in range(0, len(layout.count), _CHUNK):
        blocks = slice(first, first + _CHUNK)
        rows, slots = layout.texels[blocks].long(), layout.slots(blocks)
        of_texels = codes[rows]
        low[rows[slots]] = of_texels.amin(1, keepdim=True).expand_as(of_texels)[slots]
        high[rows[slots]] = of_texels.amax(1, keepdim=True).expand_as(of_texels)[slots]
    return low, high


def _narrowed(exact: Tensor, slots: Tensor, bits: int, bit_price: float) -> Tensor:
    """M x 16 x D: what each value is rounded to."""
    nearest = exact.round()
    low, high = nearest.amin(1), nearest.amax(1)
    middle, count = (exact.amin(1) + exact.amax(1)) / 2, slots.sum(1)
    natural = torch.log2(high - low + 1.0).ceil()
    best, chosen = None, nearest
    for width in range(int(natural.max()) + 1):  # more than what is there only costs more
        span = 2.0**width - 1.0
        if width == 0:
            bottom = ((exact * slots).sum(1) / count).round()
        else:
            bottom = torch.where(natural <= width, low, (middle - span / 2).round()).clamp(0.0, 2.0**bits - 1.0 - span)
        values = nearest.clamp(min=bottom.unsqueeze(1), max=(bottom + span).unsqueeze(1))
        cost = ((values - exact).square_() * slots).sum(1) + bit_price * width * count
        if best is None:
            best, chosen = cost, values
        else:
            better = cost < best
            best = torch.where(better, cost, best)
            chosen = torch.where(better.unsqueeze(1), values, chosen)
    return chosen
