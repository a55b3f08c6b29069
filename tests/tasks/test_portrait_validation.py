import pytest
import torch

from src.tasks.portrait_validation import mean_measures
from src.training.distributed import Processes

ROWS = [{"loss": 1.0, "angle": 30.0}, {"loss": 2.0}, {"loss": 6.0, "angle": 10.0}, {"loss": 3.0, "snr": 5.0}]


def test_means_are_over_the_pairs_that_have_a_measure():
    alone = Processes(0, 1, torch.device("cpu"))
    assert mean_measures(ROWS.__getitem__, 4, alone) == {"loss": 3.0, "angle": 20.0, "snr": 5.0, "score": -3.0}


@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_measure_each_pair_once(count):
    shares = []

    class Peer(Processes):
        def gather(self, value):
            shares.append(value)
            return shares

    for rank in range(count):
        means = mean_measures(ROWS.__getitem__, 4, Peer(rank, count, torch.device("cpu")))
    assert means == {"loss": 3.0, "angle": 20.0, "snr": 5.0, "score": -3.0}
