import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from src.models.grid.block_latents import BlockLatents
from src.models.grid.block_rounding import BlockLayout, packed_bytes, round_blocks
from src.models.grid.quantiser import Quantiser


def example(height: int, width: int, dim: int, bits: int, coverage: float, smooth: int, seed: int):
    """(mask, values of its valid texels row-major); ``smooth`` bits of the values are the same everywhere."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(height, width, generator=generator) < coverage
    mask[height // 2, width // 2] = True
    values = torch.randint(0, 2**bits, (int(mask.sum()), dim), generator=generator) >> min(smooth, bits)
    return mask, values.to(torch.uint8)


class Reader:
    """The packed words read one field at a time, as docs/bundle-format.md says: bit k is bit k % 32 of word k // 32."""

    def __init__(self, latents: BlockLatents) -> None:
        self.latents = latents
        self.words = [word & 0xFFFFFFFF for word in latents.words.tolist()]
        self.index = [word & 0xFFFFFFFF for word in latents.index.tolist()]

    def field(self, bit: int, bits: int) -> int:
        value = self.words[bit >> 5] | self.words[(bit >> 5) + 1] << 32
        return value >> (bit & 31) & ((1 << bits) - 1)

    def texel(self, x: int, y: int) -> list[int] | None:
        dim, bits = self.latents.latent_dim, self.latents.bits
        entry = self.index[(y >> 4) * -(-self.latents.width // 16) + (x >> 4)]
        if entry == 0xFFFFFFFF:
            return None
        at, block, number = (entry & 0x7FFFFFFF) * 32, (y >> 2 & 3) * 4 + (x >> 2 & 3), (y & 3) * 4 + (x & 3)
        size_bits, width_bits = (dim * bits).bit_length(), bits.bit_length()
        sizes = [self.field(at + j * size_bits, size_bits) for j in range(16)]
        at += 16 * size_bits
        masks = [0xFFFF] * 16
        if entry >> 31:
            masks = [self.field(at + 16 * j, 16) for j in range(16)]
            at += 256
        if not masks[block] >> number & 1:
            return None
        bases = [self.field(at + c * (bits + width_bits), bits) for c in range(dim)]
        wides = [self.field(at + c * (bits + width_bits) + bits, width_bits) for c in range(dim)]
        at += dim * (bits + width_bits)
        header_bits = sum(wide + wide.bit_length() for wide in wides)
        counts = [bin(flags).count("1") for flags in masks]
        header = at + header_bits * sum(count > 0 for count in counts[:block])
        payload = at + header_bits * sum(count > 0 for count in counts)
        payload += sum(count * size for count, size in zip(counts[:block], sizes[:block], strict=True))
        payload += bin(masks[block] & ((1 << number) - 1)).count("1") * sizes[block]
        values = []
        for base, wide in zip(bases, wides, strict=True):
            low = base + self.field(header, wide)
            narrow = self.field(header + wide, wide.bit_length())
            values.append(low + self.field(payload, narrow))
            header += wide + wide.bit_length()
            payload += narrow
        return values


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 37),
    width=st.integers(1, 37),
    dim=st.integers(1, 9),
    bits=st.sampled_from([4, 6, 8]),
    coverage=st.sampled_from([0.02, 0.6, 1.1]),
    smooth=st.integers(0, 8),
    seed=st.integers(0, 1000),
)
def test_every_texel_comes_back(height, width, dim, bits, coverage, smooth, seed):
    mask, values = example(height, width, dim, bits, coverage, smooth, seed)
    latents = BlockLatents.pack(mask, values, bits)
    valid, rows = latents.rows(torch.arange(height * width))
    assert torch.equal(valid, mask.flatten())
    assert torch.equal(latents.unpack([rows[0][valid]]), values)
    texels = latents.valid[0]
    assert torch.equal(texels.sort().values, torch.nonzero(mask.flatten()).flatten())
    assert torch.equal(latents.unpack([slice(0, len(texels))])[texels.argsort()], values)
    assert latents.size_bytes == packed_bytes(BlockLayout.of(mask), values, bits)


