"""How the records of packed blocks are laid out in words of 32 bits: docs/bundle-format.md, "In memory".

A group of 4 x 4 blocks of 4 x 4 texels has, for each channel, its smallest value (the base) and the bits W that its
values need above it. A block has, for each channel with W > 0, its own smallest value above the base in W bits, and the
bits w that its texels need above that. A texel has w bits per channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

BLOCK = 4  # texels on a side
GROUP = 16
SIDE = GROUP // BLOCK  # blocks on a side of a group
BLOCKS = SIDE**2  # in a group
TEXELS = BLOCK**2  # in a block
EMPTY = -1  # 0xFFFFFFFF: a group without a valid texel
PARTIAL = 1 << 31  # of a group's entry: some of its texels are not valid
WORD = 32
CHUNK = 1024  # groups packed or unpacked at a time


@dataclass(frozen=True)
class RecordLayout:
    """Where the parts of a group's record begin."""

    latent_dim: int
    bits: int

    @property
    def size_bits(self) -> int:
        """Of the number that says how many bits a texel of a block takes."""
        return (self.latent_dim * self.bits).bit_length()

    @property
    def channel_bits(self) -> int:
        """Of a channel's base and W."""
        return self.bits + self.bits.bit_length()

    def first_channel(self, partial: Tensor) -> Tensor:
        """Where the channels' bases begin in a record, int32."""
        return (BLOCKS * self.size_bits + partial * (BLOCKS * TEXELS)).int()

    def places(self, partial: Tensor, count: Tensor, size: Tensor, fields: Tensor) -> tuple[Tensor, Tensor]:
        """Where in their record the blocks' headers and texels begin, G x 16 each, int32; ``fields`` G x D: the bits
        that a channel takes in a block's header."""
        first = self.first_channel(partial) + self.latent_dim * self.channel_bits
        has = (count > 0).int()
        blocks = has.cumsum(1, dtype=torch.int32)
        header_bits = fields.sum(1, dtype=torch.int32)
        # An empty block has no header: it is given the one before, since nothing may be read behind the last record.
        header = first.unsqueeze(1) + (blocks - 1).clamp_min(0) * header_bits.unsqueeze(1)
        taken = (count * size).cumsum(1, dtype=torch.int32) - count * size
        return header, (first + blocks[:, -1] * header_bits).unsqueeze(1) + taken


@lru_cache(maxsize=4)
def bit_length(device: torch.device) -> Tensor:
    """Of every integer from 0 to 255, int32: a table to look up."""
    return torch.tensor([value.bit_length() for value in range(256)], dtype=torch.int32, device=device)


def popcount16(words: Tensor) -> Tensor:
    """Set bits of 16-bit values."""
    words = words - (words >> 1 & 0x5555)
    words = (words & 0x3333) + (words >> 2 & 0x3333)
    words = words + (words >> 4) & 0x0F0F
    return words + (words >> 8) & 0x1F
