import types

import pytest
import torch

from src.training import schedule
from src.training.distributed import Processes
from src.training.schedule import CLOCK_STEPS, Schedule

ALONE = Processes(0, 1, torch.device("cpu"))


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(schedule, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_progress_by_steps_does_not_know_the_clock(clock):
    by_steps = Schedule(ALONE, total_steps=8, time_budget_s=None)
    by_steps.start()
    clock[0] += 1e6
    assert [by_steps.progress(step) for step in (0, 2, 8)] == [0.0, 0.25, 1.0]
    assert Schedule(ALONE, total_steps=0, time_budget_s=None).progress(0) == 1.0


def test_progress_by_the_clock_counts_earlier_sittings(clock):
    by_time = Schedule(ALONE, total_steps=None, time_budget_s=60.0)
    by_time.continue_from(15.0, 0.0)
    assert by_time.seconds == 15.0
    clock[0] += 1000.0  # before the start
    by_time.start()
    clock[0] += 30.0
    assert by_time.seconds == 45.0
    assert by_time.progress(3) == 0.75


def test_processes_agree_on_the_main_ones_time_every_few_steps(clock):
    class Peer(Processes):
        asked = 0

        def from_main(self, value):
            type(self).asked += 1
            return 0.01 * self.asked

    by_time = Schedule(Peer(1, 2, torch.device("cpu")), total_steps=None, time_budget_s=1.0)
    by_time.start()
    clock[0] += 50.0
    progress = [by_time.progress(step) for step in range(2 * CLOCK_STEPS)]
    assert progress == [0.01] * CLOCK_STEPS + [0.02] * CLOCK_STEPS
    assert Peer.asked == 2


def test_what_comes_after_the_last_step_is_kept_free(clock):
    by_time = Schedule(ALONE, total_steps=None, time_budget_s=60.0)
    by_time.start(spent_s=4.0)
    clock[0] += 6.0
    by_time.end_preparation(closing_seconds=10.0)
    assert by_time.progress(0) == 0.0
    clock[0] += 20.0
    assert by_time.progress(1) == pytest.approx(0.5)
    clock[0] += 20.0
    assert by_time.progress(2) == pytest.approx(1.0) and by_time.seconds == 50.0


def test_rate_warms_up_linearly_into_half_a_cosine():
    cosine = Schedule(ALONE, 100, None, warmup_steps=3)
    assert [cosine.rate_factor(step, 0.0) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert cosine.rate_factor(50, 0.5) == pytest.approx(0.5)
    assert cosine.rate_factor(100, 1.5) == pytest.approx(0.0, abs=1e-12)


def test_a_constant_rate_ignores_warm_up():
    assert Schedule(ALONE, 100, None, warmup_steps=3, shape="constant").rate_factor(0, 0.9) == 1.0
