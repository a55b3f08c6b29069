"""The section of ``benchmarks.gpu`` that runs the tests marked ``cuda``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.gpu_table import Row

TESTS = Path(__file__).resolve().parents[1] / "tests" / "cuda"


def run_tests(device: str, seconds: float, is_tiny: bool, report: Callable[[Row], None]) -> None:
    """A row for each test, with its seconds; ``is_tiny``: without those that need a compiler."""
    os.environ["TEST_DEVICE"] = device
    argv = ["-q", "-p", "no:cacheprovider", "-m", "cuda", str(TESTS), *(["-k", "not compile"] if is_tiny else [])]
    pytest.main([*argv, f"--rootdir={TESTS.parents[1]}"], plugins=[_Reporter(seconds, report)])


class _Reporter:
    """Hands on what becomes of each test, and ends the session when its time is over."""

    def __init__(self, seconds: float, report: Callable[[Row], None]) -> None:
        self._report, self._ends_at = report, time.monotonic() + seconds

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            name = report.nodeid.rpartition("::")[2]
            self._report(Row("tests", name, "s", report.duration, note=_outcome(report)))

    def pytest_runtest_logfinish(self) -> None:
        if time.monotonic() > self._ends_at:
            raise pytest.exit.Exception("its share of the time is over")


def _outcome(report: pytest.TestReport) -> str:
    if report.outcome == "passed":
        return "passed"
    if report.outcome == "skipped":
        return f"skipped: {report.longrepr[-1] if isinstance(report.longrepr, tuple) else ''}"[:200]
    crash = getattr(report.longrepr, "reprcrash", None)
    return f"FAILED: {' '.join((crash.message if crash else report.longreprtext).split())}"[:200]
