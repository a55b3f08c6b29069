"""Two processes train as one with twice the batch, and stop together."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import train as script
from src.training.trainer import Trainer
from tests import tiny_runs
from tests.tiny_runs import last, train_arguments, write_day


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """One process with twice the batch."""
    folder = tmp_path_factory.mktemp("one")
    data_dir = write_day(folder / "day")
    tiny_runs.train(data_dir, folder / "run", batch_size=120)
    return data_dir, folder / "run"


def assert_close_runs(run: Path, other: Path) -> None:
    ours, theirs = last(run), last(other)
    assert ours["step"] == theirs["step"] == 8
    assert ours["best_score"] == pytest.approx(theirs["best_score"], abs=1e-3)
    for name, value in theirs["model"]["state"].items():
        torch.testing.assert_close(ours["model"]["state"][name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_torchrun_gives_what_one_process_with_twice_the_batch_gives(one_process, tmp_path):
    data_dir, run = one_process
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        script.__file__,
    ]
    argv = train_arguments(data_dir, tmp_path / "run", batch_size=60)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, *argv], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("PSNR") == 1, "only one process reports"
    assert_close_runs(tmp_path / "run", run)


def print_scores() -> None:
    from src.tasks.siren_task import SirenTask

    validate = SirenTask.validate

    def say(self):
        measures = validate(self)
        print("score", measures["score"].hex())
        return measures

    SirenTask.validate = say


def start_ranks(argv, folder, setup=None):
    return [
        tiny_runs.start(argv, folder / f"log{rank}", environment, setup)
        for rank, environment in enumerate(tiny_runs.ranks(2))
    ]


def test_every_process_validates_to_the_same_figure(one_process, tmp_path):
    data_dir, run = one_process
    processes = start_ranks(train_arguments(data_dir, tmp_path / "run", batch_size=60), tmp_path, print_scores)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    scores = [re.findall(r"score (\S+)", (tmp_path / f"log{rank}").read_text(encoding="utf-8")) for rank in range(2)]
    assert len(scores[1]) == 2 and scores[0][:2] == scores[1]
    assert scores[0][2:] == [max(scores[1], key=float.fromhex)], "what was kept, measured once more at the end"
    assert_close_runs(tmp_path / "run", run)


def interrupt_itself() -> None:
    """Ctrl-C at step 7 of the first process and at step 8 of the second."""
    train_step = Trainer._train_step

    def stop(self, stream):
        if self.step == 7 + self.processes.rank:
            signal.raise_signal(signal.SIGINT)
        train_step(self, stream)

    Trainer._train_step = stop


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals to other processes")
def test_several_processes_stop_together_and_continue(one_process, tmp_path):
    data_dir, _ = one_process
    argv = train_arguments(data_dir, tmp_path / "run", batch_size=60, epochs=50, save_every=50)
    processes = start_ranks(argv, tmp_path, interrupt_itself)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [130, 130]
    assert 0 < last(tmp_path / "run")["step"] < 200, "it was saved where it stopped"
    processes = start_ranks(argv, tmp_path)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert last(tmp_path / "run")["step"] == 200
