import numpy as np
import pytest

from src.data.lightmap_dataset import LightmapDataset
from src.models.grid.config import GridConfig
from src.models.grid.latent_grid import LatentGrid
from src.tasks import grid_sizes
from src.tasks.grid_sizes import LEAST_SAMPLE_BLOCKS, SAMPLE_BLOCKS, choose_size, least_bytes, sample_blocks, with_f2
from tests.lightmap_example import dataset_of

HOURS = tuple(float(hour) for hour in range(12))
SIDE = 96


def day(components: int) -> LightmapDataset:
    """A smooth day of so many independent components."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    frames = np.full((len(HOURS), SIDE, SIDE, 3), 2.0)
    for _ in range(components):
        phase, turns = rng.uniform(0, 6, 3), rng.uniform(1, 6, 2)
        wave = np.sin(turns[0] * x + phase[0]) * np.cos(turns[1] * y + phase[1])
        frames += wave[None, :, :, None] * rng.normal(size=(len(HOURS), 1, 1, 3)) / components
    return dataset_of(frames.astype(np.float32), np.ones((SIDE, SIDE), bool), HOURS)


def shape() -> GridConfig:
    return GridConfig(SIDE, SIDE, HOURS, latent_bits=8, blocks=True)


def test_a_day_of_more_components_gets_more_channels_and_a_smaller_budget_coarser_steps() -> None:
    simple, rich = (choose_size(day(components), shape(), 40_000.0) for components in (2, 12))
    assert simple.config.latent_dim < rich.config.latent_dim
    tight = choose_size(day(12), shape(), 10_000.0)
    assert tight.config.hidden_f2 < rich.config.hidden_f2
    assert tight.scale < rich.scale or tight.config.latent_dim < rich.config.latent_dim


@pytest.mark.parametrize(("components", "budget_bytes"), [(2, 10_000.0), (6, 40_000.0), (12, 15_000.0)])
def test_no_other_number_of_channels_starts_better(
    components: int, budget_bytes: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = day(components)
    chosen = choose_size(data, shape(), budget_bytes)
    for channels in grid_sizes.CHANNELS:
        monkeypatch.setattr(grid_sizes, "CHANNELS", (channels,))
        alone = choose_size(data, shape(), budget_bytes)
        assert alone is None or alone.psnr_db <= chosen.psnr_db


def test_a_short_budget_is_not_spent_on_choosing() -> None:
    counts = [sample_blocks(seconds) for seconds in (0.1, 3.0, 60.0, 600.0, None)]
    assert counts == sorted(counts) and len(set(counts)) == 3
    assert counts[0] == LEAST_SAMPLE_BLOCKS and counts[-1] == SAMPLE_BLOCKS


def test_what_is_chosen_starts_near_the_budget() -> None:
    data = day(12)
    size = choose_size(data, shape(), 12_000.0)
    grid = LatentGrid(size.config, data.mask)
    grid.start_from(data.texels, size.scale)
    assert grid.decoder().resident_bytes < 1.3 * 12_000.0


def test_nothing_is_chosen_when_nothing_fits() -> None:
    data = day(2)
    enough = least_bytes(data, shape())
    assert choose_size(data, shape(), 0.99 * enough) is None
    assert choose_size(data, shape(), 1.01 * enough).config.latent_dim == grid_sizes.CHANNELS[0]


@pytest.mark.parametrize("most_bytes, width", [(0, 8), (3095, 8), (3096, 16), (6232, 32), (10**9, 32)])
def test_f2_is_as_wide_as_it_may_be(most_bytes: int, width: int) -> None:
    """With 12 channels and 36 values a day a width w has 12 w + w + w w + w + (12 + w) 36 + 36 halves and 12 floats."""
    config = with_f2(shape().with_latent_dim(12), most_bytes)
    assert config.hidden_f2 == width
    assert config.f2_bytes == 2 * (14 * width + width**2 + (12 + width) * 36 + 36) + 4 * 12
