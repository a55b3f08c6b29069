"""What goes wrong on the way: a full disk, a loss that is not finite, checkpoints that are broken."""

import os
from pathlib import Path

import pytest

import train_delit as script
from src.data.portrait.pair_batches import PairBatches
from src.data.portrait.relight_batches import RelightBatches
from src.utils import checkpoint
from tests.tiny_runs import one_error_line
from tests.train_delit.command import LATEST, arguments, assert_same_runs, stored, train


def test_a_full_disk_is_one_line_and_leaves_the_previous_checkpoint(stage, tmp_path, monkeypatch, capsys):
    argv = arguments(stage, tmp_path / "full", num_epochs=3)
    replace, saves = os.replace, []

    def refuse(*args):
        """From the second time on that the latest state is saved."""
        if f".{Path(LATEST).stem}." in str(args[0]):
            saves.append(args)
            if len(saves) > 1:
                raise OSError(28, "No space left on device")
        return replace(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        assert script.main(argv) == 2
    line = one_error_line(capsys.readouterr().err)
    assert f"{LATEST}: no space left on the disk: free some space and run the same command again" in line
    assert stored(tmp_path / "full")["step"] == 3, "the checkpoint before"
    assert [path.name for path in (tmp_path / "full").iterdir() if ".tmp" in path.name] == []
    assert script.main(argv) == 0
    train(stage, tmp_path / "whole", num_epochs=3)
    assert_same_runs(tmp_path / "full", tmp_path / "whole")


@pytest.mark.parametrize("relight", [False, True], ids=["pairs", "relit"])
def test_a_loss_that_is_not_finite_names_the_samples_and_keeps_the_last_good_state(
    stage, tmp_path, monkeypatch, capsys, relight
):
    run = tmp_path / "run"
    owner = RelightBatches if relight else PairBatches
    epoch = owner.epoch
    spoilt = []

    def spoil(self, number, start):
        for index, batch in enumerate(epoch(self, number, start), start):
            if (number, index) == (2, 1):
                batch.relit[1, 0, 16, 16] = float("nan")
                spoilt.append(", ".join(batch.name))
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(owner, "epoch", spoil)
        assert script.main(arguments(stage, run, relight, num_epochs=4)) == 2
    line = one_error_line(capsys.readouterr().err)
    assert f"loss: not finite at step 7 (batch: {spoilt[0]})" in line and "/env_0" in spoilt[0]
    assert "still holds the last good state" in line
    assert stored(run)["step"] == 6
    assert all(value.isfinite().all() for value in stored(run)["model"]["state"].values())
    assert train(stage, run, relight=relight, num_epochs=4)["step"] == 12


def test_checkpoints_that_cannot_be_continued(stage, tmp_path, capsys):
    run = tmp_path / "run"
    train(stage, run, num_epochs=1)
    whole = (run / LATEST).read_bytes()
    capsys.readouterr()
    (run / LATEST).write_bytes(whole[: len(whole) // 2])
    assert script.main(arguments(stage, run, num_epochs=1)) == 2
    assert f"{LATEST}: cannot be read as a checkpoint" in one_error_line(capsys.readouterr().err)
    checkpoint.write(run / LATEST, "lightmap", {})
    assert script.main(arguments(stage, run, num_epochs=1)) == 2
    assert "a checkpoint of kind 'lightmap', expected 'delit'" in one_error_line(capsys.readouterr().err)
