import pytest

from src.models.grid.config import GridConfig, largest_latent_dim, resident_bytes
from src.models.grid.latent_grid import LatentGrid
from tests.lightmap_example import HOURS, example_dataset


@pytest.mark.parametrize("coarse", [(), ((2, 3),), ((2, 1), (5, 4))])
@pytest.mark.parametrize("latent_bits", [4, 6, 8])
def test_the_budget_bounds_what_is_resident(coarse: tuple, latent_bits: int) -> None:
    data = example_dataset()
    config = GridConfig(data.height, data.width, HOURS, latent_bits=latent_bits, coarse=coarse)
    for budget_bytes in (12_000, 17_000, 25_000):
        latent_dim = largest_latent_dim(budget_bytes, data.mask, config)
        chosen = config.with_latent_dim(latent_dim)
        resident = LatentGrid(chosen, data.mask).decoder().resident_bytes
        assert resident == resident_bytes(chosen, data.mask) <= budget_bytes
        assert (
            latent_dim == 3 * len(HOURS)
            or resident_bytes(config.with_latent_dim(latent_dim + 1), data.mask) > budget_bytes
        )
    assert largest_latent_dim(500, data.mask, config) == 0


def test_plain_types_and_back() -> None:
    config = GridConfig(4, 5, HOURS, (6.0,), regions=(("a", 0, 4, 5),), coarse=((2, 3), (4, 8)))
    assert GridConfig.from_dict(config.to_dict()) == config
    assert config.z_dim == 16 + 3 + 8
    before = {name: value for name, value in config.to_dict().items() if name != "coarse"}
    assert GridConfig.from_dict(before).coarse == ()
