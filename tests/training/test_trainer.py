"""The engine alone, on a task without images: a polynomial fitted to points."""

import math
import signal
import threading
import types

import numpy as np
import pytest
import torch
from torch import nn

from src.training import meter, schedule
from src.training import trainer as engine
from src.training.distributed import Processes
from src.training.logger import Logger
from src.training.task import Task
from src.training.trainer import BEST, FILE_NAMES, LAST, Interrupted, Trainer, TrainerOptions
from src.utils import checkpoint
from src.utils.cli import InputError
from src.utils.seeding import generator

ALONE = Processes(0, 1, torch.device("cpu"))
IDENTITY = {"arguments": {"seed": 1, "rate": 0.1}, "data": {}}


class Points:
    """Batches as a function of (epoch, index)."""

    def __init__(self, steps_per_epoch=5, size=8):
        self.steps_per_epoch = steps_per_epoch
        self.size = size

    def epoch(self, epoch, start):
        draws = [torch.rand(self.size, 1, generator=generator(1, epoch, i)) for i in range(self.steps_per_epoch)]
        yield from draws[start:]


class Fit(Task):
    kind = "fit"
    unit = "points"

    def __init__(self, after_step=None):
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 1))
        self.after_step = after_step
        self.calls = 0

    def forward(self, batch):
        self.calls += 1
        if self.after_step is not None:
            self.after_step(self.calls)
        error = self.model(batch).float() - batch**2
        return {"loss": error.square().mean(), "worst": error.detach().abs().max()}

    def samples(self, batch):
        return len(batch)

    def describe(self, batch):
        return f"{len(batch)} points"

    @torch.no_grad()
    def validate(self):
        x = torch.linspace(0, 1, 50)[:, None]
        return {"score": -float((self.model(x) - x**2).square().mean())}

    def figures(self):
        return {"fit": np.zeros((4, 4, 3), np.float32)}

    def model_config(self):
        return {}


def make(run_dir, task=None, batches=None, identity=IDENTITY, rate=0.1, file_names=FILE_NAMES, **options):
    task = task or Fit()
    optimizer = torch.optim.Adam(task.parameters(), lr=rate, fused=True)
    chosen = TrainerOptions(**{"epochs": 4, "save_every": 2, "warmup_steps": 3, **options})
    return Trainer(
        task,
        optimizer,
        batches or Points(),
        ALONE,
        run_dir,
        options=chosen,
        identity=identity,
        file_names=file_names,
    )


def stored(trainer, which="last"):
    content = checkpoint.read(trainer.path(which), "fit")
    content.pop("seconds")
    return content


def assert_same(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list):
        for ours, theirs in zip(a, b, strict=True):
            assert_same(ours, theirs)
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    else:
        assert a == b


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


def test_a_trainer_outside_the_main_thread_leaves_signals_alone(tmp_path):
    trainer = make(tmp_path)
    thread = threading.Thread(target=trainer.fit)
    thread.start()
    thread.join()
    assert trainer.step == 20


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


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_mixed_precision_trains_and_continues_exactly(tmp_path, amp):
    full, whole = make(tmp_path / "full"), make(tmp_path / "whole", amp=amp)
    full.fit()
    whole.fit()
    assert whole.best_score == pytest.approx(full.best_score, abs=0.01)
    assert (stored(whole)["scaler"] != {}) == (amp == "fp16")
    task = Fit(after_step=lambda call: signal.raise_signal(signal.SIGINT) if call == 7 else None)
    with pytest.raises(Interrupted):
        make(tmp_path / "parts", task, amp=amp).fit()
    second = make(tmp_path / "parts", amp=amp)
    second.resume()
    second.fit()
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


class Spoilt(Points):
    """A NaN in batch 1 of epoch 2."""

    def epoch(self, epoch, start):
        for i, batch in enumerate(super().epoch(epoch, start), start):
            if (epoch, i) == (2, 1):
                batch[3] = float("nan")
            yield batch


