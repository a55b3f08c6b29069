"""Relit samples are the subject under the environment that comes along, drawn anew for every batch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from src.data.portrait import random_light
from src.data.portrait.random_light import Light, RandomLight
from src.data.stage.lights import read_lights
from src.data.stage.olat import LightCells
from src.utils.sphere import perspective_directions, sample_environment
from tests.data.portrait.relighting import SIZE, assert_same, make, pairs_of, tensors_of
from tests.tiny_stage import ball_normals


def test_samples_are_the_subject_under_the_environment_that_comes_along(root, tmp_path):
    batches = make(root, tmp_path, batch_size=12, augment=False)
    normals, mask = (part[1:11] for part in ball_normals())  # the square about the middle
    inside = mask > 0
    lights = read_lights(root / "olat" / "lights.json")
    cosine = np.einsum("hwk,lk->hwl", normals, lights).clip(0, None) / np.pi
    cells = LightCells(lights)
    batch = batches.batch(0, 0)
    assert np.array_equal(batch.mask[0, 0], mask)
    for relit, flat_lit, environment in zip(batch.relit, batch.flat_lit, batch.environment, strict=True):
        # A white Lambertian ball's picture is irradiance / pi; this one's is its flat-lit albedo times that.
        light = cells.integrate(environment.movedim(0, -1).numpy())
        shading = cosine @ light / (cosine @ cells.solid_angles())[..., None].clip(1e-6, None)
        expected = flat_lit.movedim(0, -1).numpy() * shading
        np.testing.assert_allclose(relit.movedim(0, -1).numpy()[inside], expected[inside], rtol=0.01)


def test_flat_lit_is_what_preparing_the_set_writes(root, tmp_path):
    batch = make(root, tmp_path, augment=False).batch(0, 0)
    prepared = {item.name[0].split("/")[0]: item.flat_lit[0] for item in pairs_of(root)}
    for name, flat_lit, mask in zip(batch.name, batch.flat_lit, batch.mask, strict=True):
        torch.testing.assert_close(flat_lit, prepared[name.split("/")[0]] * (mask > 0), rtol=5e-3, atol=1e-4)


def test_the_background_is_the_environment_ahead(root, tmp_path):
    batch = make(root, tmp_path, augment=False, fov_degrees=50.0).batch(0, 0)
    rays = perspective_directions(SIZE, SIZE, 50.0)
    for relit, environment, mask in zip(batch.relit, batch.environment, batch.mask, strict=True):
        expected = sample_environment(environment.movedim(0, -1).numpy(), rays)
        outside = mask[0].numpy() == 0
        np.testing.assert_allclose(relit.movedim(0, -1).numpy()[outside], expected[outside], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("augment", [False, True])
def test_batches_have_the_shapes_that_are_promised(root, tmp_path, augment):
    batch = make(root, tmp_path, augment=augment, physical=True, pairs=pairs_of(root), batch_size=5).batch(1, 2)
    shapes = {key: tuple(value.shape) for key, value in tensors_of(batch).items()}
    side = batch.stage.olats.shape[-1]
    assert shapes == {
        "relit": (5, 3, SIZE, SIZE),
        "flat_lit": (5, 3, SIZE, SIZE),
        "mask": (5, 1, SIZE, SIZE),
        "environment": (5, 3, 16, 32),
        "other.environment": (4, 3, 16, 32),
        "other.shading": (4, 3, SIZE, SIZE),
        "stage.olats": (4, 24, 3, side, side),
        "stage.mask": (4, 1, side, side),
        "stage.light_matrix": (4, 24, 512),
        "stage.to_stage": (4, 16, 32, 2),
    }
    assert len(batch.name) == 5 and all("/" in name for name in batch.name)
    for key, value in tensors_of(batch).items():
        assert key == "stage.to_stage" or (value.isfinite().all() and value.min() >= 0), key
    assert batch.mask.max() <= 1 + 1e-6


@pytest.mark.parametrize("pairs", [False, True])
def test_the_other_shading_is_the_subject_under_the_other_environment(root, tmp_path, pairs):
    batch = make(root, tmp_path, batch_size=12, augment=False, pairs=pairs_of(root) if pairs else None).batch(0, 0)
    count = 12 - 2 * pairs
    assert len(batch.other.environment) == len(batch.other.shading) == count
    lights = read_lights(root / "olat" / "lights.json")
    cosine = np.einsum("hwk,lk->hwl", ball_normals()[0][1:11], lights).clip(0, None) / np.pi
    cells = LightCells(lights)
    inside = batch.mask[0, 0].numpy() > 0
    for shading, environment in zip(batch.other.shading, batch.other.environment, strict=True):
        light = cells.integrate(environment.movedim(0, -1).numpy())
        expected = cosine @ light / (cosine @ cells.solid_angles())[..., None].clip(1e-6, None)
        np.testing.assert_allclose(shading.movedim(0, -1).numpy()[inside], expected[inside], rtol=0.01)
    for one, other in zip(batch.environment[:count], batch.other.environment, strict=True):
        assert not torch.allclose(one, other, rtol=0.01)


def test_the_other_shading_is_moved_with_the_subject_and_whatever_its_skin(root, tmp_path):
    """White light from all around shades a subject alike everywhere, however it is turned and coloured."""
    batches = make(root, tmp_path, image_size=32, batch_size=12)
    batches.light = UniformLight(batches.light, 3.0)
    batch = batches.batch(0, 0)
    inside = (batch.mask > 0.99).expand_as(batch.other.shading)
    assert 0.2 < inside.float().mean() < 0.9
    shading = batch.other.shading[inside]
    torch.testing.assert_close(shading, torch.full_like(shading, 3.0), rtol=0.02, atol=0)


class UniformLight:
    """In place of light that is drawn: the same from everywhere."""

    def __init__(self, light: RandomLight, radiance: float) -> None:
        self.grid, self.directions, self._radiance = light.grid, light.directions, radiance

    def __call__(self, _random: torch.Generator, rotation: torch.Tensor) -> Light:
        maps = torch.full((len(rotation), 3, *self.directions.shape[:2]), self._radiance)
        return Light(maps, maps, ["white"] * len(rotation))


def test_batches_are_a_function_of_seed_epoch_index_and_rank(root, tmp_path):
    one, other = (make(root, tmp_path, seed=3, physical=True, pairs=pairs_of(root)) for _ in range(2))
    other.batch(5, 0)
    list(other.epoch(0, 0))
    assert_same(one.batch(2, 1), other.batch(2, 1))
    for index, batch in enumerate(one.epoch(2, 1), 1):
        assert_same(batch, other.batch(2, index))
    different = [one.batch(2, 1), one.batch(2, 2), one.batch(1, 1)]
    different += [make(root, tmp_path, seed=4).batch(2, 1), make(root, tmp_path, seed=3, rank=1).batch(2, 1)]
    for key in ("relit", "environment"):
        assert not any(
            torch.equal(getattr(a, key), getattr(b, key)) for i, a in enumerate(different) for b in different[:i]
        )


def test_the_same_seed_gives_the_batch_that_it_always_gave(root, tmp_path):
    """``stored/relit_batch.npz`` was written by an earlier version; of environments every fourth row and column."""
    batch = make(root, tmp_path, batch_size=5, seed=3, pairs=pairs_of(root)).batch(1, 2)
    with np.load(Path(__file__).parent / "stored" / "relit_batch.npz") as stored:
        assert batch.name == stored["name"].tolist()
        for name, values in {
            "relit": batch.relit,
            "flat_lit": batch.flat_lit,
            "mask": batch.mask,
            "environment": batch.environment[..., ::4, ::4],
            "other_environment": batch.other.environment[..., ::4, ::4],
            "other_shading": batch.other.shading,
        }.items():
            np.testing.assert_allclose(values, stored[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_no_light_is_seen_twice(root, tmp_path):
    batches = make(root, tmp_path, augment=False)
    maps = [light for epoch in range(3) for batch in batches.epoch(epoch, 0) for light in batch.environment]
    assert len(maps) == 3 * 3 * 6
    assert not any(torch.allclose(a, b, rtol=1e-3) for i, a in enumerate(maps) for b in maps[:i])


def test_an_epoch_has_its_steps_from_any_start(root, tmp_path):
    batches = make(root, tmp_path)
    assert [len(list(batches.epoch(0, start))) for start in (0, 2, 3)] == [3, 1, 0]


def test_every_subject_and_environment_takes_part(root, tmp_path):
    names = {name for batch in make(root, tmp_path, batch_size=64).epoch(0, 0) for name in batch.name}
    assert names == {f"ID00{subject}/env_00{environment}" for subject in (1, 2, 3) for environment in (1, 2, 3)}


def test_black_environments_light_nobody_but_stay_finite(root, tmp_path, monkeypatch):
    monkeypatch.setattr(random_light, "read_environment", lambda _: np.zeros((16, 32, 3), np.float32))
    batch = make(root, tmp_path, batch_size=16).batch(0, 0)
    assert all(value.isfinite().all() for value in tensors_of(batch).values())
