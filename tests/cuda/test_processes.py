"""Several processes with GPUs: nccl where each has one of its own, gloo where they share one."""

import sys
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

from tests.training.nodes import run_nodes
from tests.training.test_nodes import last_lines, train

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(sys.platform == "win32", reason="processes take long to start without fork"),
]


def test_gradients_of_one_process_go_through_the_group(device):
    backend = "nccl" if device != "cpu" and dist.is_nccl_available() else "gloo"
    dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1, timeout=timedelta(seconds=60))
    try:
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 2).to(device)
        wrapped = torch.nn.parallel.DistributedDataParallel(layer)
        wrapped(torch.ones(4, 3, device=device)).sum().backward()
        assert torch.equal(layer.weight.grad, torch.full((2, 3), 4.0, device=device))
        total = torch.ones(5, device=device)
        dist.all_reduce(total)
        assert total.tolist() == [1.0] * 5
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("count", [2, 4])
def test_processes_train_the_same_weights(device, count, tmp_path):
    """On one GPU they share it, by gloo; with as many GPUs, by nccl."""
    if count > max(2, torch.cuda.device_count()):
        pytest.skip(f"fewer than {count} GPUs")
    lines = last_lines(run_nodes(tmp_path, train, count, device))
    assert len(set(lines)) == 1 and lines[0].startswith("weights")
