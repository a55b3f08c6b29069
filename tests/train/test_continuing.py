"""Interrupted or finished: the same command again goes on, and gives what a run without a break gives."""

import random
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

import train as script
from tests import tiny_runs
from tests.tiny_runs import assert_same_state, best, interrupt_at, last, one_error_line, train_arguments, write_day


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody interrupted: its data, flags and folder."""
    folder = tmp_path_factory.mktemp("whole")
    data_dir = write_day(folder / "day")
    flags = {"epochs": 4, "save_every": 2}
    tiny_runs.train(data_dir, folder / "run", **flags)
    return data_dir, flags, folder / "run"


@pytest.mark.parametrize("step", [1, 5, 8, 16, 19, 31, 32])
def test_interrupted_and_continued_equals_uninterrupted(whole, tmp_path, monkeypatch, capsys, step):
    data_dir, flags, run = whole
    argv = train_arguments(data_dir, tmp_path / "run", **flags)
    with monkeypatch.context() as patch:
        interrupt_at(patch, step)
        assert script.main(argv) == 130
    assert "interrupted: run the same command again" in capsys.readouterr().err
    assert last(tmp_path / "run")["step"] == step
    assert script.main(argv) == 0
    assert_same_state(last(tmp_path / "run"), last(run))
    assert_same_state(best(tmp_path / "run"), best(run))


def test_continuing_is_exact_on_two_threads_and_with_other_flags_that_only_say_where(day, tmp_path, monkeypatch):
    torch.set_num_threads(2)
    try:
        flags = {"batch_size": 240, "hidden_f2": 32, "amp": "bf16"}
        tiny_runs.train(day, tmp_path / "whole", **flags)
        with monkeypatch.context() as patch:
            interrupt_at(patch, 3)
            assert script.main(train_arguments(day, tmp_path / "parts", **flags)) == 130
        moved = (tmp_path / "parts").rename(tmp_path / "moved")
        tiny_runs.train(day.rename(tmp_path / "other"), moved, num_workers=3, compute_latent=True, **flags)
        assert_same_state(last(moved), last(tmp_path / "whole"))
    finally:
        torch.set_num_threads(1)


def test_a_finished_run_again_does_nothing_and_ends_well(day, tmp_path, losses):
    run = tmp_path / "run"
    tiny_runs.train(day, run)
    before = {name: (run / name).stat().st_mtime_ns for name in ("last.ckpt", "best.ckpt", "config.json")}
    losses.clear()
    tiny_runs.train(day, run)
    assert losses == []
    assert {name: (run / name).stat().st_mtime_ns for name in before} == before


def test_never_resuming_and_overwriting(day, tmp_path, capsys):
    run = tmp_path / "run"
    tiny_runs.train(day, run, resume="never")
    assert script.main(train_arguments(day, run, resume="never")) == 2
    assert "already holds a run" in one_error_line(capsys.readouterr().err.rpartition("step/s]")[2])
    tiny_runs.train(day, run, overwrite=True, seed=5)
    assert last(run)["identity"]["arguments"]["seed"] == 5
    assert len(tiny_runs.scalars(run, "validation/psnr_db")) == 2, "the old run's curves are gone"


def test_changed_arguments_are_refused_by_name(day, tmp_path, capsys):
    run = tmp_path / "run"
    tiny_runs.train(day, run)
    before = (run / "last.ckpt").read_bytes()
    capsys.readouterr()
    assert script.main(train_arguments(day, run, lr=0.01, hidden_f2=16, hours="0:24:6")) == 2
    line = one_error_line(capsys.readouterr().err)
    assert "last.ckpt: made with other arguments (hidden_f2 was 8, now 16, lr was 0.001, now 0.01)" in line
    (day / "tod_3.png").rename(day / "tod_4.png")
    assert script.main(train_arguments(day, run)) == 2
    line = one_error_line(capsys.readouterr().err)
    assert "made from other data (1 of 4 files are gone: tod_3.png, 1 of 4 files are new: tod_4.png): give" in line
    assert (run / "last.ckpt").read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="30 processes take minutes to start without fork")
def test_killed_at_30_random_moments(day, tmp_path):
    run, argv = tmp_path / "run", train_arguments(day, tmp_path / "run", epochs=90)
    chance = random.Random(0)
    steps = [0]
    for _ in range(30):
        if chance.random() < 0.7:
            moment = partial(tiny_runs.die_at_call, chance.randrange(1, 7000), "_train_step")  # an epoch is some 2600
        else:
            moment = partial(tiny_runs.die_at_call, chance.randrange(1, 1000))  # while it starts
        process = tiny_runs.start(argv, setup=moment)
        process.join()
        assert process.exitcode == -signal.SIGKILL, "otherwise nothing was killed"
        steps.append(steps_done(run))
    assert steps == sorted(steps), "nothing saved is ever lost"
    assert 100 < steps[-1] < 720
    assert best(run)["step"] > 0
    process = tiny_runs.start(argv)
    process.join()
    assert process.exitcode == 0
    assert [path.name for path in run.iterdir() if ".tmp" in path.name] == []
    tiny_runs.train(day, tmp_path / "whole", epochs=90)
    assert_same_state(last(run), last(tmp_path / "whole"))
    assert_same_state(best(run), best(tmp_path / "whole"))


def steps_done(run: Path) -> int:
    return last(run)["step"] if (run / "last.ckpt").exists() else 0
