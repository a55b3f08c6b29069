"""Stacks of captures: read once, noticed when changed, mapped when large, refused when incomplete."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from src.data.portrait import olat_stacks
from src.data.portrait.picture_cache import PictureCache
from src.data.portrait.random_light import RandomLight
from src.data.stage.captures import Stage
from src.utils.cli import InputError
from src.utils.image_io import read_mask, write_display
from tests.data.portrait.relighting import CPU, assert_same, make, stacks_of, stage_of


def test_olats_are_read_once(root, tmp_path, monkeypatch):
    expected = make(root, tmp_path).batch(0, 0)
    monkeypatch.setattr(olat_stacks, "read_picture", lambda *_: pytest.fail("read again"))
    assert_same(make(root, tmp_path).batch(0, 0), expected)


@pytest.mark.parametrize("changed", ["mask.png", "013.exr"])
def test_changed_files_are_read_again(root, tmp_path, changed):
    own = Path(shutil.copytree(root, tmp_path / "own"))
    before = stacks_of(own, tmp_path / "cache")
    folder = own / "olat" / "ID002"
    if changed == "mask.png":
        write_display(folder / changed, np.roll(read_mask(folder / changed), -2, axis=0))  # another square is cut
    else:
        shutil.copy(folder / "002.exr", folder / changed)
    after = stacks_of(own, tmp_path / "cache")
    assert torch.equal(before.olats(0), after.olats(0))
    assert not torch.equal(before.olats(1), after.olats(1))


def test_stacks_too_large_for_memory_are_mapped_and_give_the_same(root, tmp_path):
    expected = make(root, tmp_path, physical=True).batch(0, 0)
    assert_same(make(root, tmp_path, physical=True, max_bytes=0).batch(0, 0), expected)


def test_backgrounds_need_masks(root, tmp_path):
    stage = stage_of(root)
    stage = Stage(tuple(replace(capture, mask=None) for capture in stage.captures), stage.light_sets)
    with pytest.raises(InputError, match=r"ID001: has no mask\.png"):
        stacks_of(root, tmp_path, stage=stage)


def test_nothing_to_train_on_is_said(root, tmp_path):
    stage = stage_of(root)
    with pytest.raises(InputError, match=r"--olat_root: no captures to train on"):
        stacks_of(root, tmp_path, stage=Stage((), stage.light_sets))
    with pytest.raises(InputError, match=r"--env_dir: no environments to train on"):
        RandomLight([], 16, 32, PictureCache(tmp_path), CPU)
