"""Interrupted, killed or finished: the same command again goes on, and gives what a run without a break gives."""

import random
import signal
import sys
from functools import partial

import pytest

import train_delit as script
from src.models import delit_model
from tests import tiny_runs
from tests.tiny_runs import interrupt_at, one_error_line
from tests.train_delit.command import LATEST, arguments, assert_same_runs, shorten, stored, train

WAYS = {
    "pairs": {"num_epochs": 4, "val_every": 2, "use_augmentation": True, "use_mask": True},
    "relit": {"num_epochs": 4, "val_every": 2, "use_augmentation": True, "relight": True, "arch": "simplified"},
}


@pytest.fixture(scope="module", params=WAYS)
def whole(request, stage, tmp_path_factory):
    """A run that nobody interrupted: its flags and folder."""
    run = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        train(stage, run, **WAYS[request.param])
    return WAYS[request.param], run


@pytest.mark.parametrize("step", [1, 6, 8])
def test_interrupted_and_continued_equals_uninterrupted(whole, stage, tmp_path, monkeypatch, capsys, step):
    flags, run = whole
    argv = arguments(stage, tmp_path / "run", **flags)
    with monkeypatch.context() as patch:
        interrupt_at(patch, step)
        assert script.main(argv) == 130
    assert "interrupted: run the same command again" in capsys.readouterr().err
    assert stored(tmp_path / "run")["step"] == step
    workers = 1 if "relight" not in flags and step == 6 else 0  # says only how fast
    assert script.main(arguments(stage, tmp_path / "run", **flags, num_workers=workers)) == 0
    assert_same_runs(tmp_path / "run", run)


def test_a_checkpoint_of_another_folder_is_continued(whole, stage, tmp_path, monkeypatch):
    flags, run = whole
    with monkeypatch.context() as patch:
        interrupt_at(patch, 5)
        assert script.main(arguments(stage, tmp_path / "first", **flags)) == 130
    train(stage, tmp_path / "second", **flags, resume=tmp_path / "first" / LATEST)
    assert_same_runs(tmp_path / "second", run)


def short_until(moment) -> None:
    """Short epochs, until ``moment`` kills."""
    shorten(pytest.MonkeyPatch())
    moment()


@pytest.mark.skipif(sys.platform == "win32", reason="processes take long to start without fork")
@pytest.mark.parametrize("way", WAYS)
def test_killed_at_random_moments(stage, tmp_path, way):
    flags = {**WAYS[way], "num_epochs": 16}
    run, chance = tmp_path / "run", random.Random(0)
    argv = arguments(stage, run, **flags)
    steps = [0]
    for _ in range(3):
        # The second save ends after some 13,000 calls, an epoch takes some 7,000.
        moment = partial(tiny_runs.die_at_call, chance.randrange(14_000, 24_000), "_train_step")
        process = tiny_runs.start(argv, setup=partial(short_until, moment), script="train_delit")
        process.join()
        assert process.exitcode == -signal.SIGKILL, "otherwise nothing was killed"
        steps.append(stored(run)["step"])
        assert delit_model.load(run / LATEST).config.image_size == 32
    assert steps == sorted(steps) and 0 < steps[1] <= steps[-1] < 48, "nothing saved is ever lost"
    assert script.main(argv) == 0
    assert [path.name for path in run.iterdir() if ".tmp" in path.name] == []
    train(stage, tmp_path / "whole", **flags)
    assert_same_runs(run, tmp_path / "whole")


def test_a_finished_run_again_does_nothing_and_other_wishes_are_met(stage, tmp_path, capsys):
    run = tmp_path / "run"
    train(stage, run, num_epochs=1)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    train(stage, run, num_epochs=1)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()} == before
    capsys.readouterr()
    assert script.main(arguments(stage, run, num_epochs=1, resume="never")) == 2
    assert "already holds a run" in one_error_line(capsys.readouterr().err)
    assert train(stage, run, num_epochs=1, overwrite=True, seed=5)["identity"]["arguments"]["seed"] == 5
