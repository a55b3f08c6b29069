import types

import pytest
import torch

from src.training import meter
from src.training.meter import Meter


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(meter, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    return now


def ticking(clock, seconds):
    for batch in range(100):
        clock[0] += seconds
        yield batch


def test_terms_rate_and_wait_since_the_last_reading(clock):
    measured = Meter(step=10)
    stream = ticking(clock, 0.5)
    for loss in (1.0, 2.0, 3.0, 6.0):  # two steps of two halves each
        assert measured.next_batch(stream) is not None
        clock[0] += 1.5
        measured.add({"loss": torch.tensor(loss, requires_grad=True)}, share=0.5, samples=8)
    assert measured.read(step=12) == ({"loss": 3.0}, 4 * 8 / 8.0, 2.0 / 8.0)
    clock[0] += 2.0
    measured.add({"flat": torch.tensor(7.0, dtype=torch.bfloat16)}, share=1.0, samples=4)
    assert measured.read(step=13) == ({"flat": 7.0}, 2.0, 0.0)


def test_a_reading_is_due_once_a_second(clock):
    measured = Meter(step=0)
    assert not measured.is_due
    clock[0] += 1.01
    assert measured.is_due
    measured.read(step=1)
    assert not measured.is_due
