"""What training computes, to the losses of its first steps, and what a run leaves."""

import json

import numpy as np
import pytest
import torch

from tests import tiny_runs
from tests.tiny_runs import assert_same_state, best, last

# Seed 42. Two threads, slices of another size, or a processor without vector instructions change them by up to 2e-6
# through rounding. The tolerance of 1e-4 also leaves room for other versions of PyTorch; a change of formula, order or
# initialisation exceeds it.
# fmt: off
FIRST_LOSSES = [
    0.043742526, 0.037369341, 0.042625576, 0.042364776, 0.036890168,
    0.039421469, 0.041759387, 0.044730145, 0.039087657, 0.042954057,
    0.039510209, 0.044701774, 0.036145706, 0.041677102, 0.035489473,
    0.042560469, 0.030807782, 0.042398997, 0.041280828, 0.042366125,
]
# fmt: on


def test_the_first_losses(day, tmp_path, losses):
    tiny_runs.train(day, tmp_path / "run", epochs=3, lr=0.01)
    assert len(losses) == 24
    assert losses[:20] == pytest.approx(FIRST_LOSSES, rel=1e-4)


def test_a_run_leaves_what_the_help_says(day, tmp_path, capsys):
    run = tmp_path / "run"
    stored = tiny_runs.train(day, run, epochs=4, save_every=2, compute_latent=True)
    names = {path.name for path in run.iterdir()}
    exports = {"latent_map.npy", "f2_state_dict.pt", "f2_ts.pt", "f2.pt2", "f2_config.json"}
    assert names == {"best.ckpt", "last.ckpt", "config.json", "logs", "comparison.png", *exports}
    assert np.load(run / "latent_map.npy").shape == (10, 12, 4)
    assert stored["step"] == 32 and stored["best_score"] == best(run)["best_score"]
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert config["arguments"]["latent_dim"] == 4 and config["data"]["height"] == 10
    closing = capsys.readouterr().out.splitlines()[-1]
    assert f"PSNR {stored['best_score']:.2f} dB" in closing and "latent_map.npy" in closing and str(run) in closing
    assert tiny_runs.scalars(run, "validation/psnr_db")[-1] == pytest.approx(stored["best_score"], abs=1e-4)


def test_tensorboard_gets_every_measure_and_the_pictures(day, tmp_path, losses):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tiny_runs.train(day, tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "logs"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {
        "train/loss",
        "train/learning_rate",
        "train/texels_per_s",
        "train/data_wait_share",
        "validation/score",
        "validation/psnr_db",
        "validation/worst_hour_psnr_db",
    }
    assert [event.value for event in events.Scalars("train/loss")] == pytest.approx(losses)
    assert len(events.Images("truth_reconstruction_error")) == 2


def test_training_learns(day, tmp_path):
    stored = tiny_runs.train(day, tmp_path / "run", epochs=100, save_every=20, hidden_f1=16, hidden_f2=16)
    mean_square = np.mean([(tiny_runs.smooth_frame(hour, 10, 12) - 0.5) ** 2 for hour in (0, 6, 12, 18)])
    assert stored["best_score"] > -10 * np.log10(mean_square) + 5, "well above grey pictures"


def test_two_runs_are_the_same_bit_for_bit_and_another_seed_is_not(day, tmp_path):
    first, second = (tiny_runs.train(day, tmp_path / name) for name in "ab")
    assert_same_state(first, second)
    other = tiny_runs.train(day, tmp_path / "c", seed=7)
    assert not torch.equal(other["model"]["state"]["f1.head.weight"], first["model"]["state"]["f1.head.weight"])


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_mixed_precision_runs_on_the_cpu(day, tmp_path, amp):
    full = tiny_runs.train(day, tmp_path / "full", epochs=20, save_every=20)
    mixed = tiny_runs.train(day, tmp_path / "mixed", epochs=20, save_every=20, amp=amp)
    assert mixed["step"] == 160
    assert mixed["best_score"] == pytest.approx(full["best_score"], abs=1.0)
    assert all(value.isfinite().all() for value in mixed["model"]["state"].values())


def test_accumulated_batches_are_a_larger_batch(day, tmp_path, losses):
    whole = tiny_runs.train(day, tmp_path / "whole", batch_size=120)
    whole_losses = losses.copy()
    losses.clear()
    parts = tiny_runs.train(day, tmp_path / "parts", batch_size=60, accumulate_steps=2)
    assert whole["step"] == parts["step"] == 8
    assert losses == pytest.approx(whole_losses, rel=1e-4)
    for name, value in whole["model"]["state"].items():
        torch.testing.assert_close(parts["model"]["state"][name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_a_time_budget_is_kept_and_the_rate_ends_near_zero(day, tmp_path, losses, clock, monkeypatch):
    clock.let_steps_take(monkeypatch, 0.01)
    stored = tiny_runs.train(day, tmp_path / "run", time_budget=0.03, save_every=1000)
    assert stored["step"] == pytest.approx(180, abs=1)
    rates = tiny_runs.scalars(tmp_path / "run", "train/learning_rate")
    assert len(rates) == stored["step"]
    assert rates[-1] < 0.03 * max(rates)
    assert last(tmp_path / "run")["validated_step"] == stored["step"]


def test_a_budget_shorter_than_the_start_still_ends_well(day, tmp_path):
    stored = tiny_runs.train(day, tmp_path / "run", time_budget=1e-6, compute_latent=True)
    assert stored["step"] == 1
    assert (tmp_path / "run" / "f2_ts.pt").exists()
