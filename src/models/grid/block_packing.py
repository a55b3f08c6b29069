"""Writing the records of packed blocks."""

from __future__ import annotations

import torch
from torch import Tensor

from src.models.grid.block_records import (
    BLOCK,
    BLOCKS,
    CHUNK,
    EMPTY,
    GROUP,
    PARTIAL,
    SIDE,
    TEXELS,
    WORD,
    RecordLayout,
    bit_length,
)


def pack_blocks(mask: Tensor, values: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """``mask`` H x W bool; ``values`` N x D integers in [0, 2^bits) of its valid texels, row-major -> (index, words),
    int32. Raises :class:`ValueError` when there are more words than an entry of the index can count."""
    layout = RecordLayout(values.shape[1], bits)
    across = -(-mask.shape[1] // GROUP)
    bands = max(1, CHUNK // across) * GROUP
    index, words, address, first = [], [], 0, 0
    for top in range(0, len(mask), bands):
        part = mask[top : top + bands]
        count = int(part.sum())
        band_index, band_words = _pack_band(layout, part, values[first : first + count])
        filled = band_index != EMPTY
        index.append(torch.where(filled, band_index + address, EMPTY))
        words.append(band_words)
        address += len(band_words)
        first += count
    if address >= PARTIAL:
        raise ValueError(f"the packed latents take {address} words, an index holds fewer than {PARTIAL}")
    words.append(words[0].new_zeros(2))  # windows of 32 bits may reach past the last record
    return _as_int32(torch.cat(index)), torch.cat(words)


def _pack_band(layout: RecordLayout, mask: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of groups: (their entries, counted from the first word of the band, int64; the words, int32)."""
    dim, device = layout.latent_dim, values.device
    texels, groups = _texels_of_blocks(mask)
    # Channel by channel, and a texel's number in its block before its block: what is found of blocks is then found of
    # long rows. D x 16 x B, and D x B of the B blocks of all groups.
    dense = torch.zeros(dim, TEXELS * BLOCKS * groups, dtype=torch.uint8, device=device)
    dense = dense.index_copy_(1, texels, values.T.to(torch.uint8)).view(dim, TEXELS, -1)
    valid = torch.zeros(dense[0].numel(), dtype=torch.uint8, device=device)
    valid = valid.scatter_(0, texels, 255).view(TEXELS, -1)
    low, high = (dense | ~valid).amin(1), dense.amax(1)
    count = (valid & 1).sum(0, dtype=torch.int32)
    has = count > 0
    base, top = low.view(dim, groups, BLOCKS).amin(2), high.view(dim, groups, BLOCKS).amax(2)
    of_groups = count.view(groups, BLOCKS)
    texel_count = of_groups.sum(1)
    used = texel_count > 0
    lengths = bit_length(device)
    wide = lengths[torch.where(used, top - base, 0).int()]  # D x G
    code = lengths[wide]
    narrow = lengths[torch.where(has, high - low, 0).int()]  # D x B
    size = narrow.sum(0, dtype=torch.int32).view(groups, BLOCKS)
    before = narrow.cumsum(0, dtype=torch.int32) - narrow
    partial = used & (texel_count < TEXELS * BLOCKS)
    first_header, first_payload = layout.places(partial, of_groups, size, (wide + code).T)
    bits = torch.where(used, first_payload[:, -1] + of_groups[:, -1] * size[:, -1], 0)
    length = (bits + WORD - 1) // WORD
    start = length.cumsum(0) - length
    words = torch.zeros(int(length.sum()) + 1, dtype=torch.int64, device=device)
    record = start * WORD

    def write(at: Tensor, field: Tensor) -> None:
        """Fields, of which no 0 needs to be written, at bits of the band."""
        shifted = field.long() << (at & WORD - 1)
        word = at >> 5
        words.index_add_(0, word, shifted & 0xFFFFFFFF)
        over = torch.nonzero(shifted >> WORD).flatten()
        words.index_add_(0, word[over] + 1, shifted[over] >> WORD)

    def write_some(at: Tensor, field: Tensor) -> None:
        chosen = field.flatten().nonzero().flatten()
        write(at.expand(field.shape).flatten()[chosen], field.flatten()[chosen])

    block = torch.arange(BLOCKS, device=device)
    write_some(record.unsqueeze(1) + block * layout.size_bits, size)
    flag = 1 << torch.arange(TEXELS, dtype=torch.int32, device=device).unsqueeze(1)
    flags = ((valid & 1) * flag).sum(0, dtype=torch.int32).view(groups, BLOCKS)
    write_some(
        record.unsqueeze(1) + BLOCKS * layout.size_bits + block * TEXELS,
        torch.where(partial.unsqueeze(1), flags, 0),
    )
    channel = torch.arange(dim, device=device).unsqueeze(1)
    at = record + layout.first_channel(partial) + channel * layout.channel_bits
    write_some(at, torch.where(used, base, 0))
    write_some(at + layout.bits, wide)
    fields = wide + code
    at = (fields.cumsum(0) - fields).unsqueeze(2) + (first_header + record.unsqueeze(1))  # D x G x 16
    write_some(at, torch.where(has, low - base.repeat_interleave(BLOCKS, 1), 0).view(at.shape))
    write_some(at + wide.unsqueeze(2), narrow.view(at.shape))
    rank = (valid & 1).cumsum(0, dtype=torch.int32) - 1
    payload = (first_payload + record.unsqueeze(1)).flatten() + rank * size.flatten()  # 16 x B, of valid texels
    above = (dense - low.unsqueeze(1)).bitwise_and_(valid)
    place = torch.nonzero(above.flatten()).flatten()
    channel = torch.div(place, valid.numel(), rounding_mode="floor")
    texel = place - channel * valid.numel()
    of_block = before.flatten()[channel * len(count) + texel % len(count)]
    write(payload.flatten()[texel] + of_block, above.flatten()[place])
    return torch.where(used, start | (partial.long() << 31), EMPTY), _as_int32(words[:-1])


def _texels_of_blocks(mask: Tensor) -> tuple[Tensor, int]:
    """(of each valid texel, row-major, its number in its block times the number of blocks plus its block, counted group
    by group; the number of groups)."""
    height, width = mask.shape
    y, x = torch.arange(height, device=mask.device).unsqueeze(1), torch.arange(width, device=mask.device)
    across = -(-width // GROUP)
    groups = -(-height // GROUP) * across
    block = (y // GROUP * across + x // GROUP) * BLOCKS + y % GROUP // BLOCK * SIDE + x % GROUP // BLOCK
    return ((y % BLOCK * BLOCK + x % BLOCK) * (groups * BLOCKS) + block)[mask], groups


def _as_int32(words: Tensor) -> Tensor:
    """Unsigned 32-bit values in int64 as the int32 of the same bits."""
    return (words - ((words >> 31 & 1) << WORD)).to(torch.int32)
