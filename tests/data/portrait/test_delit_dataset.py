"""Items are the files of a set, also from the cache, and the square about the person."""

import numpy as np
import pytest
import torch

from src.data.portrait import delit_dataset
from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.layout import choose_pairs, find_pairs
from src.data.portrait.pair_batch import concatenate
from src.data.stage.olat import LightCells
from src.utils.cli import InputError
from src.utils.image_io import read_linear, read_mask, write_display, write_linear
from src.utils.resize import fit_square
from src.utils.sphere import fibonacci_sphere


def small(pairs, **options) -> DelitDataset:
    return DelitDataset(pairs, image_size=10, env_height=16, env_width=32, **options)


def test_pairs_follow_the_split(prepared):
    assert len(find_pairs(prepared)) == 16
    train, val = choose_pairs(prepared, "train"), choose_pairs(prepared, "val")
    assert len(train) == 9 and len(val) == 1
    assert not {p.subject for p in train} & {p.subject for p in val}
    assert not {p.environment_name for p in train} & {p.environment_name for p in val}


def test_items_are_the_files(prepared):
    pairs = find_pairs(prepared)
    item = small(pairs)[5]
    pair = pairs[5]
    assert item.name == [pair.name] and pair.name == "ID002/env_002"
    assert {key: tuple(getattr(item, key).shape) for key in ("relit", "flat_lit", "mask", "environment")} == {
        "relit": (1, 3, 10, 10),
        "flat_lit": (1, 3, 10, 10),
        "mask": (1, 1, 10, 10),
        "environment": (1, 3, 16, 32),
    }
    picture = read_linear(pair.relit)  # 12 x 10: the square is cut about the mask's middle
    np.testing.assert_array_equal(item.relit[0].movedim(0, -1), picture[1:11])
    np.testing.assert_allclose(item.environment[0].movedim(0, -1), read_linear(pair.environment))
    assert all(getattr(item, key).dtype == torch.float32 for key in ("relit", "flat_lit", "mask", "environment"))


def test_loader_workers_batch_the_items(prepared):
    loader = torch.utils.data.DataLoader(
        small(find_pairs(prepared), use_augmentation=True),
        batch_size=4,
        num_workers=2,
        multiprocessing_context="spawn",
        collate_fn=concatenate,
    )
    batches = list(loader)
    assert len(batches) == 4 and batches[0].relit.shape == (4, 3, 10, 10) and len(batches[0].name) == 4
    again = small(find_pairs(prepared), use_augmentation=True)[2]
    np.testing.assert_array_equal(batches[0].relit[2:3], again.relit)


def test_resizing_keeps_the_mean_of_pictures_and_the_energy_of_environments(prepared):
    pairs = find_pairs(prepared)
    whole, half = small(pairs)[0], DelitDataset(pairs, image_size=5, env_height=8, env_width=16)[0]
    assert half.relit.mean().item() == pytest.approx(whole.relit.mean().item(), rel=1e-5)
    cells = LightCells(fibonacci_sphere(2))
    energy = [cells.integrate(item.environment[0].movedim(0, -1).numpy()).sum() for item in (whole, half)]
    assert energy[0] == pytest.approx(energy[1], rel=1e-4)


def test_pngs_are_read_too(own):
    folder = own / "subjects" / "ID001"
    flat = read_linear(folder / "flat_lit.exr")
    (folder / "flat_lit.exr").unlink()
    write_linear(folder / "flat_lit.png", flat)
    pairs = find_pairs(own)
    assert pairs[0].flat_lit.name == "flat_lit.png"
    np.testing.assert_allclose(small(pairs)[0].flat_lit[0].movedim(0, -1), flat[1:11], atol=0.01)


def test_cache_gives_the_same_and_notices_changed_files(own, tmp_path):
    pairs = find_pairs(own)
    plain, cached = small(pairs)[3], small(pairs, cache_dir=tmp_path / "cache")
    for _ in range(2):
        item = cached[3]
        for key in ("relit", "flat_lit", "mask", "environment"):
            np.testing.assert_allclose(getattr(item, key), getattr(plain, key), rtol=1e-3, atol=1e-6)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 4
    write_linear(pairs[3].relit, read_linear(pairs[3].relit) * 3)
    np.testing.assert_allclose(cached[3].relit, 3 * plain.relit, rtol=2e-3, atol=1e-5)


def test_a_mask_is_decoded_once_for_a_pair_and_not_at_all_for_a_cached_one(prepared, tmp_path, monkeypatch):
    decoded = []
    monkeypatch.setattr(delit_dataset, "read_mask", lambda path: decoded.append(path) or read_mask(path))
    pairs = find_pairs(prepared)
    small(pairs)[3]
    assert decoded == [pairs[3].mask]
    cached = small(pairs, cache_dir=tmp_path / "cache")
    cached[3], cached[3]
    assert decoded == [pairs[3].mask] * 2


def test_a_changed_mask_cuts_cached_pictures_anew(own, tmp_path):
    pairs = find_pairs(own)
    cached = small(pairs, cache_dir=tmp_path / "cache")
    cached[3]
    mask = np.zeros((12, 10), np.float32)
    mask[:2] = 1  # the square's place follows it
    write_display(pairs[3].mask, mask)
    expected, item = small(pairs)[3], cached[3]
    for key in ("relit", "flat_lit", "mask", "environment"):
        np.testing.assert_allclose(getattr(item, key), getattr(expected, key), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("file", "damage", "problem"),
    [
        ("subjects/ID002/relit/env_002.exr", lambda p: p.write_bytes(b"nonsense"), "env_002.exr"),
        ("subjects/ID002/flat_lit.exr", lambda p: p.unlink(), "has no flat_lit"),
        ("env_maps/env_002.hdr", lambda p: p.unlink(), "holds no env_002.hdr"),
        ("subjects/ID002/relit/env_002.exr", lambda p: write_linear(p, np.ones((4, 4, 3))), "its mask 10 x 12"),
        ("env_maps/env_002.hdr", lambda p: write_linear(p, np.ones((16, 30, 3))), "twice as wide as high"),
    ],
)
def test_a_failing_item_names_its_file(own, file, damage, problem):
    damage(own / file)
    with pytest.raises(InputError, match=problem):
        pairs = find_pairs(own)
        small(pairs)[next(i for i, pair in enumerate(pairs) if pair.name == "ID002/env_002")]


def test_augmentation_is_a_function_of_seed_epoch_and_index(prepared):
    pairs = find_pairs(prepared)
    one, other = (small(pairs, use_augmentation=True, seed=4) for _ in range(2))
    other[0], other[7]  # what was read before does not matter
    np.testing.assert_array_equal(one[3].relit, other[3].relit)
    one.set_epoch(1)
    assert not np.array_equal(one[3].relit, other[3].relit)
    assert not np.array_equal(small(pairs, use_augmentation=True, seed=5)[3].relit, other[3].relit)
    for item in (one[index] for index in range(len(pairs))):
        assert all(
            torch.isfinite(getattr(item, key)).all() and getattr(item, key).min() >= 0
            for key in ("relit", "environment")
        )


def test_squares_are_cut_about_the_person():
    picture = np.zeros((10, 30, 3), np.float32)
    picture[:, 22:26] = 1
    mask = picture[..., 0]
    square = fit_square(picture, 10, mask)
    assert square.shape == (10, 10, 3) and square.sum() == picture.sum()
    assert fit_square(picture, 10).sum() == 0  # the picture's own middle
