"""Quantised latents in blocks of 4 x 4 texels, each channel of a block with as many bits as it needs; random access.

A texel's latents are two dependent reads behind the look-up of its group, whatever the others hold, see
:mod:`src.models.grid.block_records`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from src.models.grid.block_packing import pack_blocks
from src.models.grid.block_records import (
    BLOCK,
    BLOCKS,
    CHUNK,
    EMPTY,
    GROUP,
    PARTIAL,
    SIDE,
    TEXELS,
    RecordLayout,
    bit_length,
    popcount16,
)

PLACES = 1 << 15  # unpacked at a time for whole frames


class _Groups(NamedTuple):
    """What the records of G groups say about their blocks."""

    valid: Tensor  # G x 16: the valid texels of each block, a bit each
    size: Tensor  # G x 16: bits of one texel
    header: Tensor  # G x 16: first bit of a block's header in the record
    payload: Tensor  # G x 16: first bit of a block's texels
    base: Tensor  # G x D
    width: Tensor  # G x D


class BlockLatents:
    """``latent_dim`` values of up to 8 bits for each valid texel of a map."""

    def __init__(self, index: Tensor, words: Tensor, height: int, width: int, latent_dim: int, bits: int) -> None:
        """``index`` int32, one per group, row-major; ``words`` int32: the groups' records."""
        self.index, self.words = index, words
        self.height, self.width = height, width
        self.latent_dim, self.bits = latent_dim, bits
        self.combine = torch.eye(latent_dim, device=words.device)  # combine @ pieces = values
        self._layout = RecordLayout(latent_dim, bits)

    @classmethod
    def pack(cls, mask: Tensor, values: Tensor, bits: int) -> BlockLatents:
        """``mask`` H x W bool; ``values`` N x D integers in [0, 2^bits) of its valid texels, row-major."""
        height, width = mask.shape
        return cls(*pack_blocks(mask, values, bits), height, width, values.shape[1], bits)

    @property
    def device(self) -> torch.device:
        return self.words.device

    @property
    def size_bytes(self) -> int:
        return 4 * (len(self.index) + len(self.words))

    def rows(self, texels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Row-major ``texels`` M int64 -> (valid M bool, their places M: 16 times the block and the number in it).

        Texels whose places are sorted are decoded fastest: those of a block then share what it says.
        """
        block, at = self._locate(texels)
        entry = self.index.index_select(0, block // BLOCKS)
        used, partial = entry != EMPTY, entry < 0
        # Flags of a block never lie across two words: they begin at a multiple of 16.
        flags = BLOCKS * self._layout.size_bits + (block & BLOCKS - 1).int() * TEXELS
        word = torch.where(used & partial, (entry & PARTIAL - 1) + (flags >> 5), 0)
        flagged = (self.words.index_select(0, word) >> (flags & 31) + at & 1).bool()
        return used & (flagged | ~partial), [block * TEXELS + at]

    @cached_property
    def valid(self) -> tuple[Tensor, list[Tensor]]:
        """(all valid texels N, block by block; no coarser levels). Kept from the first use on, 8 bytes per texel."""
        found = []
        texel = torch.arange(TEXELS, device=self.device)
        block = torch.arange(BLOCKS, device=self.device).unsqueeze(1)
        across = -(-self.width // GROUP)
        for groups in self._used_groups():
            y = (groups // across * GROUP).view(-1, 1, 1) + block // SIDE * BLOCK + texel // BLOCK
            x = (groups % across * GROUP).view(-1, 1, 1) + block % SIDE * BLOCK + texel % BLOCK
            found.append((y * self.width + x)[self._flags(self._records(groups))])
        return torch.cat(found), []

    @cached_property
    def _unpacked(self) -> Tensor:
        """The values of :attr:`valid`, D x N uint8: for whole frames, kept from the first one on."""
        parts = (self._values_at(self.rows(texels)[1][0]).to(torch.uint8) for texels in self.valid[0].split(PLACES))
        return torch.cat(list(parts), dim=1)

    def span(self, first_row: int, end_row: int) -> tuple[int, int]:
        """Where in :attr:`valid` the texels of some rows of the map begin and end. ``first_row`` begins a group."""
        row = self.valid[0] // (self.width * GROUP)
        bounds = torch.tensor([first_row // GROUP, -(-end_row // GROUP)], device=self.device)
        begin, end = torch.searchsorted(row, bounds).tolist()
        return begin, end

    def pieces(self, rows: Sequence[Tensor | slice], out: Tensor | None = None) -> Tensor:
        """The values of some valid texels, D x M float32: a slice of :attr:`valid`, or places as of :meth:`rows`."""
        (chosen,) = rows
        values = self._unpacked[:, chosen].float() if isinstance(chosen, slice) else self._values_at(chosen)
        return values if out is None else out.copy_(values)

    def unpack(self, rows: Sequence[Tensor | slice]) -> Tensor:
        """The values of some valid texels as :meth:`pieces` takes them, M x D uint8."""
        (chosen,) = rows
        if isinstance(chosen, slice):
            return self._unpacked[:, chosen].T
        return self._values_at(chosen).T.to(torch.uint8)

    def _used_groups(self) -> Sequence[Tensor]:
        return torch.nonzero(self.index != EMPTY).flatten().split(CHUNK)

    def _values_at(self, places: Tensor) -> Tensor:
        """D x M float32 of sorted ``places``.

        Most channels of most blocks are flat: all texels get their block's smallest values, and only what has bits of
        its own is read from the words.
        """
        if not len(places):
            return torch.zeros(self.latent_dim, 0, device=self.device)
        blocks, which, count = (places // TEXELS).unique_consecutive(return_inverse=True, return_counts=True)
        groups, of_group = (blocks // BLOCKS).unique_consecutive(return_inverse=True)
        record = self._records(groups)
        own = of_group * BLOCKS + blocks % BLOCKS
        valid, size, header, payload = (part.flatten().index_select(0, own) for part in record[:4])
        word = self._first_word(groups).index_select(0, of_group)
        low, width = self._blocks(record, of_group, word, header)
        values = low.T.float().index_select(1, which)

        before = width.cumsum(1, dtype=torch.int32) - width
        word, first, size, valid = (part.index_select(0, which) for part in (word, payload, size, valid))
        first += popcount16(valid & (1 << (places % TEXELS).int()) - 1) * size
        # A run: the texels of a block in one channel that is not flat.
        block, channel = torch.nonzero(width).unbind(1)
        low, width, before = (part[block, channel] for part in (low, width, before))
        begin, length = (count.cumsum(0) - count)[block], count[block]
        run = torch.repeat_interleave(length)
        begin += length - length.cumsum(0)
        number = torch.arange(len(run), device=self.device)
        texel = begin.index_select(0, run) + number
        bit = first.index_select(0, texel) + before.index_select(0, run)
        above = self._window(word.index_select(0, texel), bit) & ((1 << width) - 1).index_select(0, run)
        at = (channel * len(places) + begin).index_select(0, run) + number
        values.view(-1).scatter_(0, at, (low.index_select(0, run) + above).float())
        return values

    def _blocks(self, record: _Groups, of_group: Tensor, word: Tensor, header: Tensor) -> tuple[Tensor, Tensor]:
        """Smallest values and bits of the channels of B blocks, B x D int32."""
        code = bit_length(self.device)[record.width]
        fields = record.width + code
        offset = fields.cumsum(1, dtype=torch.int32) - fields
        base, wide, low_mask, width_mask, offset = (
            part.index_select(0, of_group)
            for part in (record.base, record.width, (1 << record.width) - 1, (1 << code) - 1, offset)
        )
        field = self._window(word.unsqueeze(1), header.unsqueeze(1) + offset)
        return base + (field & low_mask), field >> wide & width_mask

    def _flags(self, record: _Groups) -> Tensor:
        """G x 16 x 16 bool: which texels of the blocks are valid."""
        texel = torch.arange(TEXELS, dtype=torch.int32, device=self.device)
        return (record.valid.unsqueeze(2) >> texel & 1).bool()

    def _locate(self, texels: Tensor) -> tuple[Tensor, Tensor]:
        """Row-major texels -> (their block, counted group by group; their number in it)."""
        y = torch.div(texels, self.width, rounding_mode="floor")
        x = texels - y * self.width
        group = (y >> 4) * -(-self.width // GROUP) + (x >> 4)
        return (group << 4) + (y >> 2 & 3) * SIDE + (x >> 2 & 3), ((y & 3) * BLOCK + (x & 3)).int()

    def _first_word(self, groups: Tensor) -> Tensor:
        """The first words of groups' records, int32."""
        return self.index.index_select(0, groups) & PARTIAL - 1

    def _records(self, groups: Tensor) -> _Groups:
        """Of groups that have a valid texel."""
        word = self._first_word(groups).unsqueeze(1)
        partial = self.index[groups] < 0
        block = torch.arange(BLOCKS, dtype=torch.int32, device=self.device)
        size = self._window(word, block * self._layout.size_bits) & (1 << self._layout.size_bits) - 1
        # Whole groups have no flags: where they would be, the last record may have ended.
        flags = self._window(
            word, torch.where(partial.unsqueeze(1), BLOCKS * self._layout.size_bits + block * TEXELS, 0)
        )
        valid = torch.where(partial.unsqueeze(1), flags, -1) & (1 << TEXELS) - 1
        entry = self._layout.channel_bits
        channel = torch.arange(self.latent_dim, dtype=torch.int32, device=self.device) * entry
        both = self._window(word, self._layout.first_channel(partial).unsqueeze(1) + channel)
        base, wide = both & (1 << self.bits) - 1, both >> self.bits & (1 << self._layout.channel_bits - self.bits) - 1
        code = bit_length(self.device)[wide]
        header, payload = self._layout.places(partial, popcount16(valid), size, wide + code)
        return _Groups(valid, size, header, payload, base, wide)

    def _window(self, word: Tensor, bit: Tensor) -> Tensor:
        """32 bits from ``bit`` of the record that begins at ``word`` on, int32."""
        at, shift = word + (bit >> 5), bit & 31
        # On a CPU five times as fast as ``self.words[at]``.
        low, high = (self.words.index_select(0, part.flatten()).view_as(at) for part in (at, at + 1))
        return (low >> shift & (2 << 31 - shift) - 1) | high << 1 << 31 - shift
