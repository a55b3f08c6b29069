"""Quantised latents in blocks of 4 x 4 texels, each channel of a block with as many bits as it needs; random access.

A group of 4 x 4 blocks has, for each channel, its smallest value (the base) and the bits W that its values need above
it. A block has, for each channel with W > 0, its own smallest value above the base in W bits, and the bits w that its
texels need above that. A texel has w bits per channel. The words in memory are described in docs/bundle-format.md: a
texel's latents are two dependent reads behind the look-up of its group, whatever the others hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 4  # texels on a side
GROUP = 16
SIDE = GROUP // BLOCK  # blocks on a side of a group
BLOCKS = SIDE**2  # in a group
TEXELS = BLOCK**2  # in a block
EMPTY = -1  # 0xFFFFFFFF: a group without a valid texel
_PARTIAL = 1 << 31  # of a group's entry: some of its texels are not valid
_WORD = 32
_WINDOW_STEP = _WORD - 8  # a value that begins within these bits of a window lies in it
_CHUNK = 1024  # groups packed or unpacked at a time


@lru_cache(maxsize=4)
def bit_length(device: torch.device) -> Tensor:
    """Of every integer from 0 to 255, int32: a table to look up."""
    return torch.tensor([value.bit_length() for value in range(256)], dtype=torch.int32, device=device)


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
        self._size_bits = (latent_dim * bits).bit_length()
        self._width_bits = bits.bit_length()

    @classmethod
    def pack(cls, mask: Tensor, values: Tensor, bits: int) -> BlockLatents:
        """``mask`` H x W bool; ``values`` N x D integers in [0, 2^bits) of its valid texels, row-major."""
        height, width = mask.shape
        across = -(-width // GROUP)
        empty = cls(
            mask.new_empty(0, dtype=torch.int32),
            mask.new_empty(0, dtype=torch.int32),
            height,
            width,
            values.shape[1],
            bits,
        )
        bands = max(1, _CHUNK // across) * GROUP
        index, words, address, first = [], [], 0, 0
        for top in range(0, height, bands):
            part = mask[top : top + bands]
            count = int(part.sum())
            band_index, band_words = empty._pack_band(part, values[first : first + count])
            filled = band_index != EMPTY
            index.append(torch.where(filled, band_index + address, EMPTY))
            words.append(band_words)
            address += len(band_words)
            first += count
        if address >= _PARTIAL:
            raise ValueError(f"the packed latents take {address} words, an index holds fewer than {_PARTIAL}")
        words.append(words[0].new_zeros(2))  # windows of 32 bits may reach past the last record
        return cls(_as_int32(torch.cat(index)), torch.cat(words), height, width, values.shape[1], bits)

    def _pack_band(self, mask: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of groups: (their entries, counted from the first word of the band, int64; the words, int32)."""
        dim = self.latent_dim
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
        first_header, first_payload = self._places(partial, count, size, wide + code)
        used = has.any(1)
        bits = torch.where(used, first_payload[:, -1] + count[:, -1] * size[:, -1], 0)
        length = (bits + _WORD - 1) // _WORD
        start = length.cumsum(0) - length
        words = torch.zeros(int(length.sum()) + 1, dtype=torch.int64, device=values.device)

        def write(at: Tensor, field: Tensor, of_group: Tensor) -> None:
            """``field`` M at bit ``at`` M of the records of ``of_group`` M."""
            word, shift = start[of_group] + at // _WORD, at % _WORD
            shifted = field.long() << shift
            words.index_add_(0, word, shifted & 0xFFFFFFFF)
            words.index_add_(0, word + 1, shifted >> _WORD)

        def write_all(at: Tensor, field: Tensor, chosen: Tensor) -> None:
            """Fields of any shape that begins with the groups; only those ``chosen``."""
            at, field, chosen = torch.broadcast_tensors(at, field, chosen)
            of_group = torch.arange(len(at), device=at.device).view(-1, *[1] * (at.ndim - 1)).expand_as(at)
            write(at[chosen], field[chosen], of_group[chosen])

        block = torch.arange(BLOCKS, device=values.device)
        of_used = used.unsqueeze(1)
        write_all(block * self._size_bits, size, of_used)
        flags = (valid << torch.arange(TEXELS, device=values.device)).sum(2)
        write_all(BLOCKS * self._size_bits + block * TEXELS, flags, partial.unsqueeze(1))
        channels = self._channel_bits(partial).unsqueeze(1) + torch.arange(dim, device=values.device) * (
            self.bits + self._width_bits
        )
        write_all(channels, base, of_used)
        write_all(channels + self.bits, wide, of_used)
        fields = wide + code
        header = first_header.unsqueeze(2) + (fields.cumsum(1) - fields).unsqueeze(1)
        kept = has.unsqueeze(2) & (wide > 0).unsqueeze(1)
        write_all(header, low - base.unsqueeze(1), kept)
        write_all(header + wide.unsqueeze(1), narrow, kept)
        rank = valid.cumsum(2) - valid.int()
        payload = first_payload.unsqueeze(2) + rank * size.unsqueeze(2)
        payload = payload.unsqueeze(3) + (narrow.cumsum(2) - narrow).unsqueeze(2)
        write_all(payload, dense - low.unsqueeze(2), valid.unsqueeze(3) & (narrow > 0).unsqueeze(2))
        entry = torch.where(used, start | (partial.long() << 31), EMPTY)
        return entry, _as_int32(words[:-1])

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
        flags = BLOCKS * self._size_bits + block % BLOCKS * TEXELS
        word = torch.where(used & partial, (entry & _PARTIAL - 1) + (flags >> 5), 0)
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
        return torch.nonzero(self.index != EMPTY).flatten().split(_CHUNK)

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
            held = left & (before >= offset) & (before + width <= offset + _WORD)
            window = self._window(word, first + record.size.clamp_max(offset).unsqueeze(2))
            mask = torch.where(held, (1 << width) - 1, 0)
            shift = (before - offset).clamp(0, _WORD - 1)
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
        # One look-up of all that a block says of a channel: its base, a mask of its bits, and where they are.
        about = window << 21 | before - window * _WINDOW_STEP << 16 | (1 << width) - 1 << 8 | low
        about = about.index_select(0, which)  # M x D
        rank = _popcount16(record.valid[own].index_select(0, which) & (1 << at) - 1)
        size = record.size[own].index_select(0, which)
        first = record.payload[own].index_select(0, which) + rank * size
        word = word.index_select(0, which)
        # A texel's bits are read 32 at a time; a channel is taken from the last window before it.
        held = self._window(word, first).unsqueeze(1)
        for k in range(1, int(window.max()) + 1):
            later = self._window(word, first + size.clamp_max(k * _WINDOW_STEP)).unsqueeze(1)
            held = torch.where(about >> 21 >= k, later, held)
        values = (held >> (about >> 16 & 31)).bitwise_and_(about >> 8 & 255).add_(about & 255)
        return values.T

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
        return self.index[groups].long() & _PARTIAL - 1

    def _channel_bits(self, partial: Tensor) -> Tensor:
        """Where the channels' bases begin in a record, int32."""
        return (BLOCKS * self._size_bits + partial * (BLOCKS * TEXELS)).int()

    def _records(self, groups: Tensor) -> _Groups:
        """Of groups that have a valid texel."""
        word = self._first_word(groups).unsqueeze(1)
        partial = self.index[groups] < 0
        block = torch.arange(BLOCKS, dtype=torch.int32, device=self.device)
        size = self._window(word, block * self._size_bits) & (1 << self._size_bits) - 1
        # Whole groups have no flags: where they would be, the last record may have ended.
        flags = self._window(word, torch.where(partial.unsqueeze(1), BLOCKS * self._size_bits + block * TEXELS, 0))
        valid = torch.where(partial.unsqueeze(1), flags, -1) & (1 << TEXELS) - 1
        entry = self.bits + self._width_bits
        channel = torch.arange(self.latent_dim, dtype=torch.int32, device=self.device) * entry
        both = self._window(word, self._channel_bits(partial).unsqueeze(1) + channel)
        base, wide = both & (1 << self.bits) - 1, both >> self.bits & (1 << self._width_bits) - 1
        code = bit_length(self.device)[wide]
        header, payload = self._places(partial, _popcount16(valid), size, wide + code)
        return _Groups(valid, size, header, payload, base, wide)

    def _places(self, partial: Tensor, count: Tensor, size: Tensor, fields: Tensor) -> tuple[Tensor, Tensor]:
        """Where in their record the blocks' headers and texels begin, G x 16 each, int32; ``fields`` G x D: the bits
        that a channel takes in a block's header."""
        first = self._channel_bits(partial) + self.latent_dim * (self.bits + self._width_bits)
        has = (count > 0).int()
        blocks = has.cumsum(1, dtype=torch.int32)
        header_bits = fields.sum(1, dtype=torch.int32)
        # An empty block has no header: it is given the one before, since nothing may be read behind the last record.
        header = first.unsqueeze(1) + (blocks - 1).clamp_min(0) * header_bits.unsqueeze(1)
        taken = (count * size).cumsum(1, dtype=torch.int32) - count * size
        return header, (first + blocks[:, -1] * header_bits).unsqueeze(1) + taken

    def _window(self, word: Tensor, bit: Tensor) -> Tensor:
        """32 bits from ``bit`` of the record that begins at ``word`` on, int32."""
        at, shift = word + (bit >> 5), bit & 31
        low, high = self.words[at], self.words[at + 1]
        return (low >> shift & (2 << 31 - shift) - 1) | high << 1 << 31 - shift


def _blocked(dense: Tensor) -> Tensor:
    """H x W x C -> groups x 16 blocks x 16 texels x C, filled up with zeros."""
    height, width, _ = dense.shape
    dense = F.pad(dense, (0, 0, 0, -width % GROUP, 0, -height % GROUP))
    parts = dense.unflatten(1, (-1, SIDE, BLOCK)).unflatten(0, (-1, SIDE, BLOCK))  # gy by y gx bx x C
    return parts.permute(0, 3, 1, 4, 2, 5, 6).flatten(4, 5).flatten(2, 3).flatten(0, 1)


def _as_int32(words: Tensor) -> Tensor:
    """Unsigned 32-bit values in int64 as the int32 of the same bits."""
    return (words - ((words >> 31 & 1) << _WORD)).to(torch.int32)


def _popcount16(words: Tensor) -> Tensor:
    """Set bits of 16-bit values."""
    words = words - (words >> 1 & 0x5555)
    words = (words & 0x3333) + (words >> 2 & 0x3333)
    words = words + (words >> 4) & 0x0F0F
    return words + (words >> 8) & 0x1F