@pytest.mark.parametrize("log_seconds", [1.0, -1.0])
def test_a_loss_that_is_not_finite_names_step_and_batch_and_keeps_the_last_good_state(
    tmp_path, monkeypatch, log_seconds
):
    monkeypatch.setattr(meter, "LOG_SECONDS", log_seconds)
    trainer = make(tmp_path, batches=Spoilt(), save_every=1)
    with pytest.raises(InputError, match=r"loss: not finite at step 11 \(batch: 8 points\).*last.ckpt still holds"):
        trainer.fit()
    last = stored(trainer)
    assert last["step"] == 10
    assert all(value.isfinite().all() for value in last["model"]["state"].values())


def test_a_bad_first_step_promises_no_checkpoint(tmp_path):
    class Bad(Points):
        def epoch(self, epoch, start):
            yield from [torch.full((8, 1), float("nan"))] * 5

    with pytest.raises(InputError, match=r"not finite at step 0 ") as stopped:
        make(tmp_path, batches=Bad()).fit()
    assert "still holds" not in str(stopped.value)
    assert not (tmp_path / "last.ckpt").exists()


def test_parameters_that_are_not_finite_are_never_saved(tmp_path):
    """A gradient that overflows shows in no loss before the next step."""

    class Overflow(Fit):
        def forward(self, batch):
            terms = super().forward(batch)
            if self.calls == 10:
                terms["loss"].register_hook(lambda grad: grad * float("inf"))
            return terms

    trainer = make(tmp_path, Overflow(), save_every=1)
    with pytest.raises(InputError, match=r"model: its parameters are not finite after step 9.*last.ckpt still holds"):
        trainer.fit()
    assert stored(trainer)["step"] == 5


def test_a_long_epoch_is_saved_in_between(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "SAVE_SECONDS", -1.0)
    steps = []
    save = Trainer.save

    def record(self, which):
        save(self, which)
        steps.append((which, self.step))

    monkeypatch.setattr(Trainer, "save", record)
    make(tmp_path, batches=Points(3), epochs=1).fit()
    assert steps == [("last", 1), ("last", 2), ("last", 3), ("best", 3), ("last", 3)]


def test_best_is_kept_when_later_states_are_worse(tmp_path, monkeypatch):
    scores = iter([1.0, 3.0, 2.0, 0.0])
    monkeypatch.setattr(Fit, "validate", lambda self: {"score": next(scores)})
    trainer = make(tmp_path, save_every=1)
    trainer.fit()
    assert trainer.best_score == 3.0
    assert (stored(trainer, "best")["step"], stored(trainer)["step"]) == (10, 20)


# ---- averaged weights


def test_what_is_validated_and_stored_is_the_average_of_the_weights(tmp_path):
    by_hand = []  # the average after each step

    class Watched(Trainer):
        def _train_step(self, stream):
            before = by_hand[-1] if by_hand else [value.clone() for value in self.task.parameters()]
            super()._train_step(stream)
            decay = min(0.8, (1 + self.step) / (10 + self.step))
            pairs = zip(before, self.task.parameters(), strict=True)
            by_hand.append([(decay * average + (1 - decay) * value).detach() for average, value in pairs])

    scores = []

    class Scored(Fit):
        def validate(self):
            measures = super().validate()
            scores.append((measures["score"], [value.clone() for value in self.parameters()]))
            return measures

    task = Scored()
    options = TrainerOptions(epochs=4, save_every=2, warmup_steps=3, ema=0.8)
    optimizer = torch.optim.Adam(task.parameters(), lr=0.1)
    trainer = Watched(task, optimizer, Points(), ALONE, tmp_path, options=options, identity=IDENTITY)
    trainer.fit()
    assert len(scores) == 2
    for (_, validated), step in zip(scores, (10, 20), strict=True):
        for value, expected in zip(validated, by_hand[step - 1], strict=True):
            torch.testing.assert_close(value, expected)
    last = stored(trainer)
    for value, expected in zip(last["model"]["state"].values(), by_hand[-1], strict=True):
        torch.testing.assert_close(value, expected)
    trained = list(task.parameters())
    assert all(torch.equal(a, b) for a, b in zip(last["trained_parameters"], trained, strict=True))
    assert not torch.allclose(trained[0], by_hand[-1][0], rtol=1e-3)


