"""Each change a camera makes: what it does, and what it must leave alone."""

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter

from src.data.portrait import wild_camera as module
from src.data.portrait.pair_batch import PairBatch
from src.data.portrait.wild_camera import CHANGES, block, blur, misexpose, photograph_in_the_wild, reduce, respond
from src.utils.color import linear_to_srgb, srgb_to_linear
from src.utils.seeding import generator

ODD = 42  # no multiple of 8


def pictures(count: int = 6, side: int = ODD) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=generator(5)) + 0.1


def batch_of(count: int = 64, side: int = 16) -> PairBatch:
    return PairBatch(
        relit=pictures(count, side),
        flat_lit=pictures(count, side),
        mask=torch.ones(count, 1, side, side),
        environment=torch.ones(count, 3, 4, 8),
        name=["a/b"] * count,
    )


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("side", [1, 8, ODD])
def test_pictures_stay_pictures(name, side):
    for picture in (pictures(3, side), torch.zeros(2, 3, side, side)):
        changed = module._FUNCTIONS[name](generator(0), picture.clone())
        assert changed.shape == picture.shape and changed.isfinite().all() and changed.min() >= 0


@pytest.mark.parametrize("name", ["low_resolution", "blur", "noise", "response"])
def test_the_mean_stays_about_what_it_was(name):
    changed = module._FUNCTIONS[name](generator(1), pictures())
    torch.testing.assert_close(changed.mean((1, 2, 3)), pictures().mean((1, 2, 3)), rtol=0.15, atol=0)


@pytest.mark.parametrize("name", [name for name in CHANGES if name != "noise"])
def test_exposure_of_the_picture_does_not_matter(name):
    one, other = (module._FUNCTIONS[name](generator(2), scale * pictures()) for scale in (1.0, 64.0))
    torch.testing.assert_close(64 * one, other, rtol=1e-3, atol=1e-2)


def test_blur_is_a_gaussian(monkeypatch):
    monkeypatch.setattr(module, "BLUR_SIGMAS", (0.05, 0.05 + 1e-9))
    blurred = blur(generator(0), pictures(2))
    expected = gaussian_filter(pictures(2).numpy(), (0, 0, 0.05 * ODD, 0.05 * ODD), mode="nearest", truncate=2.6)
    np.testing.assert_allclose(blurred, expected, rtol=0.01)


def test_response_leaves_grey_grey_and_keeps_the_order_of_brightness():
    ramp = torch.linspace(0.01, 1.0, 64).view(1, 1, 8, 8).expand(4, 3, 8, 8)
    answered = respond(generator(3), ramp.clone())
    torch.testing.assert_close(answered[:, :1].expand_as(answered), answered, rtol=1e-3, atol=1e-4)
    assert (answered[:, 0].flatten(1).diff() > 0).all()


def test_reduced_pictures_have_no_fine_detail():
    checkers = ((torch.arange(24)[:, None] + torch.arange(24)) % 2).float().expand(2, 3, 24, 24)
    reduced = reduce(generator(0), checkers)
    assert (reduced - 0.5).abs().max() < 0.25 * 0.5


def test_exposure_is_burnt_or_of_few_codes():
    codes = [len(torch.unique(one)) for one in misexpose(generator(4), pictures(16))]
    clipped = [float((one == one.max()).float().mean()) for one in misexpose(generator(4), pictures(16))]
    assert sum(share > 0.02 for share in clipped) >= 4 and sum(count < 200 for count in codes) >= 4


def test_blocks_are_cosine_transforms_in_steps(monkeypatch):
    """One colour-free picture through scipy's transform with the same steps."""
    monkeypatch.setattr(module, "JPEG_SCALES", (2.0, 2.0 + 1e-9))
    grey = torch.rand(1, 1, 16, 16, generator=generator(1)).expand(1, 3, 16, 16)
    white = grey.max()
    luma = linear_to_srgb(grey[0, 0] / white).numpy().astype(np.float64)
    steps = 2.0 * (10 + 6 * np.add.outer(np.arange(8), np.arange(8))) / 255
    expected = np.empty((16, 16))
    for i in (0, 8):
        for j in (0, 8):
            spectrum = dctn(luma[i : i + 8, j : j + 8], norm="ortho")
            expected[i : i + 8, j : j + 8] = idctn(np.round(spectrum / steps) * steps, norm="ortho")
    found = block(generator(0), grey.clone())[0, 1] / white
    np.testing.assert_allclose(found, srgb_to_linear(expected.clip(0, 1)), atol=2e-3)


@pytest.mark.parametrize("name", CHANGES)
def test_a_switch_changes_some_pictures_and_nothing_but_them(name):
    batch = batch_of()
    changed = photograph_in_the_wild(generator(0), batch, frozenset({name}))
    is_same = torch.tensor([torch.equal(a, b) for a, b in zip(batch.relit, changed.relit, strict=True)])
    assert 0.02 < (~is_same).float().mean() < 0.7
    assert changed.flat_lit is batch.flat_lit and changed.mask is batch.mask
    of_light = (changed.environment != batch.environment).flatten(1).any(1)
    assert torch.equal(of_light, ~is_same) if name == "response" else not of_light.any()
    assert torch.equal(batch.relit, batch_of().relit)  # the batch that was given stays


def test_a_cast_is_of_the_light(monkeypatch):
    """Of grey pictures without mixing and tone, what the camera did is what the environment was multiplied by."""
    monkeypatch.setattr(module, "CROSSTALK", 0.0)
    monkeypatch.setattr(module, "GAMMAS", (1.0, 1.0 + 1e-9))
    monkeypatch.setattr(module, "normal", lambda random, sigma, *shape: sigma * torch.ones(shape).cumsum(1))
    batch = batch_of(side=8)
    changed = photograph_in_the_wild(generator(0), batch, frozenset({"response"}))
    gains = changed.environment[:, :, :1, :1]
    ratio = changed.relit / batch.relit
    straight = [index for index in range(len(batch)) if ratio[index].flatten(1).std(1).max() < 1e-4]
    assert len(straight) > 10
    torch.testing.assert_close(ratio[straight], gains[straight].expand_as(ratio[straight]), rtol=1e-3, atol=1e-4)
