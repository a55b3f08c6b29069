"""The same command again: finished subjects stay, others are made, new captures under old names refused."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from src.data.portrait.splits import read_splits
from src.utils.image_io import list_images, read_linear, write_linear
from tests.prepare_olat.command import run


def test_resume_keeps_finished_and_redoes_half_written_subjects(stage, tmp_path, capsys):
    out = tmp_path / "set"
    assert run(stage, out) == 0
    finished = out / "subjects" / "ID001" / "relit" / "env_001.exr"
    stamp = finished.stat().st_mtime_ns
    half = out / "subjects" / "ID002"
    reference = read_linear(half / "relit" / "env_002.exr")
    (half / "metadata.json").unlink()
    (half / "relit" / "env_002.exr").write_bytes(b"cut off")
    (out / "subjects" / ".ID001.partial").mkdir()
    assert run(stage, out) == 0
    assert "1 of 2 subjects are finished" in capsys.readouterr().out
    assert finished.stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(read_linear(half / "relit" / "env_002.exr"), reference)


def test_other_settings_do_not_mix_into_a_finished_set(stage, tmp_path, capsys):
    out = tmp_path / "set"
    assert run(stage, out) == 0
    assert run(stage, out, "--weights", "voronoi") == 2
    assert "other settings" in capsys.readouterr().err


def brighten(path: Path, factor: float) -> None:
    write_linear(path, factor * read_linear(path))


def flat_lit(out: Path, subject: str) -> float:
    return float(read_linear(out / "subjects" / subject / "flat_lit.exr").mean())


def test_new_captures_under_old_names_are_refused_by_name_and_made_again_when_asked(own_stage, tmp_path, capsys):
    out = tmp_path / "set"
    assert run(own_stage, out) == 0
    before = {subject: flat_lit(out, subject) for subject in ("ID001", "ID002")}
    stamp = (out / "subjects" / "ID002" / "flat_lit.exr").stat().st_mtime_ns
    for path in list_images(own_stage / "olat" / "ID001"):
        if path.stem != "mask":
            brighten(path, 2)
    assert run(own_stage, out) == 2
    error = capsys.readouterr().err
    assert "ID001 was made from other captures" in error and "--overwrite" in error and "ID002" not in error
    assert run(own_stage, out, "--overwrite") == 0
    assert flat_lit(out, "ID001") == pytest.approx(2 * before["ID001"], rel=1e-3)
    assert flat_lit(out, "ID002") == before["ID002"]
    assert (out / "subjects" / "ID002" / "flat_lit.exr").stat().st_mtime_ns == stamp
    assert run(own_stage, out) == 0


def test_one_changed_picture_of_the_same_size_and_date_is_noticed(own_stage, tmp_path, capsys):
    out, path = tmp_path / "set", own_stage / "olat" / "ID002" / "mask.png"
    assert run(own_stage, out) == 0
    data, status = path.read_bytes(), path.stat()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run(own_stage, out) == 2
    assert "ID002 was made from other captures" in capsys.readouterr().err
    path.write_bytes(data)
    assert run(own_stage, out) == 0


def test_copied_captures_are_the_same(own_stage, tmp_path):
    assert run(own_stage, tmp_path / "set") == 0
    copy = Path(shutil.copytree(own_stage, tmp_path / "copy", copy_function=shutil.copyfile))
    stamp = (tmp_path / "set" / "subjects" / "ID001" / "flat_lit.exr").stat().st_mtime_ns
    assert run(copy, tmp_path / "set") == 0
    assert (tmp_path / "set" / "subjects" / "ID001" / "flat_lit.exr").stat().st_mtime_ns == stamp


def test_a_new_environment_under_an_old_name_is_refused_and_made_again_when_asked(own_stage, tmp_path, capsys):
    out, sky = tmp_path / "set", own_stage / "envs" / "env_002.hdr"
    assert run(own_stage, out) == 0
    relit = out / "subjects" / "ID001" / "relit" / "env_002.exr"
    before, size = read_linear(relit).mean(), sky.stat().st_size
    brighten(sky, 2)
    assert sky.stat().st_size == size  # only the exponents differ
    assert run(own_stage, out) == 2
    error = capsys.readouterr().err
    assert "other environments (env_002)" in error and "--overwrite" in error
    (own_stage / "envs" / "env_003.hdr").unlink()
    assert run(own_stage, out, "--overwrite") == 0
    assert read_linear(relit).mean() == pytest.approx(2 * before, rel=1e-3)
    for place in (out / "env_maps", relit.parent):
        assert sorted(path.stem for path in place.iterdir()) == ["env_001", "env_002"]


def test_another_mask_is_another_subject(stage, tmp_path, capsys):
    out = tmp_path / "set"
    assert run(stage, out) == 0
    assert run(stage, out, "--mask", "olat") == 2
    assert "ID001, ID002 were made from other captures, masks or settings" in capsys.readouterr().err
    assert run(stage, out, "--mask", "olat", "--overwrite") == 0
    assert json.loads((out / "subjects" / "ID001" / "metadata.json").read_text())["mask"] == "olat"


def test_new_subjects_do_not_move_old_ones_between_the_splits(stage, tmp_path):
    root = Path(shutil.copytree(stage, tmp_path / "stage"))
    out = tmp_path / "set"
    assert run(root, out, "--val_subjects", "ID002") == 0
    shutil.copytree(root / "olat" / "ID001", root / "olat" / "ID000")
    assert run(root, out) == 0
    splits = read_splits(out / "splits.json")
    assert splits["val"]["subjects"] == ["ID002"] and splits["train"]["subjects"] == ["ID000", "ID001"]
