"""What goes wrong on the way: a full disk, a loss that is not finite, checkpoints that are broken."""

import os
import re
import sys
from pathlib import Path

import pytest

import train as script
from src.training import trainer as engine
from src.training.trainer import Trainer
from tests import tiny_runs
from tests.tiny_runs import assert_same_state, last, one_error_line, train_arguments


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_full_disk_is_one_line_and_leaves_the_previous_checkpoint(day, tmp_path, monkeypatch, capsys, where):
    run = tmp_path / "run"
    tiny_runs.train(day, run, epochs=3)
    begun = train_arguments(day, tmp_path / "full", epochs=3)

    class FullDisk:
        """Refuses from the second time on that ``last`` is saved."""

        saves = 0

        def __call__(self, *args):
            name = str(args[0]) if where != "fsync" else os.readlink(f"/proc/self/fd/{args[0]}")
            if ".last." in name and ".tmp" in name:
                self.saves += 1
                if self.saves > 1:
                    raise OSError(28, "No space left on device")
            return original(*args)

    if where == "fsync" and not Path("/proc/self/fd").exists():
        pytest.skip("needs the names of open files")
    original = getattr(os, where)
    disk = FullDisk()
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(os, where, disk)
        assert script.main(begun) == 2
    line = one_error_line(capsys.readouterr().err)
    assert "last.ckpt: no space left on the disk: free some space and run the same command again" in line
    assert last(tmp_path / "full")["step"] == 8, "the checkpoint before"
    assert [path.name for path in (tmp_path / "full").iterdir() if ".tmp" in path.name] == []
    assert script.main(begun) == 0
    assert_same_state(last(tmp_path / "full"), last(run))


def shrink_disk_after_first_save() -> None:
    import resource

    save = Trainer.save

    def save_then_shrink(self, which):
        save(self, which)
        if which == engine.LAST:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    Trainer.save = save_then_shrink


@pytest.mark.skipif(sys.platform == "win32", reason="needs setrlimit")
def test_an_operating_system_that_refuses_to_write(day, tmp_path):
    argv = train_arguments(day, tmp_path / "run", epochs=3, hidden_f2=64, layers_f2=4)
    process = tiny_runs.start(argv, tmp_path / "log", setup=shrink_disk_after_first_save)
    process.join()
    assert process.exitcode == 2
    line = one_error_line((tmp_path / "log").read_text(encoding="utf-8").rpartition("step/s]")[2])
    assert re.search(r"(last|best).ckpt: File too large", line)
    assert last(tmp_path / "run")["step"] == 8
    assert (tmp_path / "run" / "last.ckpt").stat().st_size > 100_000
    assert script.main(argv) == 0


def test_a_loss_that_is_not_finite_names_step_and_file_and_keeps_the_last_good_state(
    day, tmp_path, monkeypatch, capsys
):
    import src.data.lightmap_dataset as data

    run = tmp_path / "run"
    argv = train_arguments(day, run, epochs=6)
    epoch = data.TexelBatches.epoch

    def spoil(self, number, start):
        if number == 3:
            self._dataset.texels[:, 2] = float("nan")
        return epoch(self, number, start)

    with monkeypatch.context() as patch:
        patch.setattr(data.TexelBatches, "epoch", spoil)
        assert script.main(argv) == 2
    line = one_error_line(capsys.readouterr().err)
    assert "loss: not finite at step 24 (batch: 15 texels of tod_2.png)" in line and "still holds the last good" in line
    assert last(run)["step"] == 24
    assert all(value.isfinite().all() for value in last(run)["model"]["state"].values())
    assert script.main(argv) == 0
    assert last(run)["step"] == 48


def test_an_absurd_learning_rate_stops_before_anything_bad_is_saved(day, tmp_path, capsys):
    argv = train_arguments(day, tmp_path / "run", lr=3e38, schedule="constant")
    assert script.main(argv) == 2
    assert "not finite" in one_error_line(capsys.readouterr().err)
    assert not (tmp_path / "run" / "last.ckpt").exists()


def test_checkpoints_that_cannot_be_continued(day, tmp_path, capsys):
    from src.utils import checkpoint

    run = tmp_path / "run"
    tiny_runs.train(day, run)
    whole = (run / "last.ckpt").read_bytes()
    capsys.readouterr()
    (run / "last.ckpt").write_bytes(whole[: len(whole) // 2])
    assert script.main(train_arguments(day, run)) == 2
    assert "last.ckpt: cannot be read as a checkpoint" in one_error_line(capsys.readouterr().err)
    checkpoint.write(run / "last.ckpt", "delit", {})
    assert script.main(train_arguments(day, run)) == 2
    assert "last.ckpt: a checkpoint of kind 'delit', expected 'lightmap'" in one_error_line(capsys.readouterr().err)
