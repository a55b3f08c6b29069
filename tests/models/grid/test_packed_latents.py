import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from src.models.grid.packed_latents import PackedLatents, TexelIndex, block_mask, block_of_texels, row_bytes


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([4, 6, 8]), st.integers(1, 20), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_values_come_back_from_as_few_bytes_as_they_need(bits: int, latent_dim: int, count: int, seed: int) -> None:
    values = torch.randint(0, 2**bits, (count, latent_dim), generator=torch.Generator().manual_seed(seed))
    packed = PackedLatents.pack(values, bits)
    assert packed.size_bytes == count * -(-latent_dim * bits // 8) == count * row_bytes(latent_dim, bits)
    assert torch.equal(packed.unpack(slice(None)).long(), values)
    chosen = torch.randint(0, count, (5,))
    assert torch.equal(packed.unpack(chosen).long(), values[chosen])


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([4, 6, 8]), st.integers(1, 20), st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_pieces_are_written_where_it_is_asked(bits: int, latent_dim: int, count: int, seed: int) -> None:
    values = torch.randint(0, 2**bits, (count, latent_dim), generator=torch.Generator().manual_seed(seed))
    packed = PackedLatents.pack(values, bits)
    rows = slice(1, count)
    kept = torch.full((2 * row_bytes(latent_dim, bits), count), -1.0)
    found = packed.pieces(rows, kept[:, : count - 1])
    assert found.data_ptr() == kept.data_ptr() and torch.equal(found, packed.pieces(rows))
    assert torch.equal((packed.combine @ found).T.long(), values[rows])
    assert (kept[:, -1] == -1).all()


def test_first_value_has_the_highest_bits() -> None:
    packed = PackedLatents.pack(torch.tensor([[0b100001, 0b111111, 0, 1]]), 6)
    assert packed.data.flatten().tolist() == [0b10000111, 0b11110000, 0b00000001]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_every_valid_texel_finds_its_row(height: int, width: int, share: float, seed: int) -> None:
    mask = torch.rand(height, width, generator=torch.Generator().manual_seed(seed)) < share
    index = TexelIndex(mask)
    valid, rows = index.rows(torch.arange(height * width))
    assert torch.equal(valid, mask.flatten())
    assert rows[valid].tolist() == list(range(int(mask.sum())))
    assert torch.equal(index.valid_texels(), torch.nonzero(mask.flatten()).flatten())
    assert torch.equal(index.row_table(), rows)


def test_index_takes_five_quarters_of_a_bit_per_texel() -> None:
    assert TexelIndex(torch.ones(512, 512, dtype=torch.bool)).size_bytes * 8 == 512 * 512 * 1.25


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_a_block_is_valid_when_a_texel_of_it_is(height: int, width: int, stride: int, seed: int) -> None:
    mask = torch.rand(height, width, generator=torch.Generator().manual_seed(seed)) < 0.2
    blocks = block_mask(mask, stride)
    assert blocks.shape == (-(-height // stride), -(-width // stride))
    y, x = torch.nonzero(mask, as_tuple=True)
    own = block_of_texels(y * width + x, width, stride)
    assert torch.equal(own, y // stride * blocks.shape[1] + x // stride)
    assert torch.equal(own.unique(), torch.nonzero(blocks.flatten()).flatten())
