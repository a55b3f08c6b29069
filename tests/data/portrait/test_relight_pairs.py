"""Pairs as they were rendered among the relit samples, and what training in the wild varies."""

import numpy as np
import pytest
import torch

from src.data.portrait.relight_batches import WILD
from tests.data.portrait.relighting import assert_same, make, pairs_of, tensors_of


@pytest.mark.parametrize(("share", "count"), [(0.2, 2), (0.0, 0), (1.0, 10)])
def test_pairs_have_their_share_of_a_batch(root, tmp_path, share, count):
    pairs = pairs_of(root)
    batches = make(root, tmp_path, batch_size=10, pairs=pairs, pair_share=share, augment=False, physical=True)
    batch = batches.batch(0, 0)
    items = {item.name[0]: item for item in pairs}
    as_rendered = 0
    for index, name in enumerate(batch.name):
        item = items[name]
        if torch.equal(batch.relit[index], item.relit[0]):
            as_rendered += 1
            torch.testing.assert_close(batch.environment[index], item.environment[0], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(batch.flat_lit[index], item.flat_lit[0] * (item.mask[0] > 0))
    assert as_rendered == count and len(batch.stage.olats) == len(batch.stage.to_stage) == 10 - count


def test_augmented_pairs_are_moved_with_their_environment(root, tmp_path):
    pairs = pairs_of(root)
    batches = make(root, tmp_path, batch_size=40, pairs=pairs, pair_share=1.0)
    batch = batches.batch(0, 0)
    items = {item.name[0]: item for item in pairs}
    originals = torch.stack([items[name].environment[0] for name in batch.name])
    assert not any(torch.allclose(a, b, rtol=1e-2) for a, b in zip(batch.environment, originals, strict=True))
    # Turning and mirroring about the camera's axis takes each half-sphere, before and behind, into itself.
    columns = torch.arange(32)
    front = (columns < 8) | (columns >= 24)
    rows = torch.sin(torch.pi * (torch.arange(16) + 0.5) / 16)[:, None]
    for half in (front, ~front):
        power, before = ((maps * rows)[..., half].sum((1, 2, 3)) for maps in (batch.environment, originals))
        torch.testing.assert_close(power, before, rtol=0.1, atol=0)


@pytest.mark.parametrize("name", WILD)
def test_every_switch_changes_the_batch(root, tmp_path, name):
    options = {"batch_size": 64, "pairs": pairs_of(root, 16), "image_size": 16}
    plain = make(root, tmp_path, **options).batch(0, 0)
    varied = make(root, tmp_path, wild=frozenset({name}), **options).batch(0, 0)
    assert not torch.equal(plain.relit, varied.relit)
    for key, value in tensors_of(varied).items():
        assert value.isfinite().all() and (value.min() >= 0 or key == "stage.to_stage"), key


def test_everything_at_once_is_a_function_of_the_seed(root, tmp_path):
    options = {"wild": frozenset(WILD), "physical": True, "pairs": pairs_of(root)}
    one, other = (make(root, tmp_path, **options).batch(1, 2) for _ in range(2))
    assert_same(one, other)


def test_tinted_people_are_those_that_say_nothing_of_the_light(root, tmp_path):
    """Of the split nothing but the colour of skin is changed: whoever has a light is as without any tint."""
    batches = make(root, tmp_path, wild=frozenset({"skin_split"}), batch_size=16)
    batch = batches.batch(0, 0)
    own = torch.stack([batches.stacks.flat_lit[int(name[2:5]) - 1] for name in batch.name])
    ratio = [
        (flat[:, mask[0] > 0.99].mean(1) / skin[:, skin.amin(0) > 0.05].mean(1)).sub(1).abs().max()
        for flat, mask, skin in zip(batch.flat_lit, batch.mask, own, strict=True)
    ]
    known = batch.has_environment.tolist()
    assert 3 < sum(known) < 13
    assert max(r for r, is_known in zip(ratio, known, strict=True) if is_known) < 0.1
    assert np.mean([float(r) for r, is_known in zip(ratio, known, strict=True) if not is_known]) > 0.1
