"""The whole command for phase 3, on a tiny light stage."""

import sys
from pathlib import Path

import pytest
import torch

import train_relit as script
from src.models import relit_model
from src.tasks import relit_training
from src.training import meter
from src.utils import checkpoint
from tests import tiny_runs
from tests.inference.models import write_checkpoint
from tests.tiny_clips import write_clip
from tests.tiny_runs import one_error_line
from tests.tiny_stage import write_set, write_stage

LATEST, BEST = "checkpoint_latest.pth", "checkpoint_best.pth"


@pytest.fixture(scope="module")
def stage(tmp_path_factory) -> Path:
    root = write_stage(tmp_path_factory.mktemp("stage"), subjects=4, environments=4)
    write_set(root, "--val_subjects", "1", "--val_envs", "2")
    return root


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Three steps an epoch."""
    monkeypatch.setattr(relit_training, "SAMPLES_PER_EPOCH", 6)
    monkeypatch.setattr(meter, "LOG_SECONDS", -1.0)


def arguments(stage: Path, run: Path, *flags: object) -> list[str]:
    argv = ["--data_root", stage / "set", "--olat_root", stage / "olat", "--output_dir", run, "--image_size", 32]
    argv += ["--env_height", 8, "--base_dim", 32, "--batch_size", 2, "--num_epochs", 2, "--warmup_steps", 2]
    return [str(word) for word in [*argv, "--device", "cpu", "--cache_dir", stage / "cache", *flags]]


def train(stage: Path, run: Path, *flags: object) -> int:
    return script.main(arguments(stage, run, *flags))


def state(run: Path) -> dict:
    return checkpoint.read(run / LATEST, "relit")["model"]["state"]


def test_a_run_leaves_a_model_and_learns(stage, tmp_path, capsys):
    flags = ["--num_epochs", 5, "--learning_rate", 3e-3, "--ema", 0.5]
    assert train(stage, tmp_path / "run", *flags) == 0
    assert "best validation loss" in capsys.readouterr().out
    stored = checkpoint.read(tmp_path / "run" / LATEST, "relit")
    model = relit_model.load(tmp_path / "run" / BEST)
    assert model.config.image_size == 32 and stored["step"] == 15
    assert train(stage, tmp_path / "short", "--num_epochs", 1, "--learning_rate", 1e-6) == 0
    assert stored["best_score"] > checkpoint.read(tmp_path / "short" / LATEST, "relit")["best_score"] + 0.02


def test_interrupted_and_continued_equals_uninterrupted(stage, tmp_path, monkeypatch):
    assert train(stage, tmp_path / "whole") == 0
    forward, calls = relit_training.RelitTask.forward, []

    def interrupted(self, batch):
        calls.append(None)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return forward(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(relit_training.RelitTask, "forward", interrupted)
        assert train(stage, tmp_path / "parts") == 130
    assert train(stage, tmp_path / "parts") == 0
    whole, parts = state(tmp_path / "whole"), state(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_training_begins_from_delighting_or_relighting_weights(stage, tmp_path, capsys):
    delit = write_checkpoint(tmp_path / "delit.pth")
    still = ["--num_epochs", 1, "--learning_rate", 1e-9, "--ema", 0, "--weight_decay", 0]
    assert train(stage, tmp_path / "a", "--pretrained", delit, *still) == 0
    theirs = checkpoint.read(delit, "delit")["model"]["state"]["network.stem.weight"]
    torch.testing.assert_close(state(tmp_path / "a")["network.stem.weight"], theirs, atol=1e-6, rtol=0)
    assert train(stage, tmp_path / "b", "--pretrained", tmp_path / "a" / BEST, *still) == 0
    torch.testing.assert_close(state(tmp_path / "b"), state(tmp_path / "a"), atol=1e-6, rtol=0)
    capsys.readouterr()
    assert train(stage, tmp_path / "c", "--pretrained", delit, "--base_dim", 64) == 2
    assert "delit.pth: has no backbone and shading head of this width" in one_error_line(capsys.readouterr().err)


def test_clips_are_a_source_with_a_token_of_its_own(stage, tmp_path, capsys):
    write_clip(tmp_path / "films" / "clips", "CLIP001")
    flags = ["--sources", "stage:1", f"{tmp_path / 'films'}:2", "--over_time", "--window", 3]
    assert train(stage, tmp_path / "run", *flags) == 0
    model = relit_model.load(tmp_path / "run" / LATEST)
    assert model.config.sources == ("stage", "films") and model.config.over_time
    assert model.network.over_time.mix.weight.any()  # it was trained
    for term in ("steady", "steady_mask", "steady_light"):
        assert any(value > 0 for value in tiny_runs.scalars(tmp_path / "run", f"train/{term}")), term
    capsys.readouterr()
    assert train(stage, tmp_path / "none", "--sources", "stage:1", f"{tmp_path / 'nowhere'}:1") == 2
    assert "nowhere: holds no pseudo labels" in one_error_line(capsys.readouterr().err)
    assert train(stage, tmp_path / "none", "--sources", f"{tmp_path / 'films'}:1") == 2
    assert "--sources: begin with stage:SHARE" in one_error_line(capsys.readouterr().err)


def three_steps_that_say_what_they_are_of() -> None:
    """In a process of its own, one of two."""
    forward = relit_training.RelitTask.forward

    def saying(self, batch):
        print("of the stage" if batch.flow is None else "of clips")
        return forward(self, batch)

    relit_training.SAMPLES_PER_EPOCH = 12
    relit_training.RelitTask.forward = saying


@pytest.mark.skipif(sys.platform == "win32", reason="processes take long to start without fork")
def test_two_processes_train_over_time_though_stills_pass_it_by(stage, tmp_path):
    write_clip(tmp_path / "films" / "clips", "CLIP001")
    flags = ["--sources", "stage:1", f"{tmp_path / 'films'}:1", "--over_time", "--window", 3]
    logs = [tmp_path / f"{rank}.log" for rank in range(2)]
    processes = [
        tiny_runs.start(
            arguments(stage, tmp_path / "run", *flags), log, ranks, three_steps_that_say_what_they_are_of, "train_relit"
        )
        for log, ranks in zip(logs, tiny_runs.ranks(2), strict=True)
    ]
    for process in processes:
        process.join(150)
        process.kill()  # one that waits for the other in vain
        process.join()
    said = [log.read_text("utf-8") for log in logs]
    assert [process.exitcode for process in processes] == [0, 0], said
    for one in said:  # a step of the stage between two of clips, where gradients of what it passed by are missed
        assert one.count("of the stage") + one.count("of clips") == 6
        assert "of clips" in one.split("of the stage", 1)[1]
    assert state(tmp_path / "run")["network.over_time.mix.weight"].any()


def test_wrong_input_is_one_line(stage, tmp_path, capsys):
    assert script.main([]) == 2
    assert "--data_root: no training set given" in one_error_line(capsys.readouterr().err)
    assert script.main(["--data_root", str(stage / "set")]) == 2
    assert "--olat_root: there is no" in one_error_line(capsys.readouterr().err)
    assert train(stage, tmp_path, "--ema", 1) == 2
    assert "--ema: 1 is not below 1" in one_error_line(capsys.readouterr().err)
