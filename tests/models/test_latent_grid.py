import numpy as np
import pytest
import torch

from src.models.grid_config import GridConfig, largest_latent_dim
from src.models.latent_grid import LatentGrid
from src.models.temporal_svd import temporal_svd
from src.utils.cli import InputError
from src.utils.texel_grid import texel_xy
from tests.lightmap_example import HOURS, ExampleLightmap, example_texels


def started_grid(latent_dim: int = 8, latent_bits: int = 8) -> tuple[LatentGrid, np.ndarray]:
    data = example_texels()
    torch.manual_seed(0)
    config = GridConfig(data.height, data.width, HOURS, (6.0, 18.0), latent_dim, latent_bits)
    grid = LatentGrid(config, data.mask)
    grid.start_from(data.texels)
    return grid, ExampleLightmap().load()[0]


def test_svd_is_the_best_linear_description() -> None:
    generator = torch.Generator().manual_seed(0)
    days = torch.randn(500, 4, generator=generator) @ torch.randn(4, 12, generator=generator) + 3.0
    svd = temporal_svd(days, 4)
    assert svd.latents.abs().max() <= 1.0
    # The ten-thousandth of values beyond the range is clipped, no more.
    error = (svd.latents @ svd.basis + svd.mean - days).abs().amax(dim=1)
    assert (error < 1e-3).float().mean() > 0.99


def test_the_start_is_pca_already() -> None:
    grid, truth = started_grid()
    decoded = grid.decoder().render(list(HOURS))
    errors = np.square(decoded - truth).mean(axis=(1, 2, 3))
    assert (10 * np.log10(truth.max(axis=(1, 2, 3)) ** 2 / errors) > 30).all()


def test_one_hour_is_a_slice_of_all_hours() -> None:
    grid, _ = started_grid()
    torch.nn.init.normal_(grid.f2[-2], std=0.1)
    hour = torch.arange(50) % len(HOURS)
    expected = grid(grid.latents[:50])[torch.arange(50), hour]
    assert torch.allclose(grid.at_hours(grid.latents[:50], hour), expected, atol=1e-5)


def test_single_texels_and_frames_agree() -> None:
    grid, _ = started_grid()
    torch.nn.init.normal_(grid.f2[-2], std=0.1)  # let the hidden layers matter
    decoder = grid.decoder()
    xy = texel_xy(torch.arange(decoder.height * decoder.width), decoder.height, decoder.width)
    for hour in (0.0, 5.95, 7.3, 12.0, 23.0):
        frame = torch.from_numpy(decoder.render(hour)).view(-1, 3)
        assert torch.allclose(decoder.decode(xy, hour), frame, atol=1e-5)
    hours = torch.rand(len(xy), generator=torch.Generator().manual_seed(1)).mul(24).mul(4).round().div(4)
    mixed = decoder.decode(xy, hours)
    one = decoder.decode(xy[77:78], float(hours[77]))
    assert torch.allclose(mixed[77:78], one, atol=1e-5)
    invalid = ~grid.mask.flatten()
    assert not mixed[invalid].any()


def test_the_decoder_is_the_model_with_rounded_latents() -> None:
    grid, _ = started_grid(latent_bits=6)
    decoded = grid.decoder().render(list(HOURS))[:, grid.mask.numpy()]
    grid.round_latents()
    before = grid.latents.clone()
    grid.round_latents()
    assert torch.equal(before, grid.latents)
    expected = (grid(grid.latents) * grid.frame_scale[:, None]).clamp_min(0).detach().numpy().swapaxes(0, 1)
    assert np.abs(decoded - expected).max() < 5e-3 * expected.max()  # F2 is stored in half precision


def test_lamps_switch_and_the_sun_fades() -> None:
    decoder = started_grid()[0].decoder()
    lit, unlit = decoder.render(5.9), decoder.render(6.0)
    assert np.array_equal(decoder.render(5.99), lit)
    assert np.array_equal(decoder.render(18.05), decoder.render(18.1))
    assert not np.array_equal(lit, unlit)
    middle = 0.5 * (decoder.render(9.0) + decoder.render(12.0))
    assert np.abs(decoder.render(10.5) - middle).max() < 0.02 * middle.max()
    assert np.array_equal(decoder.render(24.0), decoder.render(0.0))


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
