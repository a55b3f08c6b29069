"""An interrupted run goes on to the same bits; a finished one, and another one, do not."""

import signal

import pytest

from src.training.trainer import Interrupted
from src.utils.cli import InputError
from tests.training.polynomial import Fit, Points, assert_same, interrupted_and_continued, make, stored


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("at", [1, 5, 7, 10, 20])
def test_interrupted_and_continued_equals_uninterrupted(tmp_path, name, at):
    whole = make(tmp_path / "whole")
    whole.fit()

    task = Fit(after_step=lambda call: signal.raise_signal(getattr(signal, name)) if call == at else None)
    first = make(tmp_path / "parts", task)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted):
        first.fit()
    assert signal.getsignal(signal.SIGINT) is handler
    assert stored(first)["step"] == at, "the step is finished and saved"

    second = make(tmp_path / "parts")
    assert second.resume()
    second.fit()
    assert second.task.calls == 20 - at
    for which in ("last", "best"):
        assert_same(stored(second, which), stored(whole, which))


def test_a_second_signal_acts_at_once(tmp_path):
    def interrupt_twice(call):
        if call == 7:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    trainer = make(tmp_path, Fit(interrupt_twice), save_every=1)
    with pytest.raises(KeyboardInterrupt) as stopped:
        trainer.fit()
    assert not isinstance(stopped.value, Interrupted)
    assert stored(trainer)["step"] == 5


def test_a_finished_run_does_nothing_more(tmp_path):
    first = make(tmp_path)
    first.fit()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    second = make(tmp_path)
    assert second.resume()
    second.fit()
    assert second.task.calls == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_another_run_is_refused_with_what_differs(tmp_path):
    make(tmp_path).fit()
    other = make(tmp_path, identity={"arguments": {"seed": 2, "rate": 0.1}, "data": {}})
    with pytest.raises(InputError, match=r"last.ckpt: made with other arguments \(seed was 1, now 2\)"):
        other.resume()


def test_an_interrupted_accumulation_is_continued_exactly(tmp_path):
    whole = make(tmp_path / "whole", batches=Points(7), accumulate_steps=3)
    whole.fit()
    task = Fit(after_step=lambda call: signal.raise_signal(signal.SIGINT) if call == 8 else None)
    first = make(tmp_path / "parts", task, batches=Points(7), accumulate_steps=3)
    with pytest.raises(Interrupted):
        first.fit()
    assert stored(first)["step"] == 3
    second = make(tmp_path / "parts", batches=Points(7), accumulate_steps=3)
    second.resume()
    second.fit()
    assert_same(stored(second), stored(whole))


@pytest.mark.parametrize("at", [5, 8, 15, 18])
def test_a_run_that_validates_more_seldom_than_it_saves_is_continued_exactly(tmp_path, at):
    options = {"val_every": 2, "save_every": 1}
    whole = make(tmp_path / "whole", **options)
    whole.fit()
    second = interrupted_and_continued(tmp_path / "parts", at, **options)
    for which in ("last", "best"):
        assert_same(stored(second, which), stored(whole, which))
