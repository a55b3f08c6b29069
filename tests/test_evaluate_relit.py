"""``evaluate.py relit`` as a whole command."""

import json
from pathlib import Path

import numpy as np
import pytest

import evaluate
from src.utils.image_io import read_display
from src.utils.video_io import VideoWriter
from tests.inference.models import write_checkpoint
from tests.inference.relit_models import write_relit_checkpoint
from tests.tiny_runs import one_error_line
from tests.tiny_stage import write_set, write_stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory) -> Path:
    root = write_stage(tmp_path_factory.mktemp("stage"), subjects=3, environments=3)
    write_set(root, "--val_subjects", "1", "--val_envs", "2")
    write_relit_checkpoint(root / "relit.pth")
    return root


def test_models_beside_references_with_turned_light_and_the_circle(stage, tmp_path, capsys):
    delit = write_checkpoint(tmp_path / "delit.pth")
    flags = ["--data_root", str(stage / "set"), "--checkpoint", str(stage / "relit.pth"), "--image_size", "32"]
    flags += ["--olat_root", str(stage / "olat"), "--delit_checkpoint", str(delit)]
    report, sheet = tmp_path / "report.json", tmp_path / "worst.png"
    assert evaluate.main(["relit", *flags, "--json", str(report), "--contact_sheet", str(sheet)]) == 0
    rows = json.loads(report.read_text())["rows"]
    assert [row["kind"] for row in rows] == ["model", "control", *["reference"] * 3]
    assert all(len(row["pairs"]) == 2 for row in rows)
    means = [row["mean"] for row in rows]
    assert {"psnr_db", "ssim", "turned_psnr_db", "linearity_error", "cycle_diffuse_angular_deg"} <= means[0].keys()
    assert means[4]["psnr_db"] > means[2]["psnr_db"] + 3  # balls have the normals of their OLATs
    assert means[4]["turned_psnr_db"] > means[2]["turned_psnr_db"] + 3
    printed = capsys.readouterr().out
    assert "SH-2, normals of the OLATs" in printed and "Relit and delighted again" in printed
    assert read_display(sheet).std() > 0


def test_videos_alone(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in ("clip.mp4", "clip_relit.mp4"):
        with VideoWriter(tmp_path / name, 25) as video:
            frame = rng.random((48, 64, 3))
            for _ in range(3):
                video.write(frame)
    assert evaluate.main(["relit", "--videos", str(tmp_path)]) == 0
    assert "| clip " in capsys.readouterr().out


def test_wrong_input_is_one_line(stage, tmp_path, capsys):
    assert evaluate.main(["relit"]) == 2
    assert "--data_root: nothing to measure" in one_error_line(capsys.readouterr().err)
    assert evaluate.main(["relit", "--videos", str(tmp_path)]) == 2
    assert "holds no NAME_relit.mp4" in one_error_line(capsys.readouterr().err)
    for flag in ("--checkpoint", "--delit_checkpoint", "--olat_root"):
        assert evaluate.main(["relit", "--videos", str(tmp_path), flag, "given"]) == 2
        assert f"{flag}: needs pairs to be measured on" in one_error_line(capsys.readouterr().err)
