"""Rounding that knows what the headers of blocks cost: a channel's smallest values in the blocks of a group."""

from __future__ import annotations

import torch
from torch import Tensor

from src.models.grid.block_records import bit_length
from src.models.grid.block_rounding import BlockLayout, round_blocks
from src.models.grid.quantiser import Quantiser

_WIDTHS = 3  # that a group may be narrowed to: 0, 1 and 2 bits; wider ones save little
_CHUNK = 32  # groups at a time: more leave the processor's cache


@torch.no_grad()
def round_groups(layout: BlockLayout, latents: Tensor, bits: int, bit_price: float) -> Tensor:
    """As :func:`round_blocks`; then a group's channel is held within 1, 2 or 4 values where that pays.

    The fewer its values, the fewer bits takes the header of each of its blocks, see
    :mod:`src.models.grid.block_records`: the least ``sum (code - latent)^2 + bit_price bits`` is chosen, of windows
    around the mean.
    """
    codes = round_blocks(layout, latents, bits, bit_price)
    for blocks, groups in layout.runs(_CHUNK):
        rows, slots = layout.texels[blocks].long(), layout.slots(blocks)
        exact = Quantiser(bits).in_steps(latents[rows].clamp(-1.0, 1.0) + 1.0)
        values = _narrowed(
            codes[rows].float(), exact, slots.unsqueeze(2), layout.group[blocks] - groups.start, bit_price
        )
        codes[rows[slots]] = values[slots].to(torch.uint8)
    return codes


def _narrowed(values: Tensor, exact: Tensor, slots: Tensor, group: Tensor, bit_price: float) -> Tensor:
    """``values`` of M whole blocks, M x 16 x D; ``slots`` M x 16 x 1 says which are not a repetition, ``group`` M int64
    in which of the groups a block lies."""
    lengths = bit_length(values.device)
    count, blocks = slots.sum(1), torch.bincount(group).unsqueeze(1)
    index = group.unsqueeze(1).expand(-1, values.shape[2])
    groups = values.new_zeros(len(blocks), values.shape[2])

    def total(of_blocks: Tensor) -> Tensor:
        return groups.index_add(0, group, of_blocks)

    def cost(values: Tensor) -> Tensor:
        """Of all but the headers, groups x D."""
        bits = lengths[(values.amax(1) - values.amin(1)).int()] * count
        return total(((values - exact).square_() * slots).sum(1) + bit_price * bits)

    low = groups.scatter_reduce(0, index, values.amin(1), "amin", include_self=False)
    high = groups.scatter_reduce(0, index, values.amax(1), "amax", include_self=False)
    mean = total((exact * slots).sum(1)) / total(count.float().expand_as(index))
    width = lengths[(high - low).int()]
    least = cost(values) + bit_price * blocks * (width + lengths[width])
    bottom, top = low, high
    for narrow in range(_WIDTHS):
        span = 2.0**narrow - 1.0
        start = torch.minimum(torch.maximum((mean - span / 2).round(), low), high)
        held = values.clamp(start[group].unsqueeze(1), (start + span)[group].unsqueeze(1))
        found = cost(held) + bit_price * blocks * (narrow + narrow.bit_length())
        better = (narrow < width) & (found < least)
        least = torch.where(better, found, least)
        bottom, top = torch.where(better, start, bottom), torch.where(better, start + span, top)
    return values.clamp(bottom[group].unsqueeze(1), top[group].unsqueeze(1))
