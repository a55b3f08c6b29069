import threading

import pytest
import torch

from src.utils.core_slices import MAX_WORKERS, run_parallel, unshared_operations, worker_count


@pytest.fixture
def three_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(threads)


def test_operations_are_unshared_within_the_block_only(three_threads):
    with unshared_operations():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_the_number_of_threads_comes_back_after_an_exception(three_threads):
    with pytest.raises(ValueError, match="within"), unshared_operations():
        raise ValueError("within")
    assert torch.get_num_threads() == 3


def test_blocks_within_blocks_stay_unshared(three_threads):
    with unshared_operations():
        with unshared_operations():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_results_come_in_order_from_threads_of_their_own_without_gradients(three_threads):
    together = threading.Barrier(3, timeout=30)
    weight = torch.ones(4, requires_grad=True)

    def work(index: int):
        together.wait()  # all three run at a time
        return index, (index * weight).sum(), threading.get_ident(), torch.get_num_threads()

    results = run_parallel([lambda index=index: work(index) for index in range(3)])
    assert [index for index, *_ in results] == [0, 1, 2]
    assert [value.item() for _, value, *_ in results] == [0, 4, 8]
    assert not any(value.requires_grad for _, value, *_ in results)
    assert len({thread for *_, thread, _ in results}) == 3 and threading.get_ident() not in {r[2] for r in results}
    assert {threads for *_, threads in results} == {1}
    assert torch.get_num_threads() == 3


def test_a_single_function_runs_right_here():
    weight = torch.ones(1, requires_grad=True)
    ((value, thread),) = run_parallel([lambda: (2 * weight, threading.get_ident())])
    assert thread == threading.get_ident() and not value.requires_grad and torch.is_grad_enabled()


def test_an_exception_of_a_slice_is_that_of_the_call(three_threads):
    def fail():
        raise ArithmeticError("slice")

    with pytest.raises(ArithmeticError, match="slice"):
        run_parallel([fail, lambda: 1])
    assert run_parallel([lambda: 1, lambda: 2]) == [1, 2]


def test_workers_are_as_many_as_threads_on_a_cpu_up_to_a_bound(three_threads):
    assert worker_count(torch.device("cpu")) == 3
    assert worker_count(torch.device("cuda")) == 1
    torch.set_num_threads(MAX_WORKERS + 5)
    assert worker_count(torch.device("cpu")) == MAX_WORKERS
