"""The engine alone: its steps, what a step is made of, and what the task and the log are told."""

import threading

import pytest
import torch

from src.training import meter
from src.training.logger import Logger
from src.utils.cli import InputError
from tests.training.polynomial import IDENTITY, Fit, Points, assert_same, interrupted_and_continued, make, stored


def test_a_run_takes_its_steps_and_keeps_last_and_best(tmp_path):
    trainer = make(tmp_path)
    trainer.fit()
    assert trainer.step == 20 and trainer.is_finished
    last, best = stored(trainer), stored(trainer, "best")
    assert last["step"] == 20 and last["identity"] == IDENTITY
    assert last["best_score"] == best["best_score"] == trainer.best_score
    assert all(torch.equal(last["model"]["state"][k], v) for k, v in trainer.task.model.state_dict().items())
    trainer.task.model.load_state_dict(best["model"]["state"])
    assert trainer.task.validate()["score"] == trainer.best_score


def test_a_trainer_outside_the_main_thread_leaves_signals_alone(tmp_path):
    trainer = make(tmp_path)
    thread = threading.Thread(target=trainer.fit)
    thread.start()
    thread.join()
    assert trainer.step == 20


def test_accumulated_batches_are_one_batch(tmp_path):
    class Halves(Points):
        def epoch(self, epoch, start):
            whole = Points(5, 16).epoch(epoch, 0)
            halves = [half for batch in whole for half in batch.split(8)]
            yield from halves[start:]

    whole = make(tmp_path / "whole", batches=Points(5, 16))
    parts = make(tmp_path / "parts", batches=Halves(10), accumulate_steps=2)
    whole.fit()
    parts.fit()
    assert whole.step == parts.step == 20
    for a, b in zip(whole.task.parameters(), parts.task.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match=r"--accumulate_steps: 11 batches per step, but an epoch has 10"):
        make(tmp_path / "none", batches=Halves(10), accumulate_steps=11)


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_mixed_precision_trains_and_continues_exactly(tmp_path, amp):
    full, whole = make(tmp_path / "full"), make(tmp_path / "whole", amp=amp)
    full.fit()
    whole.fit()
    assert whole.best_score == pytest.approx(full.best_score, abs=0.01)
    assert (stored(whole)["scaler"] != {}) == (amp == "fp16")
    second = interrupted_and_continued(tmp_path / "parts", 7, amp=amp)
    assert_same(stored(second), stored(whole))


def test_gradients_are_clipped(tmp_path):
    task = Fit()
    trainer = make(tmp_path, task, clip_grad=1e-3, epochs=1)
    norms = []
    step = trainer.optimizer.step

    def record(*args, **kwargs):
        norms.append(float(torch.stack([p.grad.norm() for p in task.parameters()]).norm()))
        return step(*args, **kwargs)

    trainer.optimizer.step = record
    trainer.fit()
    assert len(norms) == 5 and max(norms) < 1.01e-3


def test_the_share_of_time_spent_waiting_for_data_is_logged(tmp_path, monkeypatch, clock):
    logged = []
    monkeypatch.setattr(meter, "LOG_SECONDS", 0.05)
    monkeypatch.setattr(Logger, "scalars", lambda self, step, values: logged.append(values))

    class Slow(Points):
        def epoch(self, epoch, start):
            for batch in super().epoch(epoch, start):
                clock.advance(0.03)
                yield batch

    make(tmp_path, Fit(after_step=lambda _: clock.advance(0.01)), batches=Slow()).fit()
    shares = [values["train/data_wait_share"] for values in logged if "train/loss" in values]
    assert len(shares) > 2 and shares == pytest.approx([0.75] * len(shares))


def test_the_task_knows_how_far_the_training_is(tmp_path):
    seen = []

    class Aware(Fit):
        def forward(self, batch):
            seen.append((self.step, self.progress))
            return super().forward(batch)

    make(tmp_path, Aware()).fit()
    assert seen == [(step, step / 20) for step in range(20)]
