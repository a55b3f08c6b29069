import numpy as np
import pytest
import torch

from src.models.grid.config import GridConfig
from src.models.grid.latent_grid import LatentGrid
from src.models.grid.temporal_svd import temporal_svd
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


def test_coarse_latents_are_shared_by_blocks() -> None:
    coarse, _ = started_grid(2, coarse=((4, 8),))
    texels = torch.nonzero(coarse.mask)
    same_block = (texels[:, None] // 4 == texels[None] // 4).all(2)
    z = coarse.z(slice(None))
    assert z.shape == (len(texels), 10)
    equal = (z[:, None, 2:] == z[None, :, 2:]).all(2)
    assert equal[same_block].all() and equal.sum() == same_block.sum()


def test_a_step_of_any_channel_changes_the_description_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    days = torch.randn(400, 12, generator=generator) * torch.linspace(3.0, 0.1, 12)
    svd = temporal_svd(days, 5)
    latents, basis = svd.in_equal_steps(0.5)
    assert torch.allclose(latents @ basis, svd.latents @ svd.basis, atol=1e-4)
    assert torch.allclose(basis.norm(dim=1), basis.norm(dim=1)[:1].expand(5), rtol=1e-4)
    assert 0.45 < float(latents.abs().max()) <= 0.5


@pytest.mark.parametrize("coarse, blocks", [((), False), (((2, 3), (5, 7)), False), ((), True)])
def test_the_decoder_is_the_model_with_rounded_latents(coarse: tuple, blocks: bool) -> None:
    grid, _ = started_grid(latent_bits=6, coarse=coarse, blocks=blocks)
    decoded = grid.decoder().render(list(HOURS))[:, grid.mask.numpy()]
    grid.round_latents()
    before = grid.z(slice(None))
    grid.round_latents()
    assert torch.equal(before, grid.z(slice(None)))
    expected = (grid(grid.z(slice(None))) * grid.frame_scale[:, None]).clamp_min(0).detach().numpy().swapaxes(0, 1)
    assert np.abs(decoded - expected).max() < 5e-3 * expected.max()  # F2 is stored in half precision


@pytest.mark.parametrize("coarse", [(), ((4, 3),)])
def test_black_hours_decode_to_exact_black(coarse: tuple) -> None:
    config = GridConfig(16, 20, (0.0, 6.0, 12.0), latent_dim=5, coarse=coarse)
    texels = torch.rand(320, 3, 3, generator=torch.Generator().manual_seed(0))
    texels[:, 0] = 0.0
    grid = LatentGrid(config, torch.ones(16, 20, dtype=torch.bool))
    grid.start_from(texels)
    frames = grid.decoder().render([0.0, 12.0])
    assert (frames[0] == 0).all()
    assert frames[1].max() > 0.5


def test_a_uniform_day_is_described_without_error() -> None:
    config = GridConfig(16, 20, (0.0, 6.0, 12.0), latent_dim=5)
    texels = torch.tensor([0.25, 3.0, 1e-4]).view(1, 3, 1).expand(320, 3, 3).clone()
    grid = LatentGrid(config, torch.ones(16, 20, dtype=torch.bool))
    grid.start_from(texels)
    frames = grid.decoder().render([0.0, 6.0, 12.0])
    np.testing.assert_allclose(frames, np.broadcast_to(texels.numpy()[0, :, None, None], frames.shape), rtol=1e-3)
