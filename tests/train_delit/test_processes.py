"""Two processes train as one with twice the batch."""

import re
from pathlib import Path

import pytest
import torch

from tests import tiny_runs
from tests.train_delit.command import BEST, arguments, shorten, stored, train


def print_scores() -> None:
    from src.tasks.delit_task import DelitTask

    shorten(pytest.MonkeyPatch())
    validate = DelitTask.validate

    def say(self):
        measures = validate(self)
        print("score", measures["score"].hex())
        return measures

    DelitTask.validate = say


def run_ranks(argv: list[str], folder: Path) -> list[list[str]]:
    """The validation scores that each of two processes saw."""
    processes = [
        tiny_runs.start(argv, folder / f"log{rank}", environment, print_scores, "train_delit")
        for rank, environment in enumerate(tiny_runs.ranks(2))
    ]
    for process in processes:
        process.join()
    logs = [(folder / f"log{rank}").read_text(encoding="utf-8") for rank in range(2)]
    assert [process.exitcode for process in processes] == [0, 0], logs
    assert ["best validation loss" in log for log in logs] == [True, False], "only one process reports"
    return [re.findall(r"score (\S+)", log) for log in logs]


def test_two_processes_are_one_with_twice_the_batch(stage, tmp_path):
    """All masks of the stage are alike; else a mean over pixels would not be the mean of the processes' means.

    Both begin from given weights: a start is fitted to the batches of one process.
    """
    train(stage, tmp_path / "first", num_epochs=1)
    flags = {"num_epochs": 3, "use_mask": True, "ema": 0.9, "pretrained": tmp_path / "first" / BEST}
    one = train(stage, tmp_path / "one", batch_size=2, **flags)
    scores = run_ranks(arguments(stage, tmp_path / "two", batch_size=1, **flags), tmp_path)
    assert len(scores[0]) == 3 and scores[0] == scores[1]
    two = stored(tmp_path / "two")
    assert one["step"] == two["step"] == 9
    assert two["best_score"] == pytest.approx(one["best_score"], rel=1e-3)
    for name, value in one["model"]["state"].items():
        torch.testing.assert_close(two["model"]["state"][name], value, rtol=1e-2, atol=3e-4, msg=name)


def test_two_processes_relight_different_batches_and_write_one_checkpoint(stage, tmp_path):
    flags = {"relight": True, "use_augmentation": True, "arch": "simplified", "batch_size": 1}
    scores = run_ranks(arguments(stage, tmp_path / "run", **flags), tmp_path)
    assert len(scores[0]) == 2 and scores[0] == scores[1]
    assert stored(tmp_path / "run")["step"] == 6 and stored(tmp_path / "run")["identity"]["arguments"]["processes"] == 2
