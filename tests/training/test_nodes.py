"""Several processes that share no folder: what rank 0 decides, and how all end when one fails."""

import argparse
import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from src.training.identity import run_identity
from src.training.run_dir import open_run_dir
from src.training.trainer import Trainer, TrainerOptions
from src.utils import checkpoint
from src.utils.cli import InputError
from src.utils.seeding import generator
from tests.training.nodes import run_nodes
from tests.training.polynomial import Fit, Points, assert_same

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes take long to start without fork")
RUN = Path("run")


class Shared(Points):
    """Every process has its own half of a batch of sixteen."""

    def __init__(self, group, spoilt=None):
        super().__init__()
        self.rank, self.device, self.spoilt = group.rank, group.device, spoilt

    def epoch(self, epoch, start):
        for index in range(start, self.steps_per_epoch):
            batch = torch.rand(16, 1, generator=generator(1, epoch, index))[self.rank * 8 :][:8].to(self.device)
            yield batch * float("nan") if self.spoilt == (self.rank, epoch, index) else batch


def train(group, stop_at=None, overwrite=False, resume="auto", spoilt=None, fail=None, **options):
    """``stop_at``: the step in which all are asked to stop; ``fail``: (rank, step, what is called there)."""

    def act(call):
        if call == stop_at:
            signal.raise_signal(signal.SIGINT)
        if fail is not None and fail[:2] == (group.rank, call):
            fail[2]()

    arguments = argparse.Namespace(resume=resume, overwrite=overwrite, epochs=4)
    open_run_dir(RUN, arguments, {}, group)
    task = Fit(after_step=act)
    if group.rank:
        with torch.no_grad():
            for parameter in task.parameters():
                parameter.zero_()  # what other processes begin from is not theirs to say
    task.to(group.device)
    optimizer = torch.optim.Adam(task.parameters(), lr=0.1)
    identity = run_identity(arguments, {}, group.count)
    chosen = TrainerOptions(epochs=4, save_every=2, **options)
    trainer = Trainer(task, optimizer, Shared(group, spoilt), group, RUN, options=chosen, identity=identity)
    resumed = trainer.resume()
    print("resumed at", trainer.step if resumed else None)
    trainer.fit()
    print("weights", float(sum(value.double().sum() for value in task.parameters())).hex(), trainer.best_score.hex())


def stored(folder):
    content = checkpoint.read(folder / RUN / "last.ckpt", "fit")
    content.pop("seconds")
    return content


def last_lines(ended):
    assert [process.status for process in ended] == [0] * len(ended), ended
    return [process.output.strip().splitlines()[-1] for process in ended]


@pytest.mark.parametrize("ema", [None, 0.9])
def test_only_rank_0_has_the_run_and_all_continue_from_it(tmp_path, ema):
    lines = last_lines(run_nodes(tmp_path / "whole", partial(train, ema=ema)))
    assert lines[0] == lines[1] and lines[0].startswith("weights")
    ended = run_nodes(tmp_path / "parts", partial(train, ema=ema, stop_at=7))
    assert [process.status for process in ended] == [130, 130], ended
    assert stored(tmp_path / "parts" / "node0")["step"] == 7
    again = run_nodes(tmp_path / "parts", partial(train, ema=ema))
    assert all("resumed at 7" in process.output for process in again)
    assert last_lines(again) == lines
    assert_same(stored(tmp_path / "parts" / "node0"), stored(tmp_path / "whole" / "node0"))
    assert list((tmp_path / "parts" / "node1").iterdir()) == []


def test_what_rank_0_refuses_all_refuse(tmp_path):
    run_nodes(tmp_path, train)
    lines = [ended.error_line() for ended in run_nodes(tmp_path, partial(train, resume="never"))]
    assert all("run: already holds a run: choose another folder" in line for line in lines)
    with (tmp_path / "node0" / RUN / "last.ckpt").open("r+b") as file:
        file.truncate(100)
    lines = [ended.error_line() for ended in run_nodes(tmp_path, train)]
    assert all("last.ckpt: cannot be read as a checkpoint" in line for line in lines)
    assert last_lines(run_nodes(tmp_path, partial(train, overwrite=True)))[0].startswith("weights")


@pytest.mark.parametrize("rank", [0, 1])
def test_a_loss_that_is_not_finite_on_one_ends_all_with_a_line_each(tmp_path, rank):
    ended = run_nodes(tmp_path, partial(train, spoilt=(rank, 1, 2)))
    lines = [process.error_line() for process in ended]
    assert any("not finite" in line for line in lines)
    assert not (tmp_path / "node0" / RUN / "last.ckpt").exists() or stored(tmp_path / "node0")["step"] <= 7


def refuse():
    raise InputError("a.png", "cannot be read", "copy it again")


def lose_file():
    Path("gone.exr").read_bytes()


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(("fail", "said"), [(refuse, "a.png: cannot be read: copy it again"), (lose_file, "gone.exr")])
def test_wrong_input_on_one_ends_all_with_its_line(tmp_path, rank, fail, said):
    ended = run_nodes(tmp_path, partial(train, fail=(rank, 3, fail)))
    assert said in ended[rank].error_line()
    assert f"process {rank}: {said}" in ended[1 - rank].error_line()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_other_with_a_line(tmp_path, rank):
    ended = run_nodes(tmp_path, partial(train, fail=(rank, 8, partial(os._exit, 9))))
    assert ended[rank].status == 9
    assert "another process ended without a word" in ended[1 - rank].error_line()
    if rank == 1:
        assert stored(tmp_path / "node0")["step"] == 7, "rank 0 keeps what was done"


def meet(group):
    with group.together():
        pass
    with group.together():
        if group.rank == 1:
            refuse()
    print("not reached")


def test_a_block_fails_on_all_or_on_none(tmp_path):
    ended = run_nodes(tmp_path, meet)
    assert "process 1: a.png: cannot be read" in ended[0].error_line()
    assert ended[1].error_line().endswith("a.png: cannot be read: copy it again")
