from pathlib import Path

import numpy as np
import pytest

from src.data.captures import find_captures
from src.data.lights import read_lights
from src.data.olat import LightCells
from src.data.relight_dataset import RelightDataset
from src.utils.cli import InputError
from src.utils.image_io import list_images
from tests.data.stage import ball_normals, write_stage


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write_stage(tmp_path_factory.mktemp("stage"))


def dataset(root: Path, cache: Path, **options) -> RelightDataset:
    stage = find_captures(root / "olat", read_lights(root / "olat" / "lights.json"))
    options = {"image_size": 10, "env_height": 16, "env_width": 32, "length": 30, **options}
    return RelightDataset(stage, list_images(root / "envs"), cache, **options)


def test_samples_are_the_subject_under_the_environment_that_comes_along(root, tmp_path):
    data = dataset(root, tmp_path, use_augmentation=False, background=False)
    _, mask = ball_normals()
    inside = mask[1:11] > 0
    for index in range(6):
        item = data[index]
        environment = item["environment"].movedim(0, -1).numpy()
        # A white Lambertian ball's picture is irradiance / pi; this one's is its flat-lit albedo times that.
        lights = read_lights(root / "olat" / "lights.json")
        normals = ball_normals()[0][1:11]
        cosine = np.einsum("hwk,lk->hwl", normals, lights).clip(0, None) / np.pi
        cells = LightCells(lights)
        shading = cosine @ cells.integrate(environment) / (cosine @ cells.solid_angles())[..., None].clip(1e-6, None)
        expected = item["flat_lit"].movedim(0, -1).numpy() * shading
        relit = item["relit"].movedim(0, -1).numpy()
        np.testing.assert_allclose(relit[inside], expected[inside], rtol=0.01)


def test_light_never_repeats_but_is_a_function_of_seed_epoch_and_index(root, tmp_path):
    one, other = dataset(root, tmp_path, seed=3), dataset(root, tmp_path, seed=3)
    other[9], other[4]
    np.testing.assert_array_equal(one[2]["relit"], other[2]["relit"])
    pictures = [one[index]["environment"].numpy() for index in range(12)]
    assert all(not np.array_equal(a, b) for i, a in enumerate(pictures) for b in pictures[:i])
    one.set_epoch(1)
    assert not np.array_equal(one[2]["environment"], other[2]["environment"])


def test_olats_are_read_once(root, tmp_path, monkeypatch):
    data = dataset(root, tmp_path)
    for index in range(12):
        data[index]
    monkeypatch.setattr("src.data.relight_dataset.read_picture", lambda *_: pytest.fail("read again"))
    fresh = dataset(root, tmp_path)
    assert {fresh[index]["name"].split("/")[0] for index in range(12)} == {"ID001", "ID002"}


def test_backgrounds_need_masks(root, tmp_path):
    data = dataset(root, tmp_path)
    data.stage = type(data.stage)(
        tuple(c.__class__(c.name, c.identity, c.images, c.light_set) for c in data.stage.captures),
        data.stage.light_sets,
    )
    with pytest.raises(InputError, match=r"no mask\.png"):
        data[0]
