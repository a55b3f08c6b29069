"""That training learns, from a fitted first guess on, the same way each time and in every way that a flag asks for."""

import numpy as np
import pytest
import torch

import train_delit as script
from src.data.portrait import relight_batches
from src.models import delit_model
from tests import tiny_runs
from tests.tiny_runs import one_error_line
from tests.train_delit.command import arguments, assert_same_runs, stored, train


def test_training_in_the_wild_is_resumed_and_each_of_it_can_be_left_out(stage, tmp_path, capsys):
    assert script.WILD == relight_batches.WILD
    flags = {"relight": True, "use_mask": True, "use_augmentation": True, "in_the_wild": True}
    stored = train(stage, tmp_path / "run", **flags, without=["framing", "flat_confidence"])
    assert stored["step"] == 6 and not stored["model"]["config"]["flat_confidence"]
    for wrong, said in (
        ({"in_the_wild": True}, "--in_the_wild: varies batches"),
        ({"without": ["blur"]}, "--without: what --in_the_wild varies is off"),
    ):
        assert script.main(arguments(stage, tmp_path / "other", **wrong)) == 2
        assert said in one_error_line(capsys.readouterr().err)


@pytest.mark.parametrize("relight", [False, True], ids=["pairs", "relit"])
@pytest.mark.parametrize("arch", ["attention", "simplified"])
def test_training_learns(stage, tmp_path, arch, relight):
    flags = {"arch": arch, "num_epochs": 15, "learning_rate": 2e-3, "use_mask": True, "ema": 0}
    flags |= {"val_every": 15, "save_every": 15}
    train(stage, tmp_path / "run", relight=relight, **flags)
    losses = tiny_runs.scalars(tmp_path / "run", "train/loss")
    assert len(losses) == 45
    # What a closed-form start leaves to be learnt is less.
    assert np.mean(losses[-9:]) < (0.9 if arch == "attention" else 0.8) * np.mean(losses[:9])


@pytest.mark.parametrize("relight", [False, True], ids=["pairs", "relit"])
def test_the_first_guess_is_fitted_before_training_and_stays(stage, tmp_path, monkeypatch, capsys, relight):
    counts, fitted = [], {}
    start = delit_model.DelitModel.start

    def record(self, samples):
        samples = list(samples)
        counts.append(sum(len(relit) for relit, *_ in samples))
        start(self, samples)
        fitted.update({k: v.clone() for k, v in self.network.first_guess.state_dict().items()})

    monkeypatch.setattr(delit_model.DelitModel, "start", record)
    content = train(stage, tmp_path / "run", relight=relight, ema=0.9, learning_rate=1e-2, weight_decay=0.1)
    assert counts == [8] and "first guess: " in capsys.readouterr().err
    assert fitted["light.weight"].abs().max() > 0 and fitted["reduced.weight"].abs().max() > 0
    for name, value in fitted.items():
        assert torch.equal(content["model"]["state"][f"network.first_guess.{name}"], value), name
    train(stage, tmp_path / "run", relight=relight, ema=0.9, learning_rate=1e-2, weight_decay=0.1)
    assert "first guess" not in capsys.readouterr().err
    assert counts == [8], "a run that goes on is not started again"


def test_two_runs_are_the_same_bit_for_bit_and_another_seed_is_not(stage, tmp_path):
    for name in "ab":
        train(stage, tmp_path / name, relight=True, use_augmentation=True)
    assert_same_runs(tmp_path / "a", tmp_path / "b")
    other = train(stage, tmp_path / "c", relight=True, use_augmentation=True, seed=2)
    assert other["best_score"] != stored(tmp_path / "a")["best_score"]


def test_other_ways_to_train(stage, tmp_path, clock, monkeypatch):
    """Mixed precision, accumulation, a time budget: each to its end."""
    clock.let_steps_take(monkeypatch, 0.1)
    mixed = train(stage, tmp_path / "amp", amp="bf16", accumulate_steps=3)
    assert mixed["step"] == 2
    timed = train(stage, tmp_path / "time", relight=True, time_budget=1.5 / 60, val_every=1000)
    assert timed["step"] == timed["validated_step"] == pytest.approx(15, abs=1)
    rates = tiny_runs.scalars(tmp_path / "time", "train/learning_rate")
    assert rates[-1] < 0.05 * max(rates)


def test_the_perceptual_loss_takes_the_weights_that_are_given(stage, tmp_path):
    from torchvision.models import squeezenet1_1

    torch.manual_seed(0)
    torch.save(squeezenet1_1(weights=None).state_dict(), tmp_path / "squeeze.pth")
    flags = {"use_lpips": True, "lpips_net": "squeeze", "lpips_weights": tmp_path / "squeeze.pth", "num_epochs": 1}
    content = train(stage, tmp_path / "run", **flags)
    assert len(tiny_runs.scalars(tmp_path / "run", "train/flat_lpips")) == 3
    assert not any("lpips" in name for name in content["model"]["state"]), "the backbone is no part of the model"
