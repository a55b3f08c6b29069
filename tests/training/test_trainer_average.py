"""The running average of the weights: what is validated and stored, not what is trained."""

import pytest
import torch

from src.training.trainer import LAST, Trainer, TrainerOptions
from src.utils import checkpoint
from src.utils.cli import InputError
from tests.training.polynomial import ALONE, IDENTITY, Fit, Points, assert_same, interrupted_and_continued, make, stored


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
    second = interrupted_and_continued(tmp_path / "parts", at, **options)
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
