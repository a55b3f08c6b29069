import numpy as np
import torch

from src.models.temporal_svd import temporal_svd
from tests.lightmap_example import HOURS, started_grid


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


def test_the_decoder_is_the_model_with_rounded_latents() -> None:
    grid, _ = started_grid(latent_bits=6)
    decoded = grid.decoder().render(list(HOURS))[:, grid.mask.numpy()]
    grid.round_latents()
    before = grid.latents.clone()
    grid.round_latents()
    assert torch.equal(before, grid.latents)
    expected = (grid(grid.latents) * grid.frame_scale[:, None]).clamp_min(0).detach().numpy().swapaxes(0, 1)
    assert np.abs(decoded - expected).max() < 5e-3 * expected.max()  # F2 is stored in half precision
