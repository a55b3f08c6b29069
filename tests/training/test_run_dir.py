import argparse
import json

import pytest
import torch

from src.training.distributed import Processes
from src.training.run_dir import open_run_dir
from src.utils.cli import InputError

ALONE = Processes(0, 1, torch.device("cpu"))


def open_it(run_dir, resume="auto", overwrite=False, processes=ALONE, **arguments):
    namespace = argparse.Namespace(resume=resume, overwrite=overwrite, out_dir=run_dir, **arguments)
    open_run_dir(run_dir, namespace, {"files": ["a.png"]}, processes)


def test_a_new_run_records_what_it_is(tmp_path):
    open_it(tmp_path / "a" / "run", epochs=3)
    config = json.loads((tmp_path / "a" / "run" / "config.json").read_text(encoding="utf-8"))
    assert config["arguments"]["epochs"] == 3
    assert config["data"] == {"files": ["a.png"]}
    assert config["versions"]["torch"] == torch.__version__
    assert {"command", "git_commit", "platform", "started"} <= set(config)


def test_a_run_that_goes_on_keeps_its_record(tmp_path):
    open_it(tmp_path, epochs=3)
    (tmp_path / "last.ckpt").touch()
    open_it(tmp_path, epochs=4)
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["arguments"]["epochs"] == 3


def test_never_resuming_refuses_a_run_and_overwriting_empties_it(tmp_path):
    open_it(tmp_path, resume="never", epochs=3)
    (tmp_path / "logs").mkdir()
    for name in ("last.ckpt", "best.ckpt", "logs/events", "notes.txt"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"already holds a run: .*--overwrite"):
        open_it(tmp_path, resume="never", epochs=4)
    assert (tmp_path / "last.ckpt").exists()
    open_it(tmp_path, overwrite=True, epochs=5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "notes.txt"]
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["arguments"]["epochs"] == 5


def test_what_a_killed_run_left_half_written_is_removed(tmp_path):
    for name in (".last.123.tmp.ckpt", ".best.9.tmp.ckpt", "last.ckpt", ".mine.tmp.ckpt"):
        (tmp_path / name).touch()
    open_it(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine.tmp.ckpt", "last.ckpt"]
