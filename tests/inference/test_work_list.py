"""Names of outputs: one for each input, whatever the inputs are called."""

import pytest

from src.inference import work_list
from src.inference.work_list import Job, describe_passed_over, find_jobs, find_passed_over
from src.utils.cli import InputError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def names(jobs, output_dir):
    return {job.source.name: job.prefix.relative_to(output_dir).as_posix() for job in jobs}


def test_sub_folders_are_kept_and_other_files_ignored(tmp_path):
    touch(tmp_path / "in", "b/c/x.PNG", "a.jpg", "b/clip.mov", "notes.txt", ".hidden.png", ".git/y.png", "b/a.v2.exr")
    jobs = find_jobs(tmp_path / "in", tmp_path / "out")
    assert names(jobs, tmp_path / "out") == {
        "a.jpg": "a",
        "a.v2.exr": "b/a.v2",
        "clip.mov": "b/clip",
        "x.PNG": "b/c/x",
    }
    assert [job.source.name for job in jobs if job.is_video] == ["clip.mov"]
    assert jobs[1].output("_flat_lit.png") == tmp_path / "out" / "b" / "a.v2_flat_lit.png"


def test_inputs_that_differ_in_their_suffix_get_outputs_of_their_own(tmp_path):
    touch(tmp_path / "in", "a.png", "a.jpg", "A.mp4", "b.png", "sub/a.png")
    found = find_jobs(tmp_path / "in", tmp_path / "out")
    assert sorted(job.prefix.relative_to(tmp_path / "out").as_posix() for job in found) == [
        "A_mp4",
        "a_jpg",
        "a_png",
        "b",
        "sub/a",
    ]
    touch(tmp_path / "in", "a_png.exr")
    with pytest.raises(InputError, match="rename one of them"):
        find_jobs(tmp_path / "in", tmp_path / "out")


def test_folders_of_frames(tmp_path):
    touch(tmp_path / "in", "one/0.png", "one/1.png", "two/0.exr", "clip.mp4")
    jobs = find_jobs(tmp_path / "in", tmp_path / "out", folders_are_videos=True)
    assert names(jobs, tmp_path / "out") == {"clip.mp4": "clip", "one": "one", "two": "two"}
    assert all(job.is_video for job in jobs)
    (job,) = find_jobs(tmp_path / "in" / "one", tmp_path / "out", folders_are_videos=True)
    assert job.prefix == tmp_path / "out" / "one" and job.is_video


def test_outputs_are_never_inputs(tmp_path):
    touch(tmp_path / "in", "a.png", "out/a_flat_lit.png")
    assert len(find_jobs(tmp_path / "in", tmp_path / "in" / "out")) == 1
    with pytest.raises(InputError, match="folder of the inputs"):
        find_jobs(tmp_path / "in", tmp_path / "in")


@pytest.mark.parametrize("name", ["missing.png", "notes.txt", "empty"])
def test_wrong_inputs_are_named(tmp_path, name):
    touch(tmp_path, "notes.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        find_jobs(tmp_path / name, tmp_path / "out")


def test_finished_means_all_of_them(tmp_path):
    job = Job(tmp_path / "a.png", tmp_path / "out" / "a", False)
    assert not job.has_results(["_x", "_y"])
    touch(tmp_path / "out", "a_x")
    assert not job.has_results(["_x", "_y"])
    touch(tmp_path / "out", "a_y")
    assert job.has_results(["_x", "_y"])


def test_what_is_passed_over_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(work_list, "IMAGE_SUFFIXES", (".png", ".tif"))  # as without pillow-heif
    root = tmp_path / "in"
    touch(root, "a.png", "b.HEIC", "c.tif", "d.avi", "notes.txt", ".hidden.png", "sub/e.mp4", "sub/Thumbs.db")
    touch(root / "__MACOSX", "._a.png")
    touch(root / "out", "a_env.hdr")
    assert [job.source.name for job in find_jobs(root, root / "out")] == ["a.png", "c.tif", "d.avi", "e.mp4"]
    said = describe_passed_over(find_passed_over(root, root / "out"), root)
    expected = (
        "passed over: .hidden.png, __MACOSX/, b.HEIC, notes.txt, sub/Thumbs.db; pip install pillow-heif to read HEIC"
    )
    assert said == expected
    assert find_passed_over(root / "a.png", root / "out") == [] and describe_passed_over([], root) == ""
    touch(tmp_path / "phone", "b.heic")
    with pytest.raises(InputError, match=r"no pictures and no videos \(passed over: b\.heic; pip install pillow-heif"):
        find_jobs(tmp_path / "phone", tmp_path / "out")
    many = [root / f"{index}.txt" for index in range(50)]
    assert describe_passed_over(many, root).endswith("7.txt and 42 more")
