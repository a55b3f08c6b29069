"""Portraits in several lights, relit for every batch, on balls whose picture under any light is known."""

import numpy as np
import pytest
import torch

from src.data.portrait.olat_stacks import OlatStacks
from src.data.portrait.picture_cache import PictureCache
from src.data.portrait.random_light import RandomLight
from src.data.portrait.relit_batches import RelitBatches, RelitOptions
from src.data.stage.captures import open_stage
from src.models.delit.lobes import LOBES, lobe_shares, lobe_weights
from src.utils.image_io import list_images
from src.utils.sphere import fibonacci_sphere
from tests.tiny_stage import ball_normals, write_stage

SIZE = 10


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    root = write_stage(tmp_path_factory.mktemp("stage"), subjects=2, lights=64)
    cache = PictureCache(root / "cache")
    stacks = OlatStacks(open_stage(root / "olat", None), cache, SIZE, torch.device("cpu"))
    return stacks, RandomLight(list_images(root / "envs"), 8, 16, cache, torch.device("cpu"))


def batches(parts, augment: bool, **options) -> RelitBatches:
    return RelitBatches(*parts, RelitOptions(batch_size=3, lights=2, augment=augment, **options), lobe_shares)


def test_batches_are_a_function_of_their_place(parts):
    one, again, other = (batches(parts, True, seed=seed).batch(2, 5) for seed in (1, 1, 2))
    assert one.name == again.name and torch.equal(one.relit, again.relit) and torch.equal(one.transfer, again.transfer)
    assert not torch.equal(one.relit, other.relit)
    assert one.relit.shape == (3, 2, 3, SIZE, SIZE) and one.environment.shape == (3, 2, 3, 8, 16)


@pytest.mark.parametrize("augment", [False, True])
def test_pictures_are_those_of_the_light_that_is_seen(parts, augment):
    """Flat-lit times the mean light through the transfer's lobes is the picture, but for how wide the lobes are."""
    batch = batches(parts, augment).batch(0, 0)
    np.testing.assert_allclose(batch.transfer.sum(2).amax(), 1, atol=1e-4)
    light = batch.environment.flatten(3) @ lobe_weights(8, 16).T  # N x M x 3 x K
    shading = torch.einsum("nckhw,nmck->nmchw", batch.transfer, light)
    flat, relit = (torch.nn.functional.avg_pool2d(p.flatten(0, -4), 2) for p in (batch.flat_lit, batch.relit))
    expected = flat[:, None] * shading
    relit = relit.unflatten(0, (3, 2))
    inside = torch.nn.functional.avg_pool2d(batch.mask, 2)[:, None] > 0.99
    differences = ((expected - relit).abs() * inside).sum() / (relit * inside).sum()
    wrong = ((expected.flip(-1) - relit).abs() * inside).sum() / (relit * inside).sum()
    assert differences < 0.15 and differences < 0.7 * wrong


def test_transfer_points_along_the_normals(parts):
    batch = batches(parts, False).batch(0, 0)
    axes = torch.from_numpy(fibonacci_sphere(LOBES)).float()
    mean = torch.einsum("nkhw,kd->nhwd", batch.transfer.mean(1), axes)[0]
    normals, mask = ball_normals(12, 10)
    normals, mask = normals[1:11].reshape(5, 2, 5, 2, 3).mean((1, 3)), mask[1:11].reshape(5, 2, 5, 2).min((1, 3))
    mean, normals = mean.numpy()[mask > 0], normals[mask > 0]
    cosine = (mean * normals).sum(-1) / np.linalg.norm(mean, axis=-1) / np.linalg.norm(normals, axis=-1)
    assert cosine.min() > 0.95


def test_every_other_portrait_is_shown_before_its_light_and_the_rest_before_black(parts):
    batch = batches(parts, False).batch(0, 0)
    outside = (batch.mask == 0).expand_as(batch.shown)
    assert not batch.shown[1][outside[1]].any() and batch.shown[0][outside[0]].min() > 0
    torch.testing.assert_close(batch.shown * (batch.mask == 1), batch.flat_lit * (batch.mask == 1))
