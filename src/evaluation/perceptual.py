"""LPIPS where its weights are here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from src.utils.cli import InputError
from src.utils.metrics import load_lpips


def find_lpips(weights: Path | None, skipped: dict[str, str]) -> Callable | None:
    """LPIPS if its weights are here; if they are absent and were not asked for, the reason goes into ``skipped``."""
    try:
        return load_lpips("alex", weights)
    except InputError as error:
        if weights is not None:
            raise
        skipped["LPIPS"] = str(error)
        return None
