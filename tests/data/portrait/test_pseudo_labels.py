"""Reading a set whose pixels say where and when they are from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from src.data.portrait.manifest import CLIPS, Clip, Settings, append_clip, clip_report, parse_threshold
from src.data.portrait.pseudo_labels import PseudoLabels
from src.utils.cli import InputError
from src.utils.image_io import write_display, write_linear
from src.utils.video_io import VideoWriter
from tests.data.portrait.test_manifest import CLIP

FRAMES, HEIGHT, WIDTH, TOP, LEFT, SIDE = 5, 24, 32, 4, 10, 16


def frame(index: int, channel: int) -> np.ndarray:
    """Row, column and ``40 * index + channel`` as codes, H x W x 3."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([rows, columns, np.full_like(rows, 40 * index + channel)], axis=-1).astype(np.uint8)


def write_frames(folder: Path, channel: int) -> None:
    for index in range(FRAMES):
        write_display(folder / f"{index:05d}.png", frame(index, channel).astype(np.float32) / 255)


def write_set(folder: Path, keep: str = "frames>1", **files: str) -> Clip:
    source = folder / "filmed" / "id" / "a"
    write_frames(source, 0)
    here = folder / "labels" / CLIPS / "id" / "a"
    for channel, kind in ((1, "flat_lit"), (2, "confidence")):
        write_frames(here / kind, channel)
    for index in range(FRAMES):
        write_display(here / "mask" / f"{index:05d}.png", np.full((HEIGHT, WIDTH), 0.2 * (index + 1), np.float32))
        write_linear(here / "env_frames" / f"{index:05d}.hdr", np.full((4, 8, 3), 2.0**index, np.float32))
    write_linear(here / "env.hdr", np.full((4, 8, 3), 100, np.float32))
    names = {"flat_lit": "flat_lit", "mask": "mask", "env": "env.hdr", **files}
    clip = replace(
        CLIP,
        name="id/a",
        source="id/a",
        height=HEIGHT,
        width=WIDTH,
        portrait=(TOP, LEFT, SIDE),
        shots=(0, 3),
        files=names,
        figures={"frames": FRAMES},
    )
    clip_report(folder / "labels", "id/a").touch()
    append_clip(folder / "labels" / "manifest.jsonl", clip)
    Settings(str(folder / "filmed"), (parse_threshold(keep),)).write(folder / "labels")
    return clip


def test_frames_of_one_window_belong_together(tmp_path):
    clip = write_set(tmp_path, confidence="confidence", env_frames="env_frames")
    labels = PseudoLabels(tmp_path / "labels")
    assert labels.clips == [clip]
    window = labels.read(clip, SIDE, first=2, count=3)
    inside = np.s_[TOP : TOP + SIDE, LEFT : LEFT + SIDE]
    for at, index in enumerate((2, 3, 4)):
        np.testing.assert_array_equal(window.relit[at], frame(index, 0)[inside])
        np.testing.assert_array_equal(window.flat_lit[at], frame(index, 1)[inside])
        assert np.unique(window.mask[at]) == [51 * (index + 1)]
        assert np.unique(window.environment[at]) == [2.0**index]
    assert window.confidence is not None and window.confidence.shape == (3, SIDE, SIDE)
    assert window.begins_shot.tolist() == [False, True, False]
    small = labels.read(clip, SIDE // 2)
    assert small.relit.shape == (FRAMES, SIDE // 2, SIDE // 2, 3) and small.relit[0, 0, 0, 1] in (LEFT, LEFT + 1)


def test_one_environment_holds_for_every_frame(tmp_path):
    clip = write_set(tmp_path)
    window = PseudoLabels(tmp_path / "labels").read(clip, 8, count=2)
    assert window.confidence is None
    assert window.environment.shape == (2, 4, 8, 3) and np.unique(window.environment) == [100]


def test_frames_in_a_video(tmp_path):
    clip = write_set(tmp_path, flat_lit="flat_lit.mp4")
    here = tmp_path / "labels" / CLIPS / "id" / "a"
    with VideoWriter(here / "flat_lit.mp4", 25) as video:
        for index in range(FRAMES):
            video.write(np.full((HEIGHT, WIDTH, 3), 40 * index + 20, np.uint8))
    window = PseudoLabels(tmp_path / "labels").read(clip, 8, first=1, count=3)
    np.testing.assert_allclose(window.flat_lit.mean(axis=(1, 2, 3)), [60, 100, 140], atol=3)


def test_what_is_missing_is_said(tmp_path):
    clip = write_set(tmp_path)
    labels = PseudoLabels(tmp_path / "labels", tmp_path / "elsewhere")
    with pytest.raises(InputError, match="no such clip"):
        labels.read(clip, 8)
    (tmp_path / "labels" / CLIPS / "id" / "a" / "mask" / "00004.png").unlink()
    with pytest.raises(InputError, match=r"mask.*fewer than 5 frames"):
        PseudoLabels(tmp_path / "labels").read(clip, 8)
    with pytest.raises(InputError, match="none of its 1 clips is kept by frames>9"):
        write_set(tmp_path, keep="frames>9")
        PseudoLabels(tmp_path / "labels")
