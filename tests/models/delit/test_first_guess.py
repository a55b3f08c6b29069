import math

import pytest
import torch
import torch.nn.functional as F

from src.models.delit import first_guess
from src.models.delit.first_guess import DIM, SHADING_SIZE, THUMBNAIL, FirstGuess
from src.utils import checkpoint

LOBES = 5
Sample = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def pictures(count: int, size: int = 32, seed: int = 0) -> torch.Tensor:
    """Smooth random pictures N x 3 x S x S that have few degrees of freedom."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 3, 3, generator=generator) * 2 + 0.05
    return F.interpolate(coarse, (size, size), mode="bilinear", align_corners=False)


def samples(count: int = 400, size: int = 32, batch_size: int = 50, seed: int = 0) -> list[Sample]:
    """Batches whose light is linear in the features; the flat-lit picture is half the lit one."""
    batches = []
    for picture in pictures(count, size, seed).split(batch_size):
        mask = torch.zeros(len(picture), 1, size, size)
        mask[..., size // 4 :, size // 4 :] = 1
        batches.append((picture, linear_light(picture), 0.5 * picture, mask))
    return batches


def linear_light(picture: torch.Tensor) -> torch.Tensor:
    features = FirstGuess.features(picture)
    weights = torch.randn(features.shape[1], 3 * LOBES, generator=torch.Generator().manual_seed(7))
    return (features @ weights / math.sqrt(features.shape[1]) + 2.0).unflatten(1, (3, LOBES))


def explained(guess: torch.Tensor, truth: torch.Tensor) -> float:
    """The share of the variance over samples that the guess explains."""
    return 1 - ((guess - truth).square().sum() / (truth - truth.mean(0)).square().sum()).item()


@pytest.fixture(scope="module")
def fitted() -> FirstGuess:
    guess = FirstGuess(LOBES)
    guess.fit(iter(samples()))
    return guess


def test_light_that_is_linear_in_the_features_is_found(fitted):
    unseen = pictures(100, seed=1)
    assert explained(fitted(unseen).light, linear_light(unseen)) > 0.99


def test_shading_is_found_within_the_mask(fitted):
    """It varies in far fewer directions than are kept."""
    unseen, _, flat_lit, _ = samples(50, seed=1)[0]
    guess = fitted(unseen)
    lit, flat = (F.adaptive_avg_pool2d(image, SHADING_SIZE) for image in (unseen, flat_lit))
    inside = (..., slice(SHADING_SIZE // 4, None), slice(SHADING_SIZE // 4, None))
    expected = torch.log(lit + DIM) - torch.log(flat + DIM)
    torch.testing.assert_close(guess.log_shading[inside], expected[inside], rtol=0, atol=0.1)
    assert explained(guess.log_shading[inside], expected[inside]) > 0.95
    assert guess.log_shading[..., : SHADING_SIZE // 4, :].abs().max() < 1e-3


def test_the_directions_that_vary_most_are_kept(monkeypatch):
    monkeypatch.setattr(first_guess, "_RANK", 4)
    few = FirstGuess(LOBES)
    few.fit(samples())
    monkeypatch.setattr(first_guess, "_RANK", 27)
    many = FirstGuess(LOBES)
    many.fit(samples())
    picture = pictures(100, seed=1)
    shares = []
    for guess in (few, many):
        log_shading = guess(picture).log_shading
        centred = (log_shading - log_shading.mean(0)).flatten(1)
        shares.append(centred.square().sum().item())
        assert torch.linalg.matrix_rank(centred, rtol=1e-4) <= guess.reduced.out_features
    assert 0.3 < shares[0] / shares[1] < 1, "4 of 27 directions hold more than their share"


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (20, 12), (128, 64)])
def test_pictures_of_any_size_are_looked_at(fitted, size):
    guess = fitted(torch.rand(2, 3, *size))
    shapes = [(2, 3, LOBES), (2, 3, SHADING_SIZE, SHADING_SIZE)]
    assert [tuple(value.shape) for value in guess] == shapes
    assert all(value.isfinite().all() and value.dtype == torch.float32 for value in guess)


def test_the_same_picture_at_twice_the_size_has_the_same_guess(fitted):
    small = pictures(3)
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    for one, other in zip(fitted(small), fitted(large), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("count", [1, 3, 40])
def test_fewer_samples_than_features_will_do(count):
    assert count < 6 * THUMBNAIL**2
    few = samples(count)
    guess = FirstGuess(LOBES)
    guess.fit(few)
    picture, light, _, _ = few[0]
    assert all(value.isfinite().all() for value in guess(pictures(4, seed=1)))
    if count == 1:
        torch.testing.assert_close(guess(picture).light, light, rtol=1e-4, atol=1e-4)
    else:
        assert explained(guess(picture).light, light) > 0.95


def test_batches_give_what_one_batch_gives():
    one, many = FirstGuess(LOBES), FirstGuess(LOBES)
    one.fit(samples(60, batch_size=60))
    many.fit(iter(samples(60, batch_size=7)))
    unseen = pictures(5, seed=1)
    for a, b in zip(one(unseen), many(unseen), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_people_who_are_not_there_and_black_pictures_are_fitted_too():
    picture, light, flat_lit, mask = samples(10)[0]
    picture[0], flat_lit[1], mask[2:4] = 0, 0, 0
    guess = FirstGuess(LOBES)
    guess.fit([(picture, light, flat_lit, mask)])
    assert all(value.isfinite().all() for value in guess(picture))


def test_a_guess_survives_being_stored(fitted, tmp_path):
    checkpoint.write(tmp_path / "guess.pth", "guess", {"state": fitted.state_dict()})
    again = FirstGuess(LOBES)
    unseen = pictures(5, seed=1)
    assert not torch.equal(again(unseen).light, fitted(unseen).light)
    again.load_state_dict(checkpoint.read(tmp_path / "guess.pth", "guess")["state"])
    for one, other in zip(fitted(unseen), again(unseen), strict=True):
        assert torch.equal(one, other)


def test_training_leaves_it_as_it_was_fitted(fitted):
    before = {name: value.clone() for name, value in fitted.state_dict().items()}
    optimizer = torch.optim.AdamW(fitted.parameters(), lr=1.0, weight_decay=0.5)
    picture = pictures(3).requires_grad_()
    sum(value.sum() for value in fitted(picture)).backward()
    optimizer.step()
    assert picture.grad.abs().max() > 0, "what comes before it could be trained"
    for name, value in fitted.state_dict().items():
        assert torch.equal(value, before[name]), name