@pytest.mark.parametrize("coverage", [0.5, 1.1])
def test_the_words_are_as_the_format_says(coverage: float) -> None:
    mask, values = example(35, 50, 5, 8, coverage, 3, 0)
    reader = Reader(BlockLatents.pack(mask, values, 8))
    expected = iter(values.tolist())
    for y in range(35):
        for x in range(50):
            assert reader.texel(x, y) == (next(expected) if mask[y, x] else None)


def test_flat_blocks_and_missing_texels_cost_next_to_nothing() -> None:
    flat = torch.full((64 * 64, 16), 77, dtype=torch.uint8)
    mask = torch.ones(64, 64, dtype=torch.bool)
    assert BlockLatents.pack(mask, flat, 8).size_bytes < 16 * 48
    mask[:, 16:] = False
    one_of_four = BlockLatents.pack(mask, flat[: 64 * 16], 8).size_bytes
    assert (
        one_of_four <= BlockLatents.pack(torch.ones(64, 16, dtype=torch.bool), flat[: 64 * 16], 8).size_bytes + 4 * 12
    )


def test_spans_are_those_of_rows() -> None:
    mask, values = example(64, 33, 2, 6, 0.7, 0, 0)
    latents = BlockLatents.pack(mask, values, 6)
    begin, end = latents.span(16, 48)
    rows = latents.valid[0][begin:end] // 33
    assert rows.min() >= 16 and rows.max() < 48 and end - begin == int(mask[16:48].sum())


def test_rounding_moves_values_only_where_that_pays() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(40, 50, generator=generator) < 0.8
    latents = torch.rand(int(mask.sum()), 4, generator=generator) * 0.1
    layout, nearest = BlockLayout.of(mask), Quantiser(8).to_code(latents)
    assert torch.equal(round_blocks(layout, latents, 8, 0.0), nearest)
    sizes, errors = [], []
    for price in (0.0, 0.05, 0.5, 50.0):
        codes = round_blocks(layout, latents, 8, price)
        sizes.append(packed_bytes(layout, codes, 8))
        errors.append(float((Quantiser(8).to_value(codes) - latents).square().mean()))
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < 0.5 * sizes[0]
    assert errors == sorted(errors)


def test_a_sample_measures_the_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(160, 160, generator=generator) < 0.9
    codes = torch.randint(0, 20, (int(mask.sum()), 3), generator=generator, dtype=torch.uint8)
    layout = BlockLayout.of(mask)
    some, texels = layout.some(400)
    assert len(some.count) < 0.5 * len(layout.count)
    estimate = packed_bytes(some, codes[texels], 8) * len(codes) / len(texels)
    assert estimate == pytest.approx(packed_bytes(layout, codes, 8), rel=0.03)


@pytest.mark.parametrize("latent_dim", [1, 4])
def test_the_last_record_may_be_shorter_than_flags_would_be(latent_dim: int) -> None:
    mask = torch.ones(16, 32, dtype=torch.bool)
    values = torch.full((512, latent_dim), 5, dtype=torch.uint8)
    latents = BlockLatents.pack(mask, values, 6)
    assert len(latents.words) * 32 < 2 * 256, "flags alone would be longer"
    texels = torch.arange(512)
    valid, rows = latents.rows(texels)
    assert valid.all() and torch.equal(latents.unpack(rows), values)


def test_empty_blocks_at_the_end_have_nothing_to_read() -> None:
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[0, [0, 4]] = True  # blocks of one texel each are headers alone
    values = (torch.arange(48).view(2, 24) * 37 % 256).to(torch.uint8)
    latents = BlockLatents.pack(mask, values, 8)
    valid, rows = latents.rows(torch.arange(256))
    assert torch.equal(valid, mask.flatten())
    assert torch.equal(latents.unpack([at[valid] for at in rows]), values)
    assert latents.valid[0].tolist() == [0, 4] and torch.equal(latents._unpacked.T, values)
