from dataclasses import replace

import numpy as np
import pytest
import torch

from src.data.portrait.pair_batch import OtherLight, PairBatch, PairPictures, StageView, concatenate


def pictures(seed: int = 0) -> PairPictures:
    rng = np.random.default_rng(seed)
    shapes = {"relit": (4, 4, 3), "flat_lit": (4, 4, 3), "mask": (4, 4), "environment": (2, 4, 3)}
    return PairPictures(**{name: rng.random(shape, np.float32) for name, shape in shapes.items()})


def batch(count: int = 3) -> PairBatch:
    return concatenate([pictures(seed).to_batch(f"ID/{seed}") for seed in range(count)])


def test_a_pair_becomes_a_batch_of_one():
    one, pair = pictures().to_batch("a/b"), pictures()
    assert len(one) == 1 and one.name == ["a/b"] and one.other is None and one.stage is None
    for name in ("relit", "flat_lit", "environment"):
        np.testing.assert_array_equal(getattr(one, name)[0].movedim(0, -1), getattr(pair, name))
    np.testing.assert_array_equal(one.mask[0, 0], pair.mask)


def test_views_that_run_backwards_are_taken_too():
    mirrored = replace(pictures(), relit=pictures().relit[:, ::-1])
    np.testing.assert_array_equal(mirrored.to_batch("a").relit[0].movedim(0, -1), mirrored.relit)


def test_batches_are_put_together_and_picked_from_in_any_order():
    whole = batch()
    assert len(whole) == 3 and whole.name == ["ID/0", "ID/1", "ID/2"]
    chosen = whole.select([2, 0, 2])
    assert chosen.name == ["ID/2", "ID/0", "ID/2"]
    for name in ("relit", "flat_lit", "mask", "environment"):
        expected = [getattr(pictures(seed).to_batch("x"), name)[0] for seed in (2, 0, 2)]
        assert torch.equal(getattr(chosen, name), torch.stack(expected))


def test_all_tensors_move_together():
    whole = replace(
        batch(), other=OtherLight(torch.ones(2), torch.ones(3)), stage=StageView(*(torch.ones(1) for _ in range(4)))
    )
    moved = whole.to("meta")
    tensors = [moved.relit, moved.flat_lit, moved.mask, moved.environment, *vars(moved.other).values()]
    assert all(tensor.device.type == "meta" for tensor in [*tensors, *vars(moved.stage).values()])
    assert moved.name == whole.name and whole.relit.device.type == "cpu"


def test_a_batch_is_not_changed_by_accident():
    with pytest.raises(AttributeError):
        batch().relit = torch.zeros(1)
