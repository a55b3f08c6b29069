"""When a run is validated and saved, and under which names."""

import pytest

from src.training import trainer as engine
from src.training.trainer import BEST, LAST, Trainer
from src.utils.cli import InputError
from tests.training.polynomial import Fit, Points, make, stored


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


def test_a_long_epoch_is_saved_in_between(tmp_path, saves, monkeypatch):
    monkeypatch.setattr(engine, "SAVE_SECONDS", -1.0)
    make(tmp_path, batches=Points(3), epochs=1).fit()
    assert saves == [(LAST, 1), (LAST, 2), (LAST, 3), (BEST, 3), (LAST, 3)]


def test_best_is_kept_when_later_states_are_worse(tmp_path, monkeypatch):
    scores = iter([1.0, 3.0, 2.0, 0.0])
    monkeypatch.setattr(Fit, "validate", lambda self: {"score": next(scores)})
    trainer = make(tmp_path, save_every=1)
    trainer.fit()
    assert trainer.best_score == 3.0
    assert (stored(trainer, "best")["step"], stored(trainer)["step"]) == (10, 20)


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