def test_averaging_does_not_change_what_is_trained(tmp_path):
    plain, averaged = make(tmp_path / "plain"), make(tmp_path / "averaged", ema=0.9)
    plain.fit()
    averaged.fit()
    assert "trained_parameters" not in stored(plain)
    trained = stored(averaged)["trained_parameters"]
    assert all(torch.equal(a, b) for a, b in zip(trained, stored(plain)["model"]["state"].values(), strict=True))
    assert_same(stored(averaged)["optimizer"], stored(plain)["optimizer"])


@pytest.mark.parametrize("at", [1, 7, 10, 20])
def test_averaged_runs_are_continued_exactly(tmp_path, at):
    options = {"ema": 0.9, "val_every": 1}
    whole = make(tmp_path / "whole", **options)
    whole.fit()
    task = Fit(after_step=lambda call: signal.raise_signal(signal.SIGINT) if call == at else None)
    with pytest.raises(Interrupted):
        make(tmp_path / "parts", task, **options).fit()
    second = make(tmp_path / "parts", **options)
    second.resume()
    second.fit()
    for which in ("last", "best"):
        assert_same(stored(second, which), stored(whole, which))


def test_a_failed_save_leaves_the_trained_weights_in_the_model(tmp_path, monkeypatch):
    trainer = make(tmp_path, ema=0.9)
    trainer.fit()
    before = [value.clone() for value in trainer.task.parameters()]
    monkeypatch.setattr(checkpoint, "write", lambda *_: (_ for _ in ()).throw(InputError("disk", "full")))
    with pytest.raises(InputError, match="disk: full"):
        trainer.save(LAST)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.task.parameters(), strict=True))


# ---- when and where it saves and what it logs


@pytest.fixture
def saves(monkeypatch):
    """What was saved, at which step."""
    found = []
    save = Trainer.save

    def record(self, which):
        save(self, which)
        found.append((which, self.step))

    monkeypatch.setattr(Trainer, "save", record)
    return found


@pytest.mark.parametrize(
    ("val_every", "save_every", "validated", "kept"),
    [
        (1, 2, [5, 10, 15, 20], [5, 10, 15, 20]),
        (2, 1, [10, 20], [5, 10, 15, 20]),
        (3, 2, [15, 20], [10, 15, 20]),
        (9, 9, [20], [20]),
        (None, 2, [10, 20], [10, 20]),
    ],
)
def test_validating_and_saving_have_epochs_of_their_own(tmp_path, saves, val_every, save_every, validated, kept):
    steps = []

    class Validated(Fit):
        def validate(self):
            steps.append(trainer.step)
            return super().validate()

    trainer = make(tmp_path, Validated(), val_every=val_every, save_every=save_every)
    trainer.fit()
    assert steps == validated
    assert [step for which, step in saves if which == LAST] == kept
    assert {step for which, step in saves if which == BEST} <= set(validated)


@pytest.mark.parametrize("at", [5, 8, 15, 18])
def test_a_run_that_validates_more_seldom_than_it_saves_is_continued_exactly(tmp_path, at):
    options = {"val_every": 2, "save_every": 1}
    whole = make(tmp_path / "whole", **options)
    whole.fit()
    task = Fit(after_step=lambda call: signal.raise_signal(signal.SIGINT) if call == at else None)
    with pytest.raises(Interrupted):
        make(tmp_path / "parts", task, **options).fit()
    second = make(tmp_path / "parts", **options)
    second.resume()
    second.fit()
    for which in ("last", "best"):
        assert_same(stored(second, which), stored(whole, which))


def test_checkpoints_have_the_names_that_were_asked_for(tmp_path):
    names = {LAST: "checkpoint_latest.pth", BEST: "checkpoint_best.pth"}
    first = make(tmp_path, file_names=names, epochs=2)
    first.fit()
    assert {path.name for path in tmp_path.iterdir()} == {*names.values(), "logs"}
    second = make(tmp_path, file_names=names, epochs=2)
    assert second.resume() and second.step == 10
    elsewhere = make(tmp_path / "other", file_names=names, epochs=2)
    assert elsewhere.resume(tmp_path / "checkpoint_latest.pth") and elsewhere.step == 10
    with pytest.raises(InputError, match=r"nowhere\.pth: no such file"):
        elsewhere.resume(tmp_path / "nowhere.pth")


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


# ---- the work before the first step


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
