"""Failures, interruptions and wrong input."""

import pytest

from src.inference.delit import stills as delit_stills
from src.inference.delit.delighter import Delighter
from src.utils.image_io import write_display
from tests.inference_delit.command import files, picture, run, write_video
from tests.tiny_runs import one_error_line


def test_an_unexpected_error_is_a_failure_of_its_input_alone(checkpoint, tmp_path, capsys, monkeypatch):
    for name in "ab":
        write_display(tmp_path / "in" / f"{name}.png", picture())
    original = delit_stills.write_preview

    def failing(path, environment):
        if path.name.startswith("a"):
            raise RuntimeError("out of memory")
        original(path, environment)

    monkeypatch.setattr(delit_stills, "write_preview", failing)
    assert run(checkpoint, tmp_path / "in", tmp_path / "out") == 1
    captured = capsys.readouterr()
    assert "a.png: RuntimeError: out of memory" in captured.out and "Traceback" in captured.err
    assert "a_flat_lit.png" not in files(tmp_path / "out") and "b_flat_lit.png" in files(tmp_path / "out")


def test_an_interrupted_video_leaves_nothing_under_its_name(checkpoint, tmp_path, capsys, monkeypatch):
    write_video(tmp_path / "clip.mp4", frames=12)
    calls = []

    def interrupting(self, pictures, *options, **named):
        calls.append(len(pictures))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, pictures, *options, **named)

    original = Delighter.predict
    monkeypatch.setattr(Delighter, "predict", interrupting)
    assert run(checkpoint, tmp_path / "clip.mp4", tmp_path / "out", "--batch_size", "4") == 130
    assert not [name for name in files(tmp_path / "out") if name.endswith(".mp4")]
    monkeypatch.undo()
    assert run(checkpoint, tmp_path / "clip.mp4", tmp_path / "out") == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--input", "missing"], "missing"),
        (["--checkpoint", "missing.pth"], "missing.pth"),
        (["--shard", "2/2"], "--shard"),
        (["--olat_root", "somewhere"], "--self_check"),
        (["--flat_size", "0"], "--flat_size"),
        (["--device", "abacus"], "--device"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(checkpoint, tmp_path, capsys, flags, words):
    write_display(tmp_path / "a.png", picture())
    assert run(checkpoint, tmp_path / "a.png", tmp_path / "out", *flags) == 2
    assert words in one_error_line(capsys.readouterr().err)
    assert not (tmp_path / "out").exists()
