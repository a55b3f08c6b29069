"""The work before the first step."""

import signal
import types

import pytest
import torch

from src.training import schedule
from src.training import trainer as engine
from src.training.trainer import Interrupted
from tests.training.polynomial import Fit, assert_same, make, stored


class Prepared(Fit):
    """Begins from weights that its preparation sets, which takes ten pieces of work of a second each."""

    preparation = "first guess"

    def __init__(self, clock=None, **options):
        super().__init__(**options)
        self.clock, self.prepared = clock, 0

    def prepare(self, batches, report):
        assert batches.steps_per_epoch == 5
        for piece in range(10):
            if self.clock is not None:
                self.clock[0] += 1.0
            report(piece + 1, 10)
        self.prepared += 1
        with torch.no_grad():
            self.model[0].bias.fill_(3.0)


def test_a_new_run_is_prepared_before_its_first_step_and_a_continued_one_is_not(tmp_path, capsys):
    whole = make(tmp_path / "whole", Prepared(), epochs=1, rate=0.0, save_every=1, ema=0.9)
    whole.fit()
    assert whole.task.prepared == 1 and torch.equal(whole.task.model[0].bias, torch.full((6,), 3.0))
    average = stored(whole)["model"]["state"]["0.bias"]
    torch.testing.assert_close(average, torch.full((6,), 3.0), msg="the average begins there, too")
    assert "first guess" in capsys.readouterr().err
    task = Prepared(after_step=lambda call: signal.raise_signal(signal.SIGINT) if call == 3 else None)
    with pytest.raises(Interrupted):
        make(tmp_path / "parts", task, epochs=1, rate=0.0, save_every=1, ema=0.9).fit()
    again = make(tmp_path / "parts", Prepared(), epochs=1, rate=0.0, save_every=1, ema=0.9)
    again.resume()
    again.fit()
    assert again.task.prepared == 0
    assert_same(stored(again)["model"], stored(whole)["model"])


def test_preparation_counts_in_the_time_budget_and_progress_begins_after_it(tmp_path, monkeypatch):
    clock, seen = [0.0], []

    def step(call):
        seen.append(task.progress)
        clock[0] += 1.0

    for module in (engine, schedule):
        monkeypatch.setattr(module, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    task = Prepared(clock, after_step=step)
    trainer = make(tmp_path, task, time_budget_s=14.0, save_every=1000)
    trainer.fit()
    assert seen == [0.0, 0.25, 0.5, 0.75] and trainer.seconds == 14.0
    again = make(tmp_path, Prepared(clock), time_budget_s=14.0, save_every=1000)
    assert again.resume() and again.is_finished
    short = make(tmp_path / "short", Prepared(clock), time_budget_s=5.0)
    short.fit()
    assert short.step == 1, "a budget that the preparation used up leaves one step"
    task = Prepared(clock, after_step=step)
    task.closing = 0.2
    seen.clear()
    closed = make(tmp_path / "closed", task, time_budget_s=17.0, save_every=1000)
    closed.fit(spent_s=1.0)
    assert seen == [0.0, 0.25, 0.5, 0.75] and closed.seconds == 15.0, "two seconds are left for what comes then"
    again = make(tmp_path / "closed", Prepared(clock), time_budget_s=17.0, save_every=1000)
    assert again.resume() and again.is_finished


def test_a_run_that_is_asked_to_stop_while_it_prepares_stops_there(tmp_path):
    class Stopped(Prepared):
        def prepare(self, batches, report):
            report(1, 10)
            signal.raise_signal(signal.SIGTERM)
            report(2, 10)
            raise AssertionError("not reached")

    with pytest.raises(Interrupted):
        make(tmp_path, Stopped()).fit()
    assert not (tmp_path / "last.ckpt").exists()
