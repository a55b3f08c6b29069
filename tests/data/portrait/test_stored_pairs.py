from pathlib import Path

import pytest
import torch

from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.layout import find_pairs
from src.data.portrait.stored_pairs import StoredPairs
from tests.tiny_stage import write_set, write_stage

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = write_stage(tmp_path_factory.mktemp("stage"))
    write_set(root)
    return root / "set"


class Counting(DelitDataset):
    """Says which pairs were read."""

    def __init__(self, root: Path, **options) -> None:
        super().__init__(find_pairs(root), image_size=10, env_height=8, env_width=16, **options)
        self.read: list[int] = []

    def load(self, index: int):
        self.read.append(index)
        return super().load(index)


def test_the_size_is_that_of_all_tensors(root):
    pairs = StoredPairs(Counting(root), CPU, 0)
    tensors = [value for value in vars(pairs.draw([0])).values() if isinstance(value, torch.Tensor)]
    assert len(pairs) == 6 and pairs.size_bytes == 6 * sum(tensor.nbytes for tensor in tensors)


def test_pairs_that_fit_are_read_once_and_others_when_they_are_drawn(root):
    size = StoredPairs(Counting(root), CPU, 0).size_bytes
    held, read = Counting(root), Counting(root)
    in_memory, from_files = StoredPairs(held, CPU, size), StoredPairs(read, CPU, size - 1)
    assert held.read == list(range(6)) and read.read == []
    for indices in ([4, 0], [4], [5, 5]):
        one, other = in_memory.draw(indices), from_files.draw(indices)
        assert one.name == other.name == [held.pairs[index].name for index in indices]
        for name in ("relit", "flat_lit", "mask", "environment"):
            assert torch.equal(getattr(one, name), getattr(other, name))
    assert held.read == list(range(6)) and read.read == [4, 0, 4, 5, 5]


def test_augmentation_is_left_to_who_draws(root):
    plain, augmented = (StoredPairs(Counting(root, use_augmentation=on), CPU, 2**30) for on in (False, True))
    assert torch.equal(plain.draw([1]).relit, augmented.draw([1]).relit)


def test_a_bar_shows_the_reading(root, capsys):
    StoredPairs(Counting(root), CPU, 2**30, show_progress=True)
    assert "reading pairs: 100%" in capsys.readouterr().err
    StoredPairs(Counting(root), CPU, 2**30)
    assert capsys.readouterr().err == ""
