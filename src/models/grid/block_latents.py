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
    WORD,
    RecordLayout,
    bit_length,
    popcount16,
)

_WINDOW_STEP = WORD - 8  # a value that begins within these bits of a window lies in it


class _Groups(NamedTuple):
    """What the records of G groups say about their blocks."""

    valid: Tensor  # G x 16: the valid texels of each block, a bit each
    size: Tensor  # G x 16: bits of one texel
    header: Tensor  # G x 16: first bit of a block's header in the record
    payload: Tensor  # G x 16: first bit of a block's texels
    base: Tensor  # G x D
    width: Tensor  # G x D


class _Channels(NamedTuple):
    """What B blocks say about their channels, B x D each."""

    low: Tensor  # the smallest value
    mask: Tensor  # of the bits that are added to it
    shift: Tensor  # where these lie in the window that holds them
    window: Tensor  # which one that is
    windows: Tensor  # B: the last one of all channels


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
        entry = self.index[block // BLOCKS]
        used, partial = entry != EMPTY, entry < 0
        # Flags of a block never lie across two words: they begin at a multiple of 16.
        flags = BLOCKS * self._layout.size_bits + block % BLOCKS * TEXELS
        word = torch.where(used & partial, (entry & PARTIAL - 1) + (flags >> 5), 0)
        flagged = (self.words[word] >> ((flags & 31) + at).int() & 1).bool()
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
        return torch.cat([self._values_of_groups(groups) for groups in self._used_groups()], dim=1)

    def span(self, first_row: int, end_row: int) -> tuple[int, int]:
        """Where in :attr:`valid` the texels of some rows of the map begin and end. ``first_row`` begins a group."""
        row = self.valid[0] // (self.width * GROUP)
        bounds = torch.tensor([first_row // GROUP, -(-end_row // GROUP)], device=self.device)
        begin, end = torch.searchsorted(row, bounds).tolist()
        return begin, end

    def pieces(self, rows: Sequence[Tensor | slice], out: Tensor | None = None) -> Tensor:
        """The values of some valid texels, D x M float32: a slice of :attr:`valid`, or places as of :meth:`rows`."""
        (chosen,) = rows
        values = self._unpacked[:, chosen] if isinstance(chosen, slice) else self._values_at(chosen)
        return values.float() if out is None else out.copy_(values)

    def unpack(self, rows: Sequence[Tensor | slice]) -> Tensor:
        """The values of some valid texels as :meth:`pieces` takes them, M x D uint8."""
        (chosen,) = rows
        if isinstance(chosen, slice):
            return self._unpacked[:, chosen].T
        return self._values_at(chosen).T.to(torch.uint8)

    def _used_groups(self) -> Sequence[Tensor]:
        return torch.nonzero(self.index != EMPTY).flatten().split(CHUNK)

    def _values_of_groups(self, groups: Tensor) -> Tensor:
        """D x valid texels of the groups, uint8."""
        record = self._records(groups)
        word = self._first_word(groups).view(-1, 1, 1)
        low, width, before = self._blocks(record, word)  # G x 16 x D
        flags = self._flags(record)
        rank = torch.where(flags, flags.cumsum(2, dtype=torch.int32) - 1, 0)
        first = record.payload.unsqueeze(2) + rank * record.size.unsqueeze(2)
        values = low.unsqueeze(2).expand(-1, -1, TEXELS, -1).permute(3, 0, 1, 2).to(torch.uint8)
        values = values.contiguous()
        # A texel's bits are read 32 at a time; a channel is taken from the first window that holds all of it.
        left = (width > 0) & (record.valid > 0).unsqueeze(2)  # a block without a valid texel has no header
        offset = 0
        while left.any():
            held = left & (before >= offset) & (before + width <= offset + WORD)
            window = self._window(word, first + record.size.clamp_max(offset).unsqueeze(2))
            mask = torch.where(held, (1 << width) - 1, 0)
            shift = (before - offset).clamp(0, WORD - 1)
            for channel in torch.nonzero(held.flatten(0, 1).any(0)).flatten().tolist():
                part = window >> shift[:, :, channel, None]
                values[channel] += part.bitwise_and_(mask[:, :, channel, None]).to(torch.uint8)
            left &= ~held
            offset += _WINDOW_STEP
        return values[:, flags]

    def _values_at(self, places: Tensor) -> Tensor:
        """D x M int32 of sorted ``places``."""
        if not len(places):
            return torch.zeros(self.latent_dim, 0, dtype=torch.int32, device=self.device)
        at = (places % TEXELS).int()
        blocks, which = (places // TEXELS).unique_consecutive(return_inverse=True)
        groups, of_group = (blocks // BLOCKS).unique_consecutive(return_inverse=True)
        record = self._records(groups)
        own = (of_group, blocks % BLOCKS)
        word = self._first_word(groups)[of_group]
        chosen = record._replace(
            header=record.header[own].unsqueeze(1), base=record.base[of_group], width=record.width[of_group]
        )
        low, width, before = (part.squeeze(1) for part in self._blocks(chosen, word.view(-1, 1, 1)))  # B x D
        before = torch.where(width > 0, before, 0)
        window = torch.div(before, _WINDOW_STEP, rounding_mode="floor")
        channels = _Channels(low, (1 << width) - 1, before - window * _WINDOW_STEP, window, window.amax(1))
        rank = popcount16(record.valid[own].index_select(0, which) & (1 << at) - 1)
        size = record.size[own].index_select(0, which)
        first = record.payload[own].index_select(0, which) + rank * size
        return self._read(channels, which, word.index_select(0, which), first, size).T

    def _read(self, channels: _Channels, block: Tensor, word: Tensor, first: Tensor, size: Tensor) -> Tensor:
        """M x D values of texels, by their ``block`` M, and where in the words their bits begin and how many these are.

        Bits are read 32 at a time; a channel is taken from the last window before it: for most texels the first one.
        """
        windows = channels.windows.index_select(0, block)
        later = torch.nonzero(windows).flatten()
        held = self._window(word, first).unsqueeze(1)
        low, mask, shift = (part.index_select(0, block) for part in channels[:3])
        values = (held >> shift).bitwise_and_(mask).add_(low)
        if len(later):
            of_channel = channels.window.index_select(0, block[later])
            held = held[later]
            for k in range(1, int(windows.max()) + 1):
                next_held = self._window(word[later], first[later] + size[later].clamp_max(k * _WINDOW_STEP))
                held = torch.where(of_channel >= k, next_held.unsqueeze(1), held)
            values[later] = (held >> shift[later]).bitwise_and_(mask[later]).add_(low[later])
        return values

    def _blocks(self, record: _Groups, word: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Smallest value, bits, and bits of the channels before, for each channel: the shape of headers x D, int32."""
        wide = record.width.unsqueeze(1)
        code = bit_length(self.device)[wide]
        fields = wide + code
        position = record.header.unsqueeze(2) + fields.cumsum(2, dtype=torch.int32) - fields
        header = self._window(word, position)
        low = record.base.unsqueeze(1) + (header & (1 << wide) - 1)
        width = header >> wide & (1 << code) - 1
        return low, width, width.cumsum(2, dtype=torch.int32) - width

    def _flags(self, record: _Groups) -> Tensor:
        """G x 16 x 16 bool: which texels of the blocks are valid."""
        texel = torch.arange(TEXELS, dtype=torch.int32, device=self.device)
        return (record.valid.unsqueeze(2) >> texel & 1).bool()

    def _locate(self, texels: Tensor) -> tuple[Tensor, Tensor]:
        """Row-major texels -> (their block, counted group by group; their number in it)."""
        y = torch.div(texels, self.width, rounding_mode="floor")
        x = texels - y * self.width
        group = (y >> 4) * -(-self.width // GROUP) + (x >> 4)
        return (group << 4) + (y >> 2 & 3) * SIDE + (x >> 2 & 3), (y & 3) * BLOCK + (x & 3)

    def _first_word(self, groups: Tensor) -> Tensor:
        """The first words of groups' records, int64."""
        return self.index[groups].long() & PARTIAL - 1

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
        low, high = self.words[at], self.words[at + 1]
        return (low >> shift & (2 << 31 - shift) - 1) | high << 1 << 31 - shift
