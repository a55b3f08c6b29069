import pytest
import torch

from src.models.grid.latent_levels import LatentLevels
from src.models.grid.packed_latents import block_mask, block_of_texels

STRIDES = (1, 2, 5)
CHANNELS = (3, 1, 4)


@pytest.fixture(params=[4, 6, 8])
def example(request):
    """Levels of a map of 13 x 17, and the values that each valid texel should find, N x 8."""
    generator = torch.Generator().manual_seed(request.param)
    mask = torch.rand(13, 17, generator=generator) < 0.4
    texels = torch.nonzero(mask.flatten()).flatten()
    values, expected = [], []
    for stride, channels in zip(STRIDES, CHANNELS, strict=True):
        blocks = block_mask(mask, stride)
        of_all = torch.randint(0, 2**request.param, (blocks.numel(), channels), generator=generator)
        values.append((stride, of_all[blocks.flatten()]))
        expected.append(of_all[block_of_texels(texels, 17, stride)])
    return LatentLevels(mask, values, request.param), mask, torch.cat(expected, dim=1)


def test_a_texel_finds_its_own_latents_and_those_of_its_blocks(example) -> None:
    levels, mask, expected = example
    valid, rows = levels.rows(torch.arange(mask.numel()))
    assert torch.equal(valid, mask.flatten())
    assert torch.equal(levels.unpack([row[valid] for row in rows]), expected.to(torch.uint8))


def test_all_texels_at_once_find_the_same(example) -> None:
    levels, mask, expected = example
    texels, coarser = levels.valid
    assert torch.equal(texels, torch.nonzero(mask.flatten()).flatten())
    assert torch.equal(levels.unpack([slice(None), *coarser]), expected.to(torch.uint8))


def test_values_are_a_linear_map_of_the_pieces(example) -> None:
    levels, _, expected = example
    _, coarser = levels.valid
    pieces = levels.pieces([slice(3, 20), *(row[3:20] for row in coarser)])
    torch.testing.assert_close((levels.combine @ pieces).T, expected[3:20].float())


def test_every_level_and_its_index_count_as_memory(example) -> None:
    levels, _, _ = example
    assert levels.size_bytes == sum(level.index.size_bytes + level.latents.size_bytes for level in levels.levels)
    assert levels.size_bytes > levels.levels[0].index.size_bytes + levels.levels[0].latents.size_bytes
