"""Writing the records of packed blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
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
    dim = layout.latent_dim
    dense = values.new_zeros(*mask.shape, dim)
    dense[mask] = values
    valid, dense = _blocked(mask.unsqueeze(2)).squeeze(3), _blocked(dense).int()  # G x 16 x 16 (x D)
    low = torch.where(valid.unsqueeze(3), dense, 255).amin(2)
    high = torch.where(valid.unsqueeze(3), dense, 0).amax(2)
    count = valid.sum(2, dtype=torch.int32)
    has = count > 0
    base, top = torch.where(has.unsqueeze(2), low, 255).amin(1), torch.where(has.unsqueeze(2), high, 0).amax(1)
    lengths = bit_length(values.device)
    wide = lengths[(top - base).clamp_min(0)]  # G x D
    narrow = torch.where(has.unsqueeze(2), lengths[(high - low).clamp_min(0)], 0)  # G x 16 x D
    size = narrow.sum(2, dtype=torch.int32)
    partial = (count.sum(1) < TEXELS * BLOCKS) & has.any(1)
    code = lengths[wide]
    first_header, first_payload = layout.places(partial, count, size, wide + code)
    used = has.any(1)
    bits = torch.where(used, first_payload[:, -1] + count[:, -1] * size[:, -1], 0)
    length = (bits + WORD - 1) // WORD
    start = length.cumsum(0) - length
    words = torch.zeros(int(length.sum()) + 1, dtype=torch.int64, device=values.device)

    def write(at: Tensor, field: Tensor, chosen: Tensor) -> None:
        """``field`` at bit ``at`` of the records: of any shape that begins with the groups, where ``chosen``."""
        shape = torch.broadcast_shapes(at.shape, field.shape, chosen.shape)
        field = field.expand(shape).reshape(-1)
        place = torch.nonzero((chosen.expand(shape) & (field.view(shape) != 0)).reshape(-1)).flatten()  # 0 is there
        bit = at.expand(shape).reshape(-1)[place]
        word = start[torch.div(place, len(field) // len(start), rounding_mode="floor")] + (bit >> 5)
        shifted = field[place].long() << (bit & 31)
        words.index_add_(0, word, shifted & 0xFFFFFFFF)
        over = torch.nonzero(shifted >> WORD).flatten()
        words.index_add_(0, word[over] + 1, shifted[over] >> WORD)

    block = torch.arange(BLOCKS, device=values.device)
    of_used = used.unsqueeze(1)
    write(block * layout.size_bits, size, of_used)
    flags = (valid << torch.arange(TEXELS, device=values.device)).sum(2)
    write(BLOCKS * layout.size_bits + block * TEXELS, flags, partial.unsqueeze(1))
    channels = (
        layout.first_channel(partial).unsqueeze(1) + torch.arange(dim, device=values.device) * layout.channel_bits
    )
    write(channels, base, of_used)
    write(channels + layout.bits, wide, of_used)
    fields = wide + code
    header = first_header.unsqueeze(2) + (fields.cumsum(1) - fields).unsqueeze(1)
    kept = has.unsqueeze(2) & (wide > 0).unsqueeze(1)
    write(header, low - base.unsqueeze(1), kept)
    write(header + wide.unsqueeze(1), narrow, kept)
    rank = valid.cumsum(2) - valid.int()
    payload = first_payload.unsqueeze(2) + rank * size.unsqueeze(2)
    payload = payload.unsqueeze(3) + (narrow.cumsum(2) - narrow).unsqueeze(2)
    write(payload, dense - low.unsqueeze(2), valid.unsqueeze(3) & (narrow > 0).unsqueeze(2))
    entry = torch.where(used, start | (partial.long() << 31), EMPTY)
    return entry, _as_int32(words[:-1])


def _blocked(dense: Tensor) -> Tensor:
    """H x W x C -> groups x 16 blocks x 16 texels x C, filled up with zeros."""
    height, width, _ = dense.shape
    dense = F.pad(dense, (0, 0, 0, -width % GROUP, 0, -height % GROUP))
    parts = dense.unflatten(1, (-1, SIDE, BLOCK)).unflatten(0, (-1, SIDE, BLOCK))  # gy by y gx bx x C
    return parts.permute(0, 3, 1, 4, 2, 5, 6).flatten(4, 5).flatten(2, 3).flatten(0, 1)


def _as_int32(words: Tensor) -> Tensor:
    """Unsigned 32-bit values in int64 as the int32 of the same bits."""
    return (words - ((words >> 31 & 1) << WORD)).to(torch.int32)
