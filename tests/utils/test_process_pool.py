"""Tasks in processes of their own: what they raise comes back as it is, and one bad job stops no other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from src.utils.cli import InputError
from src.utils.process_pool import process_count, run_in_processes


def write_square(job: tuple[Path, int]) -> None:
    folder, number = job
    if number == 3:
        raise InputError(folder / "肖像: 3.png", "is broken: cut off", "copy it again")
    if number == 5:
        raise InputError("5.png", "is broken")
    if number == 9:
        os._exit(9)
    if number == 7:
        raise ZeroDivisionError("a bug")
    (folder / f"{number}.txt").write_text(f"{number**2} {os.getpid()} {os.environ.get('OMP_NUM_THREADS')}")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_job_stops_no_other_and_its_error_comes_back_whole(tmp_path: Path, workers: int) -> None:
    errors = run_in_processes(write_square, [(tmp_path, number) for number in (5, 1, 3, 4)], workers, "squares")
    assert [error.args for error in errors] == [
        ("5.png", "is broken", ""),
        (str(tmp_path / "肖像: 3.png"), "is broken: cut off", "copy it again"),
    ]
    written = {path.stem: path.read_text().split() for path in tmp_path.iterdir()}
    assert {name: int(square) for name, (square, *_) in written.items()} == {"1": 1, "4": 16}
    in_this_process = [int(pid) == os.getpid() for _, pid, _ in written.values()]
    assert all(in_this_process) if workers == 1 else not any(in_this_process)
    if workers == 2:
        assert {threads for *_, threads in written.values()} == {str(max(1, (os.cpu_count() or 1) // 2))}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bug_is_raised_as_it_is(tmp_path: Path, workers: int) -> None:
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run_in_processes(write_square, [(tmp_path, 7), (tmp_path, 1)], workers, "squares")


def test_a_process_that_is_killed_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--workers: a process was ended from outside.* give fewer"):
        run_in_processes(write_square, [(tmp_path, 9), (tmp_path, 1), (tmp_path, 2)], 2, "squares")


def test_windows_gets_no_more_processes_than_it_can_wait_for() -> None:
    assert process_count(96, 500, "win32") == 61
    assert process_count(96, 500, "linux") == 96
    assert process_count(96, 4, "win32") == 4
