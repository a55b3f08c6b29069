"""Quantised latents of the valid texels of a lightmap, bit-packed, with random access.

Memory: a row of ``ceil(latent_dim * bits / 8)`` bytes per valid texel, and 1.25 bits per texel of the map that say
where the row of a texel is (a bitmap, and the number of valid texels before every 128th).
"""

from __future__ import annotations

import torch
from torch import Tensor

_WORD = 32
_WORDS_PER_RANK = 4


def row_bytes(latent_dim: int, bits: int) -> int:
    return -(-latent_dim * bits // 8)


class TexelIndex:
    """Which row belongs to a texel: a bitmap with ranks, O(1) per texel."""

    def __init__(self, mask: Tensor) -> None:
        """``mask`` H x W bool, True where a texel is valid."""
        flat = mask.flatten().cpu()
        self.texel_count = flat.numel()
        padded = torch.zeros(-(-flat.numel() // (_WORD * _WORDS_PER_RANK)) * _WORD * _WORDS_PER_RANK, dtype=torch.int64)
        padded[: flat.numel()] = flat
        words = (padded.view(-1, _WORD) << torch.arange(_WORD)).sum(dim=1)
        self._words = (words - ((words >> 31) << 32)).to(torch.int32).to(mask.device)
        counts = padded.view(-1, _WORD * _WORDS_PER_RANK).sum(dim=1)
        self._ranks = (counts.cumsum(0) - counts).to(torch.int32).to(mask.device)
        self.row_count = int(counts.sum())

    @property
    def size_bytes(self) -> int:
        return 4 * (len(self._words) + len(self._ranks))

    def rows(self, texels: Tensor) -> tuple[Tensor, Tensor]:
        """Row-major ``texels`` M int64 -> (valid M bool, row M int64; 0 where not valid)."""
        word = texels // _WORD
        bit = texels % _WORD
        own = self._words[word].long() & 0xFFFFFFFF
        valid = ((own >> bit) & 1).bool()
        rank = self._ranks[word // _WORDS_PER_RANK].long() + _popcount(own & ((1 << bit) - 1))
        for back in range(1, _WORDS_PER_RANK):
            before = self._words[(word - back).clamp_min(0)].long() & 0xFFFFFFFF
            rank += torch.where(word % _WORDS_PER_RANK >= back, _popcount(before), 0)
        return valid, torch.where(valid, rank, 0)

    def valid_texels(self) -> Tensor:
        """Row-major indices of all valid texels, in the order of their rows."""
        bits = (self._words.long().unsqueeze(1) >> torch.arange(_WORD, device=self._words.device)) & 1
        return torch.nonzero(bits.flatten()).flatten()


def _popcount(words: Tensor) -> Tensor:
    """Set bits of 32-bit values in int64."""
    words = words - ((words >> 1) & 0x55555555)
    words = (words & 0x33333333) + ((words >> 2) & 0x33333333)
    words = (words + (words >> 4)) & 0x0F0F0F0F
    return ((words * 0x01010101) & 0xFFFFFFFF) >> 24


class PackedLatents:
    """N rows of ``latent_dim`` unsigned integers of ``bits`` bits, the first value in the first byte's highest bits."""

    def __init__(self, rows: Tensor, latent_dim: int, bits: int) -> None:
        """``rows`` N x row_bytes uint8."""
        self.rows = rows
        self.latent_dim = latent_dim
        self.bits = bits
        first_bit = torch.arange(latent_dim, device=rows.device) * bits
        self._byte = first_bit // 8
        self._next_byte = (self._byte + 1).clamp_max(rows.shape[1] - 1)
        self._shift = (16 - bits - first_bit % 8).to(torch.int16)

    @classmethod
    def pack(cls, values: Tensor, bits: int) -> PackedLatents:
        """``values`` N x latent_dim integers in [0, 2^bits), bits <= 8."""
        count, latent_dim = values.shape
        planes = (values.to(torch.int32).unsqueeze(2) >> torch.arange(bits - 1, -1, -1, device=values.device)) & 1
        width = row_bytes(latent_dim, bits)
        stream = torch.zeros(count, width * 8, dtype=torch.int32, device=values.device)
        stream[:, : latent_dim * bits] = planes.flatten(1)
        weights = 1 << torch.arange(7, -1, -1, device=values.device, dtype=torch.int32)
        return cls((stream.view(count, width, 8) * weights).sum(dim=2).to(torch.uint8), latent_dim, bits)

    @property
    def size_bytes(self) -> int:
        return self.rows.numel()

    def unpack(self, rows: Tensor | slice) -> Tensor:
        """The values of some rows -> M x latent_dim, int32."""
        packed = self.rows[rows]
        if self.bits == 8:
            return packed.int()
        packed = packed.int()
        window = (packed[:, self._byte] << 8) | packed[:, self._next_byte]
        return (window >> self._shift) & ((1 << self.bits) - 1)
