"""Quantised latents of the valid texels of a lightmap, bit-packed, with random access.

Memory: a row of ``ceil(latent_dim * bits / 8)`` bytes per valid texel, and 1.25 bits per texel of the map that say
where the row of a texel is (a bitmap, and the number of valid texels before every 128th).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_WORD = 32
_WORDS_PER_RANK = 4


def block_mask(mask: Tensor, stride: int) -> Tensor:
    """Which blocks of ``stride`` x ``stride`` texels hold a valid one: H x W bool -> ceil(H / s) x ceil(W / s)."""
    height, width = mask.shape
    padded = F.pad(mask, (0, -width % stride, 0, -height % stride))
    return padded.unflatten(0, (-1, stride)).unflatten(2, (-1, stride)).any(3).any(1)


def block_of_texels(texels: Tensor, width: int, stride: int) -> Tensor:
    """The row-major block in which each row-major texel of a map ``width`` wide lies."""
    row = torch.div(texels, width, rounding_mode="floor")
    return row // stride * -(-width // stride) + (texels - row * width) // stride


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

    def row_table(self) -> Tensor:
        """The row of every texel at once, 0 where not valid: quicker for whole maps, but 8 bytes per texel."""
        texels = self.valid_texels()
        table = texels.new_zeros(self.texel_count)
        table[texels] = torch.arange(len(texels), device=texels.device)
        return table

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
    """``latent_dim`` integers of 4, 6 or 8 bits for N texels, the first value in the first byte's highest bits.

    The k-th bytes of all texels lie together, so that a run of texels is decoded with long vectors.
    """

    def __init__(self, data: Tensor, latent_dim: int, bits: int) -> None:
        """``data`` row_bytes x N uint8."""
        self.data = data
        self.latent_dim = latent_dim
        self.bits = bits
        # With 4, 6 or 8 bits at most one boundary between values lies inside a byte: it has a high and a low piece.
        cuts = [bits - 8 * byte % bits for byte in range(len(data))]
        shifts = [max(0, 8 - cut) for cut in cuts]
        self._shift = torch.tensor(shifts, dtype=torch.uint8, device=data.device).unsqueeze(1)
        self._low = (1 << self._shift) - 1
        combine = torch.zeros(latent_dim, 2 * len(data))
        for byte, shift in enumerate(shifts):
            end = 8 * byte + 8
            for piece, first, last in ((byte, end - 8, end - shift), (len(data) + byte, end - shift, end)):
                value = first // bits
                if first < last and value < latent_dim:
                    combine[value, piece] = 2.0 ** ((value + 1) * bits - last)
        self.combine = combine.to(data.device)  # combine @ pieces = values

    @classmethod
    def pack(cls, values: Tensor, bits: int) -> PackedLatents:
        """``values`` N x latent_dim integers in [0, 2^bits)."""
        count, latent_dim = values.shape
        data = torch.zeros(row_bytes(latent_dim, bits), count, dtype=torch.uint8, device=values.device)
        for byte in range(len(data)):
            end = 8 * byte + 8
            for d in range((end - 8) // bits, min(latent_dim, -(-end // bits))):
                shift = (d + 1) * bits - end
                value = values[:, d].int()
                data[byte] |= ((value >> shift if shift >= 0 else value << -shift) & 255).to(torch.uint8)
        return cls(data, latent_dim, bits)

    @property
    def size_bytes(self) -> int:
        return self.data.numel()

    def pieces(self, rows: Tensor | slice, out: Tensor | None = None) -> Tensor:
        """The high and low pieces of the bytes of some texels, (2 row_bytes) x M float32; in ``out`` if it is given.

        Values are a linear map of them, so that a network whose first layer is linear never needs the values.
        """
        packed = self.data[:, rows]
        if out is None:
            out = torch.empty(2 * len(packed), packed.shape[1], device=packed.device)
        torch.bitwise_right_shift(packed, self._shift, out=out[: len(packed)])
        torch.bitwise_and(packed, self._low, out=out[len(packed) :])
        return out

    def unpack(self, rows: Tensor | slice) -> Tensor:
        """The values of some texels, M x latent_dim uint8."""
        return (self.combine @ self.pieces(rows)).T.to(torch.uint8)
