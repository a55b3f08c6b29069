"""The same command again: what is done stays, what failed or changed is made."""

import os

import numpy as np

from src.utils.image_io import read_display, write_display
from src.utils.video_io import VideoReader
from tests.inference.models import write_checkpoint
from tests.inference_delit.command import STILL, files, picture, run, write_video


def test_a_folder_goes_on_after_failures_and_only_they_are_tried_again(checkpoint, tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    write_display(source / "a.png", picture())
    write_display(source / "sub" / "a.jpg", picture(1))
    (source / "broken.png").write_bytes(b"\x89PNG no more")
    (source / "sub" / "broken.mp4").write_bytes(b"nothing")
    write_video(source / "clip.mp4")
    assert run(checkpoint, source, out) == 1
    printed = capsys.readouterr().out
    assert "3 done, 0 skipped, 2 failed" in printed and printed.count("failed: ") == 2
    assert "broken.png" in printed and "broken.mp4" in printed
    assert not [name for name in files(out) if "broken" in name or "tmp" in name]
    assert {"a_flat_lit.png", "sub/a_flat_lit.png", "clip_flat_lit.mp4"} <= set(files(out))

    before = {name: (out / name).stat().st_mtime_ns for name in files(out)}
    (source / "broken.png").unlink()
    write_display(source / "broken.png", picture(2))
    assert run(checkpoint, source, out) == 1
    assert "1 done, 3 skipped, 1 failed" in capsys.readouterr().out
    assert all((out / name).stat().st_mtime_ns == at for name, at in before.items())
    (out / "a_env.hdr").unlink()
    (source / "sub" / "broken.mp4").unlink()
    assert run(checkpoint, source, out) == 0
    assert "1 done, 3 skipped, 0 failed" in capsys.readouterr().out
    assert run(checkpoint, source, out, "--overwrite") == 0
    assert "4 done, 0 skipped, 0 failed" in capsys.readouterr().out


def test_no_old_result_is_given_out_for_a_new_picture(checkpoint, tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    write_display(source / "a.png", picture())
    write_display(source / "b.png", picture(1))
    write_video(source / "clip.mp4")
    flags = ("--save_exr", "--self_check")
    assert run(checkpoint, source, out, *flags) == 0
    untouched = (out / "b_flat_lit.png").stat().st_mtime_ns
    os.utime(source / "b.png", ns=(0, 0))  # another date is not another picture
    write_display(source / "a.png", picture(2))
    write_video(source / "clip.mp4", frames=3)
    capsys.readouterr()
    assert run(checkpoint, source, out) == 0
    assert "2 done, 1 skipped" in capsys.readouterr().out
    assert (out / "b_flat_lit.png").stat().st_mtime_ns == untouched
    # Nothing of the old picture stays, whatever flags it was made with.
    assert [name for name in files(out) if name.startswith("a_")] == sorted(f"a{ending}" for ending in STILL)
    assert [name for name in files(out) if name.startswith("clip")] == [
        "clip_env_avg.hdr",
        "clip_env_frame_00000.png",
        "clip_flat_lit.mp4",
    ]
    assert VideoReader(out / "clip_flat_lit.mp4").frame_count == 3
    alone = tmp_path / "alone"
    assert run(checkpoint, source / "a.png", alone) == 0
    np.testing.assert_array_equal(read_display(out / "a_flat_lit.png"), read_display(alone / "a_flat_lit.png"))


def test_another_checkpoint_or_flag_makes_other_results(checkpoint, tmp_path, capsys):
    other = write_checkpoint(tmp_path / "other.pth", "simplified")
    write_display(tmp_path / "in" / "a.png", picture())
    write_video(tmp_path / "in" / "clip.mp4", frames=3)
    for flags, expected in (
        ([], "2 done, 0 skipped"),
        ([], "0 done, 2 skipped"),
        (["--no_crop"], "2 done, 0 skipped"),
        (["--no_crop", "--temporal", "none"], "1 done, 1 skipped"),  # nothing to a picture
        (["--no_crop", "--temporal", "none", "--flat_size", "96"], "1 done, 1 skipped"),  # nor this to a video
        (["--no_crop", "--temporal", "none", "--flat_size", "96", "--save_exr"], "1 done, 1 skipped"),
    ):
        assert run(checkpoint, tmp_path / "in", tmp_path / "out", *flags) == 0
        assert expected in capsys.readouterr().out, flags
    assert run(other, tmp_path / "in", tmp_path / "out") == 0
    assert "2 done, 0 skipped" in capsys.readouterr().out
    assert "a_env_confidence.png" not in files(tmp_path / "out")  # of the other checkpoint
    checkpoint_again = tmp_path / "copy.pth"
    checkpoint_again.write_bytes(other.read_bytes())
    assert run(checkpoint_again, tmp_path / "in", tmp_path / "out") == 0
    assert "0 done, 2 skipped" in capsys.readouterr().out


def test_a_changed_frame_makes_its_video_anew(checkpoint, tmp_path, capsys):
    for index in range(3):
        write_display(tmp_path / "in" / "take" / f"{index}.png", picture(index))
    for changed, expected in ((None, "1 done"), (None, "1 skipped"), ("1.png", "1 done")):
        if changed:
            write_display(tmp_path / "in" / "take" / changed, picture(9))
        assert run(checkpoint, tmp_path / "in", tmp_path / "out", "--frames") == 0
        assert expected in capsys.readouterr().out
