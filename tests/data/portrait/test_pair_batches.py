from itertools import islice
from pathlib import Path

import pytest
import torch

from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.layout import find_pairs
from src.data.portrait.pair_batch import PairBatch
from src.data.portrait.pair_batches import PairBatches
from src.utils.cli import InputError
from tests.tiny_stage import write_set, write_stage

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """12 pairs."""
    root = write_stage(tmp_path_factory.mktemp("stage"), subjects=4)
    write_set(root)
    return root / "set"


def make(root: Path, batch_size: int = 3, pairs: int | None = None, use_augmentation: bool = False, **options):
    chosen = find_pairs(root)[:pairs]
    sizes = {"image_size": 10, "env_height": 8, "env_width": 16}
    dataset = DelitDataset(chosen, use_augmentation=use_augmentation, seed=options.get("seed", 0), **sizes)
    return PairBatches(dataset, batch_size, CPU, **{"num_workers": 0, **options})


def names(batches: PairBatches, epoch: int, start: int = 0) -> list[list[str]]:
    return [batch.name for batch in batches.epoch(epoch, start)]


def assert_same(one: PairBatch, other: PairBatch) -> None:
    assert one.name == other.name
    for key in ("relit", "flat_lit", "mask", "environment"):
        assert torch.equal(getattr(one, key), getattr(other, key))


def test_an_epoch_has_every_pair_once(root):
    batches = make(root)
    epoch = names(batches, 0)
    assert batches.steps_per_epoch == 4 and [len(batch) for batch in epoch] == [3] * 4
    assert {name for batch in epoch for name in batch} == {pair.name for pair in find_pairs(root)}


def test_batches_are_the_items_of_the_data_set(root):
    items = {item.name[0]: item for item in make(root).dataset}
    for batch in make(root).epoch(0, 0):
        for index, name in enumerate(batch.name):
            assert_same(batch.select([index]), items[name])


def test_the_order_is_a_function_of_seed_and_epoch(root):
    one, other = make(root, seed=2), make(root, seed=2)
    list(other.epoch(0, 0))
    list(islice(other.epoch(1, 0), 2))
    assert names(one, 3) == names(other, 3)
    assert names(one, 3) != names(one, 4)
    assert names(one, 3) != names(make(root, seed=3), 3)


def test_ranks_share_an_epoch_without_overlap_and_their_steps_are_one_large_batch(root):
    whole = names(make(root, batch_size=6), 5)
    parts = [names(make(root, rank=rank, count=2), 5) for rank in range(2)]
    assert [a + b for a, b in zip(*parts, strict=True)] == whole
    assert len({name for part in parts for batch in part for name in batch}) == 12


@pytest.mark.parametrize("workers", [0, 2])
def test_a_start_in_the_middle_gives_the_batches_that_remain(root, workers):
    whole = list(make(root, use_augmentation=True).epoch(2, 0))
    for start in (1, 3):
        rest = list(make(root, use_augmentation=True, num_workers=workers).epoch(2, start))
        assert len(rest) == 4 - start
        for one, other in zip(rest, whole[start:], strict=True):
            assert_same(one, other)


def test_workers_give_the_same_bit_for_bit_across_the_end_of_epochs(root):
    alone, helped = (make(root, use_augmentation=True, num_workers=workers) for workers in (0, 2))
    for epoch in range(3):
        for one, other in zip(alone.epoch(epoch, 0), helped.epoch(epoch, 0), strict=True):
            assert_same(one, other)


def test_workers_live_on_from_epoch_to_epoch(root):
    batches = make(root, num_workers=1)
    names(batches, 0)
    stream = batches._stream
    names(batches, 1)
    assert batches._stream is stream


def test_augmentation_differs_from_epoch_to_epoch(root):
    batches = make(root, use_augmentation=True)
    first, second = ({n: p for b in batches.epoch(e, 0) for n, p in zip(b.name, b.relit, strict=True)} for e in (0, 1))
    assert all(not torch.equal(first[name], second[name]) for name in first)


def test_any_batch_can_be_asked_for_again(root):
    """As naming the pictures of a bad step does, long after it."""
    batches = make(root, use_augmentation=True, num_workers=2)
    seen = [list(batches.epoch(epoch, 0)) for epoch in range(2)]
    assert_same(next(batches.epoch(0, 2)), seen[0][2])
    assert_same(next(batches.epoch(1, 1)), seen[1][1])


@pytest.mark.parametrize("count", [1, 2])
def test_sets_smaller_than_a_batch_are_gone_through_more_than_once(root, count):
    ranks = [make(root, batch_size=5, pairs=3, rank=rank, count=count) for rank in range(count)]
    assert [batches.steps_per_epoch for batches in ranks] == [1] * count
    seen = [name for batches in ranks for name in names(batches, 0)[0]]
    assert len(seen) == 5 * count
    times = [seen.count(pair.name) for pair in find_pairs(root)[:3]]
    assert sum(times) == 5 * count and max(times) - min(times) <= 1


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_cannot_be_read_is_named_from_any_process(root, tmp_path, workers):
    batches = make(root, num_workers=workers)
    broken = tmp_path / "broken.exr"
    broken.write_bytes(b"nonsense")
    batches.dataset.pairs = [
        type(pair)(pair.subject, pair.environment_name, broken, pair.flat_lit, pair.mask, pair.environment)
        for pair in batches.dataset.pairs
    ]
    with pytest.raises(InputError) as stopped:
        next(batches.epoch(0, 0))
    assert str(stopped.value).startswith(f"{broken}: ") and "Traceback" not in str(stopped.value)
