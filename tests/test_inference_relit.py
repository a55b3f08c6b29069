"""``inference_relit.py`` as a whole command: stills, turntables, videos, backgrounds, and what goes wrong."""

from pathlib import Path

import numpy as np
import pytest

import inference_relit as script
from src.utils.image_io import read_linear, write_display, write_linear
from src.utils.video_io import VideoReader, VideoWriter
from tests.inference.models import write_checkpoint
from tests.inference.relit_models import write_relit_checkpoint
from tests.tiny_runs import one_error_line


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A portrait, its mask, a clip, an environment, both checkpoints."""
    root = tmp_path_factory.mktemp("relit")
    rng = np.random.default_rng(0)
    picture = rng.uniform(0.2, 0.7, (48, 64, 3)).astype(np.float32)
    write_display(root / "face.png", picture)
    mask = np.zeros((48, 64), np.float32)
    mask[8:40, 16:48] = 1
    write_display(root / "mask.png", mask)
    write_linear(root / "env.hdr", rng.gamma(0.4, 2.0, (16, 32, 3)).astype(np.float32))
    write_linear(root / "white.exr", np.ones((8, 16, 3), np.float32))
    write_linear(root / "black.hdr", np.zeros((8, 16, 3), np.float32))
    write_display(root / "sky.png", rng.random((8, 16, 3), np.float32))
    with VideoWriter(root / "clip.mp4", 25) as video:
        for shift in range(5):
            video.write(np.roll(picture, shift, axis=1))
    write_relit_checkpoint(root / "relit.pth")
    write_checkpoint(root / "delit.pth")
    return root


def run(files: Path, out: Path, *flags: object, source: str = "--flat_lit", name: str = "face.png") -> int:
    checkpoints = ["--checkpoint", files / "relit.pth", "--delit_checkpoint", files / "delit.pth"]
    argv = [source, files / name, "--out", out, *checkpoints, "--no_crop", "--device", "cpu", *flags]
    return script.main([str(word) for word in argv])


def test_uniform_light_gives_flat_lit_and_radiance_is_that_of_the_light(files, tmp_path):
    assert run(files, tmp_path / "one.exr", "--env", files / "white.exr") == 0
    np.testing.assert_allclose(read_linear(tmp_path / "one.exr"), read_linear(files / "face.png"), atol=2e-3)
    for name, factor in (("one.exr", 1), ("three.exr", 3)):
        flags = ["--env", files / "env.hdr", "--background", "black", "--exposure", factor]
        assert run(files, tmp_path / name, *flags) == 0
    one, three = (read_linear(tmp_path / name) for name in ("one.exr", "three.exr"))
    np.testing.assert_allclose(three, 3 * one, rtol=5e-3, atol=1e-3)


def test_the_person_is_as_bright_as_flat_lit_where_it_is_shown(files, tmp_path):
    assert run(files, tmp_path / "a.png", "--env", files / "env.hdr", "--mask", files / "mask.png") == 0
    relit, flat = read_linear(tmp_path / "a.png"), read_linear(files / "face.png")
    assert relit[8:40, 16:48].mean() == pytest.approx(flat[8:40, 16:48].mean(), rel=0.25)  # some of it clips
    np.testing.assert_allclose(relit[:8], flat[:8], atol=5e-3)


def test_a_turntable_is_a_video_or_a_folder_of_radiance(files, tmp_path, capsys):
    flags = ["--env", files / "env.hdr", "--env_rotation", "0:360:90", "--background", "env"]
    assert run(files, tmp_path / "turn.mp4", *flags, "--fps", 10) == 0
    assert run(files, tmp_path / "turn", *flags) == 0
    assert "4 pictures" in capsys.readouterr().out
    frames = list(VideoReader(tmp_path / "turn.mp4"))
    assert len(frames) == 4 and VideoReader(tmp_path / "turn.mp4").fps == 10
    pictures = [read_linear(path) for path in sorted((tmp_path / "turn").glob("*.exr"))]
    assert [p.shape for p in pictures] == [(48, 64, 3)] * 4
    assert np.abs(pictures[0] - pictures[2]).mean() > 0.01
    # Half a turn and another half are no turn.
    assert run(files, tmp_path / "whole", "--env", files / "env.hdr", "--env_rotation", "360,720") == 0
    again = read_linear(tmp_path / "whole" / "00001.exr")
    np.testing.assert_array_equal(again, read_linear(tmp_path / "whole" / "00000.exr"))


def test_a_video_keeps_its_frames_and_may_turn_its_light(files, tmp_path):
    assert run(files, tmp_path / "clip.mp4", "--env", files / "env.hdr", name="clip.mp4") == 0
    assert (
        run(files, tmp_path / "turning", "--env", files / "env.hdr", "--env_rotation", "0:360:72", name="clip.mp4") == 0
    )
    assert len(list(VideoReader(tmp_path / "clip.mp4"))) == 5
    assert len(list((tmp_path / "turning").glob("*.exr"))) == 5


def test_photos_and_clips_are_delighted_first_and_lend_their_light(files, tmp_path):
    light = ["--light_from", files / "face.png"]
    assert run(files, tmp_path / "photo.png", *light, "--background", "#204060", source="--input") == 0
    assert read_linear(tmp_path / "photo.png").std() > 0
    assert run(files, tmp_path / "clip.mp4", *light, source="--input", name="clip.mp4") == 0
    assert len(list(VideoReader(tmp_path / "clip.mp4"))) == 5


def test_a_picture_fills_the_background(files, tmp_path):
    wide = np.zeros((30, 200, 3), np.float32)
    wide[:, 80:120] = [0.0, 1.0, 0.0]
    write_display(tmp_path / "wide.png", wide)
    flags = ["--env", files / "env.hdr", "--mask", files / "mask.png", "--background", tmp_path / "wide.png"]
    assert run(files, tmp_path / "a.exr", *flags) == 0
    np.testing.assert_allclose(read_linear(tmp_path / "a.exr")[2, 20:44], [[0, 1, 0]] * 24, atol=1e-3)


def test_light_of_a_picture_of_codes_is_taken_with_a_warning(files, tmp_path):
    with pytest.warns(UserWarning, match=r"sky\.png: codes end at white, so that lamps and the sun are too dim in it"):
        assert run(files, tmp_path / "a.png", "--env", files / "sky.png") == 0
    assert (tmp_path / "a.png").is_file()


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--env", "{files}/none.hdr"], "none.hdr: no such file"),
        (["--env", "{files}/black.hdr"], "black.hdr: is black: give an environment with light in it"),
        (
            ["--env", "{files}/face.png"],
            "face.png: is 64 x 48: an equirectangular environment is twice as wide",
        ),
        (["--env", "{files}/env.hdr", "--env_rotation", "0:10"], "--env_rotation: '0:10' is not start:stop:step"),
        (["--env", "{files}/env.hdr", "--env_rotation", "0,90"], "--out: a.png cannot hold a video or a turntable"),
        (["--env", "{files}/env.hdr", "--background", "blau"], "--background: 'blau' is neither keep, env, a colour"),
        (["--env", "{files}/env.hdr", "--mask", "{files}/white.exr"], "white.exr: is 16 x 8, face.png is 64 x 48"),
        (["--env", "{files}/env.hdr", "--checkpoint", "{files}/delit.pth"], "a checkpoint of kind 'delit'"),
        (["--env", "{files}/env.hdr", "--exposure", "-1"], "--exposure: "),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(files, tmp_path, capsys, flags, line):
    assert run(files, tmp_path / "a.png", *(flag.format(files=files) for flag in flags)) == 2
    assert line in one_error_line(capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []
