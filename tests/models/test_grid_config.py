import pytest

from src.models.grid_config import GridConfig, largest_latent_dim
from src.models.latent_grid import LatentGrid
from src.utils.cli import InputError
from tests.lightmap_example import HOURS, example_texels


def test_the_budget_bounds_what_is_resident() -> None:
    data = example_texels()
    mask = data.mask.numpy()
    config = GridConfig(data.height, data.width, HOURS, latent_bits=6)
    for bpp in (8.0, 11.0, 14.0):
        chosen = config.with_latent_dim(largest_latent_dim(bpp, mask, config))
        assert LatentGrid(chosen, data.mask).decoder().bpp_memory() <= bpp
        larger = config.with_latent_dim(chosen.latent_dim + 1)
        assert LatentGrid(larger, data.mask).decoder().bpp_memory() > bpp
    with pytest.raises(InputError, match="--bpp"):
        largest_latent_dim(0.1, mask, config)
