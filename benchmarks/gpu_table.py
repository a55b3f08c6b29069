"""The table of ``benchmarks.gpu``: its rows, the machine they were measured on, the file."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from src.training.logger import git_commit
from src.utils.atomic import atomic_path


class Row(NamedTuple):
    """One thing measured; ``plain`` is the same done the plain way, in the same run."""

    section: str
    case: str
    unit: str = ""
    ours: float | None = None
    plain: float | None = None
    peak_memory_mb: float | None = None  # of the GPU
    note: str = ""


def machine(device: str) -> str:
    """GPU, driver and versions, or the processor."""
    import torch

    versions = f"PyTorch {torch.__version__}, Python {platform.python_version()}"
    if device == "cpu":
        return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, no GPU; {versions}"
    card = torch.cuda.get_device_properties(device)
    memory_gb = card.total_memory / 1e9
    return f"{card.name}, {memory_gb:.0f} GB, driver {_driver()}, CUDA {torch.version.cuda}; {versions}"


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return "unknown"


def format_rows(rows: Sequence[Row]) -> str:
    """Tab-separated lines, with the ratio of ours to plain."""
    lines = []
    for row in rows:
        ratio = row.ours / row.plain if row.ours is not None and row.plain else None
        numbers = [_number(value) for value in (row.ours, row.plain, ratio, row.peak_memory_mb)]
        lines.append("\t".join([row.section, row.case, row.unit, *numbers, row.note]))
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def write_table(path: Path, command: str, machine_name: str, rows: Sequence[Row]) -> None:
    """Write all rows below a header that says how they came about."""
    head = [f"# command: {command}", f"# commit: {(git_commit() or 'unknown')[:7]}", f"# machine: {machine_name}"]
    names = "\t".join(["section", "case", "unit", "ours", "plain", "ratio", "peak_memory_mb", "note"])
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join([*head, names, format_rows(rows)]) + "\n", encoding="utf-8")
