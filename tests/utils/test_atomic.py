"""A file that is written is whole, on the disk, and alone; or nothing has changed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from src.utils.atomic import atomic_folder, atomic_path


def test_parents_are_made_and_no_temporary_is_left(tmp_path):
    path = tmp_path / "a" / "b" / "ünï.txt"
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent and temporary.suffix == ".txt" and temporary != path
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_path(path) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_what_the_system_refuses_is_about_the_file_that_was_wanted(tmp_path):
    with pytest.raises(OSError, match="No space left") as full, atomic_path(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as a write does: without a name
    with pytest.raises(IsADirectoryError) as other, atomic_path(tmp_path / "a.txt") as temporary:
        temporary.mkdir()
        temporary.write_text("x")
    assert full.value.filename == other.value.filename == str(tmp_path / "a.txt")
    with pytest.raises(OSError, match=r"^of a library$"), atomic_path(tmp_path / "a.txt"):
        raise OSError("of a library")


def test_the_content_reaches_the_disk_before_the_name(tmp_path, monkeypatch):
    calls = []
    real_fsync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (calls.append("fsync"), real_fsync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("replace"), real_replace(*paths)))
    with atomic_path(tmp_path / "a") as temporary:
        temporary.write_bytes(b"x")
    assert calls == ["fsync", "replace"] + (["fsync"] if os.name != "nt" else [])


def test_a_body_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_way_stays(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError), atomic_path(tmp_path / "a") as temporary:
        temporary.write_bytes(b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    program = (
        "import os, signal, sys\n"
        "from src.utils.atomic import atomic_folder, atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == -9
    assert path.read_text() == "old"


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    final = tmp_path / "größe"
    (tmp_path / ".größe.partial" / "left over").mkdir(parents=True)
    with atomic_folder(final) as folder:
        assert not list(folder.iterdir()) and not final.exists()
        (folder / "a.txt").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["größe"]
    with pytest.raises(RuntimeError), atomic_folder(final) as folder:
        (folder / "b.txt").write_text("half")
        raise RuntimeError
    assert [path.name for path in final.iterdir()] == ["a.txt"] and len(list(tmp_path.iterdir())) == 1
    with atomic_folder(final) as folder:
        (folder / "c.txt").write_text("newer")
    assert [path.name for path in final.iterdir()] == ["c.txt"]
