"""Manifests that were torn, written by several, or of clips made again."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.portrait.manifest import (
    CLIPS,
    Clip,
    Settings,
    append_clip,
    clip_report,
    kept,
    manifest_name,
    parse_threshold,
    read_clips,
    write_merged,
)
from src.utils.cli import InputError

CLIP = Clip(
    name="a",
    source="a.mp4",
    frames=5,
    fps="25",
    height=48,
    width=64,
    portrait=(0, 8, 48),
    shots=(0,),
    files={"flat_lit": "flat_lit.mp4", "mask": "mask.mp4", "env": "env.hdr"},
    figures={"e_warp_ratio": 1.25, "face_share": 1.0, "yaw_deg": None},
    origin={"checkpoint": "1"},
    seconds=1.0,
    finished=100.0,
)


def clip(folder, name, **changes):
    """A clip that has a folder."""
    report = clip_report(folder, name)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.touch()
    return replace(CLIP, name=name, **changes)


def test_lines_come_back_as_they_were_whoever_wrote_them(tmp_path):
    clips = [clip(tmp_path, name) for name in ("id10/über", "id9/b", "c\nd")]
    append_clip(tmp_path / manifest_name(0, 2), clips[0])
    append_clip(tmp_path / manifest_name(1, 2), clips[1])
    append_clip(tmp_path / manifest_name(0, 1), clips[2])
    expected = [clips[2], clips[1], clips[0]]  # natural order
    assert read_clips(tmp_path) == expected
    assert write_merged(tmp_path) == expected == read_clips(tmp_path)
    assert len((tmp_path / "manifest.jsonl").read_text("ascii").splitlines()) == 3


@given(st.integers(0, 10_000))
def test_a_line_torn_anywhere_costs_that_line_alone(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("set")
    path = folder / manifest_name(0, 1)
    clips = [clip(folder, name) for name in "abc"]
    append_clip(path, clips[0])
    whole = len(path.read_bytes())
    append_clip(path, clips[1])
    at = whole + cut % (len(path.read_bytes()) - whole)  # before the end of the second line
    path.write_bytes(path.read_bytes()[:at])
    left = [clips[0], clips[1]] if at == 2 * whole - 1 else [clips[0]]  # only its line break is missing
    assert read_clips(folder) == left
    append_clip(path, clips[2])
    assert read_clips(folder) == [*left, clips[2]]


def test_what_was_made_last_counts_and_what_was_deleted_does_not(tmp_path):
    new, old = (clip(tmp_path, "a", frames=frames, finished=at) for frames, at in ((7, 200.0), (5, 100.0)))
    append_clip(tmp_path / manifest_name(0, 2), new)
    append_clip(tmp_path / manifest_name(1, 2), old)
    append_clip(tmp_path / manifest_name(1, 2), replace(CLIP, name="gone"))
    (tmp_path / manifest_name(2, 3)).write_text('{"name": "x"}\n[]\nnothing\n')
    assert read_clips(tmp_path) == [new]


@pytest.mark.parametrize(
    ("text", "is_kept"),
    [
        ("e_warp_ratio<1.3", True),
        ("e_warp_ratio > 1.3", False),
        ("e_warp_ratio<1.25", False),
        ("face_share>0.99", True),
        ("yaw_deg<1e-3", True),  # not known: it does not speak against the clip
    ],
)
def test_thresholds(text, is_kept):
    assert kept([CLIP], [parse_threshold("frames>0"), parse_threshold(text)]) == ([CLIP] if is_kept else [])
    assert parse_threshold(str(parse_threshold(text))) == parse_threshold(text)


@pytest.mark.parametrize("text", ["e_warp_ratio", "e_warp_ratio=1", "e_warp_ratio<", "e_warp_ratio<1.2.3", "warp<1"])
def test_what_is_no_threshold_is_said(text):
    with pytest.raises(InputError, match="--keep"):
        parse_threshold(text)


def test_settings(tmp_path):
    with pytest.raises(InputError, match="holds no pseudo labels"):
        Settings.read(tmp_path)
    settings = Settings("/clips", (parse_threshold("cuts<1"),))
    settings.write(tmp_path)
    assert Settings.read(tmp_path) == settings
    (tmp_path / "set.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(InputError, match=r"set\.json"):
        Settings.read(tmp_path)
    assert not (tmp_path / CLIPS).exists()
