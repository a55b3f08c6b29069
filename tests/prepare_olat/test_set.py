"""What a set holds: pictures that are the closed form's, in every way of making them."""

import json

import numpy as np
import pytest

from src.data.portrait.splits import read_splits
from src.utils.image_io import image_size, list_images, read_linear, read_mask
from src.utils.sphere import perspective_directions, resize_environment, sample_environment
from tests.prepare_olat.command import run
from tests.tiny_stage import HEIGHT, WIDTH, ball_normals


def test_layout_and_physics(stage, tmp_path):
    out = tmp_path / "set"
    assert run(stage, out) == 0
    subjects = sorted(path.name for path in (out / "subjects").iterdir())
    assert subjects == ["ID001", "ID002"]
    metadata = json.loads((out / "metadata.json").read_text())
    lights = metadata["light_sets"]["stage"]
    for subject in subjects:
        folder = out / "subjects" / subject
        assert {path.name for path in folder.iterdir()} == {"flat_lit.exr", "mask.png", "metadata.json", "relit"}
        olats = np.stack([read_linear(path) for path in list_images(stage / "olat" / subject) if path.stem != "mask"])
        for name in ("env_001", "env_002", "env_003"):
            c = np.array(lights["coefficients"][name])
            expected = np.einsum("lc,lhwc->hwc", c, olats)
            np.testing.assert_allclose(read_linear(folder / "relit" / f"{name}.exr"), expected, rtol=2e-3, atol=1e-4)
        flat = np.einsum("l,lhwc->hwc", lights["solid_angles"], olats)
        np.testing.assert_allclose(read_linear(folder / "flat_lit.exr"), flat, rtol=2e-3, atol=1e-4)
        np.testing.assert_array_equal(read_mask(folder / "mask.png"), ball_normals()[1])
    splits = json.loads((out / "splits.json").read_text())
    assert splits["val"]["environments"] == ["env_002"] and splits["val"]["subjects"] == []


def test_worker_processes_give_the_same_pictures(stage, tmp_path):
    assert run(stage, tmp_path / "one") == 0
    assert run(stage, tmp_path / "two", "--workers", "2") == 0
    for path in (tmp_path / "one" / "subjects").rglob("*.exr"):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        np.testing.assert_array_equal(read_linear(path), read_linear(other))


def test_little_memory_gives_the_same_pictures(stage, tmp_path):
    assert run(stage, tmp_path / "much") == 0
    little = 10 * 12 * HEIGHT * WIDTH / 1024**3  # six pictures of overhead, four left
    assert run(stage, tmp_path / "little", "--max_memory_gb", str(little)) == 0
    for path in (tmp_path / "much" / "subjects").rglob("*.exr"):
        other = tmp_path / "little" / path.relative_to(tmp_path / "much")
        np.testing.assert_allclose(read_linear(path), read_linear(other), rtol=1e-3, atol=1e-6)


def test_shards_together_make_the_whole(stage, tmp_path):
    out = tmp_path / "set"
    assert run(stage, out, "--shard", "1/2") == 0
    assert [path.name for path in (out / "subjects").iterdir()] == ["ID002"]
    assert run(stage, out, "--shard", "0/2") == 0
    assert len(list((out / "subjects").iterdir())) == 2


def test_environments_that_are_none_are_named(own_stage, tmp_path, capsys):
    (own_stage / "envs" / "sky.heic").write_bytes(b"x")
    (own_stage / "envs" / "__MACOSX").mkdir()
    assert run(own_stage, tmp_path / "set") == 0
    assert f"passed over in {own_stage / 'envs'}, no .hdr or .exr: __MACOSX, sky.heic\n" in capsys.readouterr().out


def test_rotations_and_exposure(stage, tmp_path):
    out = tmp_path / "set"
    assert run(stage, out, "--rotations", "4", "--normalize_exposure", "--val_envs", "env_002") == 0
    names = sorted(path.stem for path in (out / "env_maps").iterdir())
    assert len(names) == 12 and "env_001_r090" in names
    metadata = json.loads((out / "metadata.json").read_text())
    source = read_linear(stage / "envs" / "env_001.hdr")
    for degrees in (0, 270):
        name = f"env_001_r{degrees:03d}"
        entry = metadata["environments"][name]
        assert entry["rotation_degrees"] == degrees
        # About +Y, whose positive turns move a map's columns to the left: whole columns of 32.
        expected = np.roll(source, -degrees * 32 // 360, axis=1) * entry["exposure"]
        written = read_linear(out / "env_maps" / f"{name}.hdr")
        assert np.abs(written - expected).max() <= expected.max() / 128
        mean = resize_environment(written, 1, 2).mean(axis=(0, 1)) @ [0.2126, 0.7152, 0.0722]
        assert mean == pytest.approx(1, rel=0.01)
    splits = read_splits(out / "splits.json")
    assert splits["val"]["environments"] == [f"env_002_r{angle:03d}" for angle in (0, 90, 180, 270)]


def test_background_is_the_environment_behind_the_person(stage, tmp_path):
    assert run(stage, tmp_path / "black") == 0
    assert run(stage, tmp_path / "full", "--composite", "background", "--fov", "40") == 0
    black = read_linear(tmp_path / "black" / "subjects" / "ID001" / "relit" / "env_001.exr")
    full = read_linear(tmp_path / "full" / "subjects" / "ID001" / "relit" / "env_001.exr")
    _, mask = ball_normals()
    np.testing.assert_array_equal(full[mask == 1], black[mask == 1])
    rays = perspective_directions(HEIGHT, WIDTH, 40)
    behind = sample_environment(read_linear(stage / "envs" / "env_001.hdr"), rays)
    np.testing.assert_allclose(full[mask == 0], behind[mask == 0], rtol=2e-3, atol=1e-4)


def test_image_size_and_exposure(stage, tmp_path):
    assert run(stage, tmp_path / "small", "--image_size", "6", "--exposure", "2.5") == 0
    assert run(stage, tmp_path / "whole") == 0
    small = tmp_path / "small" / "subjects" / "ID001" / "relit" / "env_003.exr"
    assert image_size(small) == (6, 5)
    whole = read_linear(tmp_path / "whole" / "subjects" / "ID001" / "relit" / "env_003.exr")
    averaged = whole.reshape(6, 2, 5, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(read_linear(small), 2.5 * averaged, rtol=3e-3, atol=1e-4)
