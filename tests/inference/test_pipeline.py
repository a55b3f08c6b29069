"""Threads that hand on in order, wait for one another, and pass errors on."""

import threading

import pytest

from src.inference.pipeline import Consumer, produced


def test_items_arrive_in_order():
    seen = []
    with produced(range(50), 2) as items, Consumer(seen.append, 2) as consumer:
        for item in items:
            consumer.put(item)
    assert seen == list(range(50))


def test_the_producer_runs_at_most_so_far_ahead():
    made = []

    def numbers():
        for number in range(100):
            made.append(number)
            yield number

    with produced(numbers(), 3) as items:
        for taken in range(1, 20):
            assert next(items) == taken - 1
            assert len(made) <= taken + 3 + 1
    assert len(made) <= 19 + 3 + 2
    assert not [thread for thread in threading.enumerate() if thread.name == "producer"]


def test_errors_of_the_producer_come_after_its_items():
    def numbers():
        yield 1
        raise ValueError("broken")

    with produced(numbers(), 2) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="broken"):
            next(items)


def test_errors_of_the_consumer_reach_the_one_who_puts():
    def consume(item):
        raise ValueError(f"cannot take {item}")

    with pytest.raises(ValueError, match="cannot take 0"), Consumer(consume, 1) as consumer:
        for item in range(1000):
            consumer.put(item)
    with pytest.raises(ValueError, match="cannot take 7"), Consumer(consume, 1) as consumer:
        consumer.put(7)


def test_what_waits_is_dropped_when_the_block_fails(monkeypatch):
    seen, dropping = [], threading.Event()

    def consume(item):
        dropping.wait()
        seen.append(item)

    with pytest.raises(KeyError), Consumer(consume, 10) as consumer:
        monkeypatch.setattr(consumer, "_dropping", dropping)
        for item in range(10):
            consumer.put(item)
        raise KeyError("stop")
    assert len(seen) <= 1
