"""Where real data lies that is not part of the project; tests that use it skip when it is absent."""

from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared"
