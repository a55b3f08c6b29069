"""Relighting models: what holds by construction, whatever the weights."""

import numpy as np
import pytest
import torch

from src.models import relit_model
from src.models.delit.lobes import LOBES
from src.models.relit.transport import Transport, mirror_direction
from src.models.relit_model import RelitConfig, RelitModel
from src.utils.cli import InputError
from src.utils.sphere import fibonacci_sphere, pixel_solid_angles
from tests.inference.models import tiny_model, write_checkpoint
from tests.inference.relit_models import tiny_relit_model, write_relit_checkpoint


@pytest.fixture(scope="module")
def model():
    return tiny_relit_model()


def portrait(height=48, width=40, count=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, height, width, generator=generator)


def lights(count=2, each=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, each, 3, 16, 32, generator=generator).pow(-0.7) - 1  # a few bright sources


def relative(difference: torch.Tensor, to: torch.Tensor) -> float:
    return float(difference.abs().max() / to.abs().mean())


def test_relighting_is_linear_in_the_light(model):
    flat_lit, environment = portrait(), lights()
    relit, transport = model(flat_lit, environment)
    assert relit.shape == (2, 3, 3, 48, 40)
    assert relit.min() >= 0
    weights = torch.tensor([0.3, 7.0, 1.0])
    mixed = torch.einsum("m,nmchw->nchw", weights, environment)[:, None]
    both = model.relight(flat_lit, transport, mixed)
    expected = torch.einsum("m,nmchw->nchw", weights, relit)[:, None]
    assert relative(both - expected, expected) < 1e-5


def test_uniform_light_gives_flat_lit_itself(model):
    flat_lit = portrait()
    relit, _ = model(flat_lit, torch.full((2, 1, 3, 16, 32), 2.5))
    torch.testing.assert_close(relit[:, 0], 2.5 * flat_lit, atol=1e-5, rtol=1e-5)


def test_a_brighter_portrait_is_a_brighter_picture(model):
    flat_lit, environment = portrait(), lights()
    relit, _ = model(flat_lit, environment)
    brighter, _ = model(8 * flat_lit, environment)
    torch.testing.assert_close(brighter, 8 * relit, rtol=1e-4, atol=1e-5)


def test_light_has_a_side_and_a_colour():
    """A ball-like transport shows light from the right on its right, in the light's colour."""
    model = RelitModel(RelitConfig(image_size=32, env_height=16, base_dim=32))
    right = torch.from_numpy(fibonacci_sphere(LOBES)[:, 0]).float()
    side = torch.linspace(-1, 1, 16)  # of each column
    diffuse = torch.softmax(4 * side[:, None] * right, dim=1).T.view(1, 1, LOBES, 1, 16).expand(1, 3, -1, 16, -1)
    share, normal = torch.full((1, 3, 16, 16), 0.1), torch.zeros(1, 3, 16, 16)
    normal[:, 0], normal[:, 2] = side, (1 - side.square()).sqrt()
    transport = Transport(diffuse, share, mirror_direction(normal), torch.ones(1, 1, 16, 16))
    environment = torch.zeros(1, 1, 3, 16, 32)
    environment[..., 0, 6:10, 6:10] = 50.0  # red, from +X: a quarter of the way round
    relit = model.relight(torch.full((1, 3, 32, 32), 0.5), transport, environment)[0, 0]
    assert relit[0, :, -4:].mean() > 5 * relit[0, :, :4].mean()
    assert relit[1:].max() < 1e-6


def test_a_mirror_shows_where_light_comes_from():
    normals = torch.nn.functional.normalize(torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), dim=1)
    mirrored = mirror_direction(normals.T.reshape(1, 3, 1, 3))[0, :, 0].T
    expected = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    torch.testing.assert_close(mirrored, expected, atol=1e-6, rtol=0)


def test_environments_of_any_size_are_brought_to_the_models_own_with_their_energy(model):
    fine = np.random.default_rng(0).random((64, 128, 3)).astype(np.float32)
    fitted = model.fit_environment(fine)
    assert fitted.shape == (1, 1, 3, 16, 32)
    again = model.fit_environment(fitted[0, 0].permute(1, 2, 0).numpy())
    torch.testing.assert_close(again, fitted)
    ring = np.zeros((64, 128, 3), np.float32)
    ring[21:43] = 1.0  # of a height that is no multiple of the model's rows
    heights = np.cos(np.pi * np.array([21, 43]) / 64)
    solid_angles = torch.from_numpy(pixel_solid_angles(16, 32)).float()
    energy = (model.fit_environment(ring)[0, 0, 0] * solid_angles).sum()
    assert float(energy) == pytest.approx(2 * np.pi * (heights[0] - heights[1]), rel=1e-5)


def test_a_delighting_model_is_begun_from():
    delit = tiny_model()
    model = RelitModel(RelitConfig(base_dim=32))
    model.begin_from(delit)
    assert torch.equal(model.network.stem.weight, delit.network.stem.weight)
    assert torch.equal(model.network.to_transfer.weight, delit.network.shading.to_transfer.weight)
    with pytest.raises(ValueError, match="width"):
        RelitModel(RelitConfig(base_dim=64)).begin_from(delit)
    with pytest.raises(ValueError, match="shading"):
        model.begin_from(tiny_model("simplified"))


def test_features_over_time_begin_as_the_identity_and_leave_stills_alone():
    sizes = {"image_size": 64, "env_height": 16, "base_dim": 32}
    plain, steady = tiny_relit_model(), RelitModel(RelitConfig(**sizes, over_time=True))
    steady.begin_from_relit(plain)
    frames = portrait(count=6)
    for whole, window in zip(plain.transport(frames), steady.transport(frames, frames=3), strict=True):
        torch.testing.assert_close(window, whole)
    mixing = tiny_relit_model(over_time=True)
    still, window = (mixing.transport(frames, frames=count).diffuse for count in (1, 3))
    assert (still - window).abs().max() > 1e-3
    other = torch.cat([frames[:3], portrait(count=3, seed=5)])
    torch.testing.assert_close(mixing.transport(other, frames=3).diffuse[:3], window[:3])  # windows stay apart
    torch.testing.assert_close(mixing.transport(other).diffuse[:3], still[:3])


def test_a_new_source_begins_as_the_first():
    model = RelitModel(RelitConfig(base_dim=32, sources=("stage", "films")))
    model.begin_from_relit(tiny_relit_model())
    assert torch.equal(*model.network.source.weight)
    with pytest.raises(ValueError, match="another shape"):
        RelitModel(RelitConfig(base_dim=64)).begin_from_relit(tiny_relit_model())


def test_checkpoints_are_read_back_and_others_refused(tmp_path, model):
    loaded = relit_model.load(write_relit_checkpoint(tmp_path / "relit.pth"))
    assert loaded.config == model.config
    flat_lit, environment = portrait(), lights()
    assert torch.equal(loaded(flat_lit, environment)[0], model(flat_lit, environment)[0])
    with pytest.raises(InputError, match="kind 'delit'"):
        relit_model.load(write_checkpoint(tmp_path / "delit.pth"))
