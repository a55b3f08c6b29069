"""The whole command on a tiny checkpoint."""

import sys

import numpy as np
import pytest

import export_latent
from src.utils import checkpoint
from tests.tiny_runs import one_error_line

NAMES = ["f2.pt2", "f2_config.json", "f2_state_dict.pt", "f2_ts.pt", "latent_map.npy"]


def test_any_checkpoint_gives_the_five_files(trained, tmp_path, capsys):
    for which in ("best", "last"):
        argv = ["--ckpt", str(trained / f"{which}.ckpt"), "--out_dir", str(tmp_path / which), "--device", "cpu"]
        assert export_latent.main(argv) == 0
        assert sorted(path.name for path in (tmp_path / which).iterdir()) == NAMES
        told = capsys.readouterr().out.splitlines()
        assert len(told) == 5 and all(any(name in line for line in told) for name in NAMES)


def test_the_files_are_those_that_training_exports(trained, tmp_path):
    assert export_latent.main(["--ckpt", str(trained / "best.ckpt"), "--out_dir", str(tmp_path)]) == 0
    for name in ("latent_map.npy", "f2_state_dict.pt", "f2_config.json"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()
    assert np.load(tmp_path / "latent_map.npy").shape == (11, 14, 5)


def test_bad_input_is_one_line_that_names_it(trained, tmp_path, capsys):
    whole = (trained / "best.ckpt").read_bytes()
    (tmp_path / "half.ckpt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.ckpt").touch()
    checkpoint.write(tmp_path / "delit.ckpt", "delit", {"model": {}})
    cases = {
        "nowhere.ckpt": "no such file",
        "half.ckpt": "cannot be read as a checkpoint",
        "empty.ckpt": "cannot be read as a checkpoint",
        "delit.ckpt": "a checkpoint of kind 'delit', expected 'lightmap'",
    }
    for name, problem in cases.items():
        assert export_latent.main(["--ckpt", str(tmp_path / name), "--out_dir", str(tmp_path / "out")]) == 2
        line = one_error_line(capsys.readouterr().err)
        assert f"{name}: {problem}" in line
    for name in ("f2_state_dict.pt", "latent_map.npy", "f2_ts.pt", "config.json"):
        assert export_latent.main(["--ckpt", str(trained / name), "--out_dir", str(tmp_path / "out")]) == 2
        assert name in one_error_line(capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_a_file_where_the_folder_should_be(trained, tmp_path, capsys):
    (tmp_path / "out").touch()
    assert export_latent.main(["--ckpt", str(trained / "best.ckpt"), "--out_dir", str(tmp_path / "out")]) == 2
    assert "out: a file is in the way" in one_error_line(capsys.readouterr().err)


def test_missing_flags(capsys):
    assert export_latent.main([]) == 2
    line = one_error_line(capsys.readouterr().err)
    assert "--ckpt" in line and "--out_dir" in line


@pytest.mark.skipif(sys.platform == "win32", reason="needs setrlimit")
@pytest.mark.parametrize("limit_bytes", [1000, 4000, 9000])
def test_a_disk_that_refuses(trained, tmp_path, capsys, limit_bytes):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        status = export_latent.main(["--ckpt", str(trained / "best.ckpt"), "--out_dir", str(tmp_path)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 2
    assert "File too large" in one_error_line(capsys.readouterr().err)
    for path in tmp_path.iterdir():
        assert path.name in NAMES and path.stat().st_size <= limit_bytes, "no half file"
