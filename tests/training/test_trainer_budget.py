"""The learning rate over a run of epochs and of minutes."""

import math
import signal
import types

import pytest

from src.training import schedule
from src.training import trainer as engine
from src.training.trainer import Interrupted, Trainer
from src.utils import checkpoint
from tests.training.polynomial import Fit, make, stored


@pytest.fixture
def learning_rates(monkeypatch):
    """The learning rate of each step, in order."""
    rates = []
    step = Trainer._train_step

    def record(self, stream):
        step(self, stream)
        rates.append(self.optimizer.param_groups[0]["lr"])

    monkeypatch.setattr(Trainer, "_train_step", record)
    return rates


def test_the_rate_warms_up_and_falls_as_a_cosine(tmp_path, learning_rates):
    make(tmp_path).fit()
    warmup = [0.25, 0.5, 0.75] + [1.0] * 17
    expected = [0.1 * w * 0.5 * (1 + math.cos(math.pi * i / 20)) for i, w in enumerate(warmup)]
    assert learning_rates == pytest.approx(expected)


def test_a_constant_rate_is_constant(tmp_path, learning_rates):
    make(tmp_path, schedule="constant").fit()
    assert learning_rates == [0.1] * 20


def test_a_time_budget_is_kept_and_the_rate_ends_near_zero(tmp_path, learning_rates, clock):
    trainer = make(tmp_path, Fit(after_step=lambda _: clock.advance(0.01)), time_budget_s=1.0, epochs=1)
    trainer.fit()
    assert trainer.step == pytest.approx(100, abs=1) and trainer.is_finished
    assert learning_rates[-1] < 0.003 < max(learning_rates)
    assert stored(trainer)["step"] == trainer.step == stored(trainer)["validated_step"]


def test_the_shortest_budget_still_takes_a_step_and_leaves_a_checkpoint(tmp_path):
    trainer = make(tmp_path, time_budget_s=1e-6)
    trainer.fit()
    assert trainer.step == 1
    assert stored(trainer, "best")["step"] == 1


def test_a_budget_that_runs_out_while_saving_still_ends_in_a_validation(tmp_path, monkeypatch):
    clock = [0.0]
    save = Trainer.save

    def slowly(self, which):
        save(self, which)
        clock[0] += 10

    monkeypatch.setattr(Trainer, "save", slowly)
    for module in (engine, schedule):
        monkeypatch.setattr(module, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    trainer = make(tmp_path, time_budget_s=5, save_every=1, val_every=1000)
    trainer.fit()
    assert trainer.step == 5
    assert stored(trainer)["validated_step"] == stored(trainer, "best")["step"] == 5


def test_time_of_earlier_sittings_counts(tmp_path, clock):
    task = Fit(after_step=lambda call: signal.raise_signal(signal.SIGINT) if call == 30 else clock.advance(0.25))
    trainer = make(tmp_path, task, time_budget_s=60.0)
    with pytest.raises(Interrupted):
        trainer.fit()
    again = make(tmp_path, time_budget_s=60.0)
    again.resume()
    assert again.seconds == 29 * 0.25
    assert again.seconds == pytest.approx(checkpoint.read(trainer.path("last"), "fit")["seconds"])
