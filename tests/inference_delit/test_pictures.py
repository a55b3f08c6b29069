"""Pictures of every kind, and what comes of each."""

import json

import numpy as np
import pytest

import inference_delit
from src.models import shipped
from src.utils.color import linear_to_srgb
from src.utils.image_io import image_size, read_alpha, read_display, read_linear, write_display, write_linear
from tests.inference.models import write_checkpoint
from tests.inference_delit.command import STILL, files, picture, run, write_video
from tests.tiny_runs import one_error_line
from tests.tiny_stage import write_stage


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".exr", ".hdr", ".webp"])
def test_every_kind_of_picture(checkpoint, tmp_path, suffix):
    source = tmp_path / f"porträt{suffix}"
    if suffix == ".webp":
        from PIL import Image

        Image.fromarray((picture() * 255).astype(np.uint8)).save(source)
    else:
        write_linear(source, picture())
    assert run(checkpoint, source, tmp_path / "out", "--save_exr") == 0
    assert files(tmp_path / "out") == sorted("porträt" + ending for ending in [*STILL, "_flat_lit.exr"])
    linear = read_linear(tmp_path / "out" / "porträt_flat_lit.exr")
    shown = read_display(tmp_path / "out" / "porträt_flat_lit.png")
    np.testing.assert_allclose(shown, linear_to_srgb(linear), atol=0.006)
    assert image_size(tmp_path / "out" / "porträt_flat_lit.png") == (72, 60)
    assert read_linear(tmp_path / "out" / "porträt_env.hdr").shape == (16, 32, 3)
    assert image_size(tmp_path / "out" / "porträt_env_confidence.png") == (16, 32)
    assert not np.allclose(linear, read_linear(source), atol=0.02)


def test_the_first_command_needs_nothing_but_a_picture(checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shipped, "SHIPPED", {"delit": checkpoint})
    write_linear(tmp_path / "photo.png", picture())
    assert inference_delit.main(["--input", "photo.png"]) == 0
    assert files(tmp_path / "out") == ["photo" + ending for ending in STILL]
    monkeypatch.setattr(shipped, "SHIPPED", {"delit": tmp_path / "delit.pth"})
    capsys.readouterr()
    assert inference_delit.main(["--input", "photo.png"]) == 2
    assert "--checkpoint: the default" in one_error_line(capsys.readouterr().err)


def test_alpha_is_kept_and_what_it_hides_is_not_looked_at(checkpoint, tmp_path):
    alpha = np.ones((72, 60), np.float32)
    alpha[:, :20] = 0
    hidden = picture()
    hidden[:, :20] = picture(1)[:, :20]
    for name, content in (("a", picture()), ("b", hidden)):
        write_display(tmp_path / "in" / f"{name}.png", content, alpha=alpha)
    assert run(checkpoint, tmp_path / "in", tmp_path / "out", "--save_exr") == 0
    for ending in ("_flat_lit.png", "_flat_lit.exr"):
        np.testing.assert_array_equal(read_alpha(tmp_path / "out" / f"a{ending}"), alpha)
    first, second = (read_linear(tmp_path / "out" / f"{name}_flat_lit.exr") for name in "ab")
    np.testing.assert_array_equal(first[:, 20:], second[:, 20:])
    assert (tmp_path / "out" / "a_env.hdr").read_bytes() == (tmp_path / "out" / "b_env.hdr").read_bytes()


def test_a_model_without_confidence_and_mask(tmp_path):
    checkpoint = write_checkpoint(tmp_path / "simplified.pth", "simplified")
    write_display(tmp_path / "a.png", picture())
    assert run(checkpoint, tmp_path / "a.png", tmp_path / "out") == 0
    assert files(tmp_path / "out") == ["a_env.hdr", "a_env_preview.png", "a_flat_lit.png"]


@pytest.mark.parametrize("exposure", ["keep", "predicted"])
def test_brightness_is_the_pictures_or_the_models_and_how_sure_it_is_is_drawn(tmp_path, exposure):
    checkpoint = write_checkpoint(tmp_path / "sure.pth", flat_confidence=True)
    write_display(tmp_path / "a.png", picture())
    flags = [] if exposure == "keep" else ["--exposure", exposure]
    assert run(checkpoint, tmp_path / "a.png", tmp_path / "out", "--self_check", *flags) == 0
    assert files(tmp_path / "out") == sorted("a" + end for end in [*STILL, "_flat_confidence.png", "_report.json"])
    factor = json.loads((tmp_path / "out" / "a_report.json").read_text())["flat_lit_exposure"]
    assert (factor == 1.0) == (exposure == "predicted")
    confidence = read_display(tmp_path / "out" / "a_flat_confidence.png")
    assert confidence.shape[:2] == (72, 60) and 0 < confidence.min() < confidence.max() <= 1


def test_self_check_by_olats_and_by_shading(checkpoint, tmp_path):
    stage = write_stage(tmp_path / "stage", subjects=1, lights=12, environments=1) / "olat"
    write_linear(tmp_path / "in" / "ID001" / "env.exr", 5 * read_linear(stage / "ID001" / "003.exr"))
    write_display(tmp_path / "in" / "other.png", picture())
    write_video(tmp_path / "in" / "clip.mp4", frames=9, fps=4)
    assert run(checkpoint, tmp_path / "in", tmp_path / "out", "--self_check", "--olat_root", stage) == 0
    by_olats = json.loads((tmp_path / "out" / "ID001" / "env_report.json").read_text("utf-8"))
    assert by_olats["method"] == "olat" and by_olats["log_rmse"] > 0 and np.isfinite(by_olats["psnr_db"])
    by_shading = json.loads((tmp_path / "out" / "other_report.json").read_text("utf-8"))
    assert by_shading["method"] == "sh" and -1 <= by_shading["correlation"] <= 1
    of_video = json.loads((tmp_path / "out" / "clip_report.json").read_text("utf-8"))
    assert [frame["frame"] for frame in of_video["frames"]] == [0, 4, 8]
    assert of_video["mean_correlation"] == pytest.approx(np.mean([f["correlation"] for f in of_video["frames"]]))


def test_a_mask_that_is_given_says_what_changes(checkpoint, tmp_path, capsys):
    write_display(tmp_path / "a.png", picture())
    mask = np.zeros((72, 60))
    mask[:, 30:] = 1
    write_display(tmp_path / "mask.png", mask)
    flags = ("--no_crop", "--exposure", "predicted", "--mask", tmp_path / "mask.png")
    assert run(checkpoint, tmp_path / "a.png", tmp_path / "out", *flags) == 0
    difference = np.abs(read_display(tmp_path / "out" / "a_flat_lit.png") - read_display(tmp_path / "a.png"))
    assert difference[:, :30].max() < 0.01 and difference[:, 30:].mean() > 0.02
    write_display(tmp_path / "mask.png", 1 - mask)  # another mask under the same name
    assert run(checkpoint, tmp_path / "a.png", tmp_path / "out", *flags) == 0
    difference = np.abs(read_display(tmp_path / "out" / "a_flat_lit.png") - read_display(tmp_path / "a.png"))
    assert difference[:, 30:].max() < 0.01
    capsys.readouterr()
    assert run(checkpoint, tmp_path / "a.png", tmp_path / "new", "--mask", tmp_path / "missing.png") == 2
    assert "missing.png: no such file" in one_error_line(capsys.readouterr().err)
