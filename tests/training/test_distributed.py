import threading
import types

import pytest
import torch

from src.training import distributed
from src.training.distributed import Processes, processes, resolve_device
from src.utils.cli import InputError


def without_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def with_gpus(monkeypatch, count):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_auto_takes_what_is_there(monkeypatch):
    without_cuda(monkeypatch)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    with_gpus(monkeypatch, 2)
    assert resolve_device("auto") == torch.device("cuda", 0)
    assert resolve_device("auto", local_rank=1) == torch.device("cuda", 1)
    assert resolve_device("cuda", local_rank=3) == torch.device("cuda", 1)
    assert resolve_device("cuda:0", local_rank=1) == torch.device("cuda", 0)
    assert resolve_device("cpu") == torch.device("cpu")


def test_devices_that_are_not_there(monkeypatch):
    with_gpus(monkeypatch, 2)
    with pytest.raises(InputError, match=r"--device: cuda:2: this machine has 2 CUDA device"):
        resolve_device("cuda:2")
    without_cuda(monkeypatch)
    for name in ("cuda", "cuda:0"):
        with pytest.raises(InputError, match=f"--device: {name} asked for, but PyTorch finds no CUDA device"):
            resolve_device(name)
    for name in ("gpu", "cuda:x", "", "cpu:0", "cuda:-1"):
        with pytest.raises(InputError, match=r"--device: .* is not one of auto, cpu, cuda, cuda:N"):
            resolve_device(name)


def test_alone_without_torchrun(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with processes("cpu") as group:
        assert group == Processes(0, 1, torch.device("cpu")) and group.is_main
        values = torch.tensor([1.0, 2.0])
        mean = group.mean(values)
        assert torch.equal(mean, values) and mean is not values
        assert group.from_main("a") == "a"
        group.barrier()
        assert not torch.distributed.is_initialized()


def backends(monkeypatch, devices, cards, has_nccl=True):
    """What each of several processes chooses, one after another; ``cards``: identifier of each one's GPU."""
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: has_nccl)
    names = threading.local()
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: types.SimpleNamespace(uuid=names.card))
    store, chosen = torch.distributed.HashStore(), {}

    def choose(rank):
        names.card = cards[rank]
        chosen[rank] = distributed._choose_backend(store, rank, len(devices), torch.device(devices[rank]))

    threads = [threading.Thread(target=choose, args=(rank,)) for rank in range(len(devices))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(chosen.values())) == 1 and len(chosen) == len(devices)
    return chosen[0]


def test_nccl_only_where_every_process_has_a_gpu_of_its_own(monkeypatch):
    assert backends(monkeypatch, ["cpu", "cpu"], ["", ""]) == "gloo"
    assert backends(monkeypatch, ["cuda:0", "cuda:1"], ["a", "b"]) == "nccl"
    assert backends(monkeypatch, ["cuda:0", "cuda:0"], ["a", "b"]) == "nccl", "on two machines"
    assert backends(monkeypatch, ["cuda:0", "cuda:0"], ["a", "a"]) == "gloo", "nccl refuses to share a GPU"
    assert backends(monkeypatch, ["cuda:0", "cpu"], ["a", ""]) == "gloo"
    assert backends(monkeypatch, ["cuda:0", "cuda:1"], ["a", "b"], has_nccl=False) == "gloo", "Windows"
