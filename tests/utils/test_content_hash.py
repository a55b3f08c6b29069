from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from src.utils import content_hash as module
from src.utils.cli import InputError
from src.utils.content_hash import combined_hash, content_hash, content_hashes, file_stamp, is_same, record_files


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{index}.bin" for index in range(5)]
    for index, path in enumerate(paths):
        path.write_bytes(bytes([index]) * 1000)
    return paths


def test_a_hash_is_the_sha256_of_the_bytes(files: list[Path]) -> None:
    assert content_hash(files[3]) == hashlib.sha256(b"\3" * 1000).hexdigest()[:32]
    assert content_hashes(files) == [hashlib.sha256(bytes([k]) * 1000).hexdigest()[:32] for k in range(5)]


def test_copies_and_new_dates_change_no_hash(files: list[Path], tmp_path: Path) -> None:
    before = record_files(files)
    for path in files:
        os.utime(path, ns=(0, 0))
    copies = [Path(shutil.copy(path, tmp_path / f"copy_{path.name}")) for path in files]
    assert is_same(before, files)
    assert is_same(before, copies)


def test_another_content_of_the_same_size_and_date_is_noticed(files: list[Path]) -> None:
    before = record_files(files)
    status = files[2].stat()
    files[2].write_bytes(b"\7" * 1000)
    os.utime(files[2], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not is_same(before, files)


def test_order_and_number_of_files_count(files: list[Path]) -> None:
    before = record_files(files)
    assert not is_same(before, files[::-1])
    assert not is_same(before, files[:4])
    assert not is_same(None, files)


def test_unchanged_files_are_not_read_again(files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memo, read = tmp_path / "memo.json", []
    first = content_hashes(files, memo)
    files[1].write_bytes(b"new")
    monkeypatch.setattr(module, "content_hash", lambda path: read.append(path) or content_hash(path))
    second = content_hashes(files, memo)
    assert read == [files[1]]
    assert second == [first[0], hashlib.sha256(b"new").hexdigest()[:32], *first[2:]]
    memo.write_text('{"cut of')
    assert content_hashes(files, memo) == second


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    for function in (content_hash, file_stamp):
        with pytest.raises(InputError, match=r"gone\.bin: no such file"):
            function(tmp_path / "gone.bin")


def test_parts_do_not_run_into_one_another() -> None:
    assert combined_hash(["a", "bc"]) != combined_hash(["ab", "c"])
