"""Another run under the same name, by its arguments or its files, is refused by name."""

import os

import pytest

import train_delit as script
from src.utils.image_io import read_linear, write_linear
from tests.tiny_runs import one_error_line
from tests.train_delit.command import LATEST, arguments, train


def test_changed_arguments_and_data_are_refused_by_name(stage, tmp_path, capsys):
    run = tmp_path / "run"
    train(stage, run, num_epochs=1)
    before = (run / LATEST).read_bytes()
    capsys.readouterr()
    changes = {"learning_rate": 0.01, "use_mask": True, "env_height": 16, "num_workers": 1}
    assert script.main(arguments(stage, run, num_epochs=1, **changes)) == 2
    line = one_error_line(capsys.readouterr().err)
    expected = "env_height was 8, now 16, learning_rate was 0.0001, now 0.01, use_mask was False, now True"
    assert f"{LATEST}: made with other arguments ({expected})" in line
    assert script.main(arguments(stage, run, num_epochs=1, val_subjects=["ID001"], val_envs=["env_001"])) == 2
    assert "validation_pairs are gone:" in one_error_line(capsys.readouterr().err)
    assert script.main(arguments(stage, run, num_epochs=1, relight=True)) == 2
    assert "captures are new: ID001" in one_error_line(capsys.readouterr().err)
    assert (run / LATEST).read_bytes() == before


NEW_FILES = {
    "pairs": "set/subjects/ID001/relit/env_001.exr",
    "validation_pairs": "set/subjects/ID003/flat_lit.exr",
    "environments": "envs/env_001.hdr",
}


@pytest.mark.parametrize("kind", NEW_FILES)
def test_new_files_under_old_names_are_another_run(own_stage, tmp_path, capsys, kind):
    run, path = tmp_path / "run", own_stage / NEW_FILES[kind]
    flags = {"num_epochs": 1, "relight": kind == "environments", "env_dir": own_stage / "envs"}
    train(own_stage, run, **flags)
    before = (run / LATEST).read_bytes()
    os.utime(path)  # another date alone is no other file
    train(own_stage, run, **flags)
    capsys.readouterr()
    write_linear(path, 2 * read_linear(path))
    assert script.main(arguments(own_stage, run, **flags)) == 2
    line = one_error_line(capsys.readouterr().err)
    named = {"pairs": "ID001/env_001", "validation_pairs": "ID003/env_002, ID003/env_004", "environments": "env_001"}
    assert f" {kind} differ: {named[kind]}" in line and "--overwrite" in line
    assert (run / LATEST).read_bytes() == before
    train(own_stage, run, **flags, overwrite=True)
