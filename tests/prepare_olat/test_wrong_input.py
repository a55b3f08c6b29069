"""Broken captures and wrong flags: one line, and nothing half-written."""

import json
import shutil
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from prepare_olat import main
from src.utils.image_io import write_linear
from tests.prepare_olat.command import run
from tests.tiny_stage import HEIGHT, WIDTH


def test_a_bad_subject_stops_no_other(own_stage, tmp_path, capsys):
    break_truncated(own_stage)
    shutil.copytree(own_stage / "olat" / "ID001", own_stage / "olat" / "ID003")
    assert run(own_stage, tmp_path / "set") == 2
    output = capsys.readouterr()
    assert "007.exr" in output.err and "2 subjects under 3 environments" in output.out
    assert sorted(path.name for path in (tmp_path / "set" / "subjects").iterdir()) == ["ID001", "ID003"]


def break_missing_light(root: Path) -> str:
    (root / "olat" / "ID002" / "007.exr").unlink()
    return "holds 23 pictures for 24 lights (number 7 is missing)"


def break_two_sizes(root: Path) -> str:
    write_linear(root / "olat" / "ID002" / "007.exr", np.ones((5, 5, 3), np.float32))
    return "007.exr: is 5 x 5"


def break_nan(root: Path) -> str:
    picture = np.ones((HEIGHT, WIDTH, 3), np.float32)
    picture[3, 3] = np.nan
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGB": picture}).write(str(root / "olat" / "ID002" / "007.exr"))
    return "007.exr: 3 of 360 values are NaN"


def break_light_count(root: Path) -> str:
    content = json.loads((root / "olat" / "lights.json").read_text())
    (root / "olat" / "lights.json").write_text(json.dumps({"directions": content["directions"][:-2]}))
    return "holds 24 pictures for 22 lights"


def break_environment_shape(root: Path) -> str:
    write_linear(root / "envs" / "env_002.hdr", np.ones((16, 24, 3), np.float32))
    return "env_002.hdr: is 24 x 16"


def break_avif(root: Path) -> str:
    (root / "olat" / "ID002" / "007.exr").unlink()
    (root / "olat" / "ID002" / "007.avif").write_bytes(b"\0\0\0\x1cftypavif garbage")
    return "007.avif"


def break_truncated(root: Path) -> str:
    path = root / "olat" / "ID002" / "007.exr"
    path.write_bytes(path.read_bytes()[:-200])
    return "007.exr"


def break_lights(root: Path) -> str:
    (root / "olat" / "lights.json").unlink()
    return "lights.json: no such file"


def break_environments(root: Path) -> str:
    shutil.rmtree(root / "envs")
    return "envs: no such folder"


@pytest.mark.parametrize(
    "break_it",
    [
        break_missing_light,
        break_two_sizes,
        break_nan,
        break_light_count,
        break_environment_shape,
        break_avif,
        break_truncated,
        break_lights,
        break_environments,
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing_half_written(own_stage, tmp_path, capsys, break_it):
    message = break_it(own_stage)
    out = tmp_path / "set"
    assert run(own_stage, out) == 2
    error = capsys.readouterr().err
    lines = [line for line in error.replace("\r", "\n").splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and message in lines[0], error
    assert "Traceback" not in error
    assert not (out / "subjects" / "ID002").exists()
    assert not [path for path in out.rglob(".*")]  # no hidden leftovers


def test_bad_input_in_a_worker_process_is_one_line_too(own_stage, tmp_path, capsys):
    break_nan(own_stage)
    assert run(own_stage, tmp_path / "set", "--workers", "2") == 2
    assert "values are NaN" in capsys.readouterr().err
    assert not (tmp_path / "set" / "subjects" / "ID002").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out_root", "x"], "both are needed"),
        (["--out_root", "x", "--synthetic", "2", "--olat_root", "y"], "captures of its own"),
        (["--out_root", "x", "--synthetic", "2", "--shard", "0/2"], "made by one run"),
        (["--out_root", "x", "--synthetic", "0"], "above 0"),
    ],
)
def test_wrong_flags(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_too_little_memory_says_how_much_is_needed(stage, tmp_path, capsys):
    assert run(stage, tmp_path / "set", "--max_memory_gb", "1e-6") == 2
    assert "give at least" in capsys.readouterr().err
