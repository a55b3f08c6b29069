"""The command that checks a set."""

import json
import shutil

import numpy as np

from src.data.portrait.check import main as check
from src.utils.image_io import read_linear, write_linear


def test_check_prints_counts_and_draws_a_sheet(own, capsys):
    assert check([str(own)]) == 0
    out = capsys.readouterr().out
    assert "4 subjects, 4 environments, 16 pairs of 16 possible" in out and "no problems" in out
    assert "train: 3 subjects x 3 environments" in out
    assert read_linear(own / "contact_sheet.jpg").max() > 0.5


def test_check_names_every_problem(own, capsys):
    subjects = own / "subjects"
    (subjects / "ID001" / "relit" / "env_001.exr").write_bytes(b"")
    (subjects / "ID002" / "flat_lit.exr").unlink()
    shutil.copy(subjects / "ID003" / "relit" / "env_001.exr", subjects / "ID003" / "relit" / "lost.exr")
    write_linear(subjects / "ID004" / "relit" / "env_003.exr", np.ones((5, 5, 3), np.float32))
    splits = json.loads((own / "splits.json").read_text())
    splits["val"]["subjects"].append(splits["train"]["subjects"][0])
    (own / "splits.json").write_text(json.dumps(splits))
    assert check([str(own)]) == 1
    out = capsys.readouterr().out
    for wanted in (
        "env_001.exr: is empty",
        "ID002: no flat_lit",
        "ID003/lost: no environment",
        "5 x 5, others",
        "in both train and val",
        "5 problems",
    ):
        assert wanted in out


def test_sheet_of_subjects_that_share_no_environment(own, tmp_path):
    for index, folder in enumerate(sorted((own / "subjects").iterdir())):
        for number in range(1, 5):
            if number != index + 1:
                (folder / "relit" / f"env_{number:03d}.exr").unlink()
    assert check([str(own), "--contact_sheet", str(tmp_path / "sheet.png")]) == 0
    assert read_linear(tmp_path / "sheet.png").shape == (4 * 160, 2 * 160, 3)
