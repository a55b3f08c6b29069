"""JSON files: read with one clear error, written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

from src.utils.atomic import atomic_path
from src.utils.cli import InputError


def read_json(path: str | Path) -> object:
    """The content of a UTF-8 file, with or without a byte order mark; InputError where it is missing or broken."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(path, "no such file", "check the name") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(path, f"is not JSON ({error})", "export it again") from None


def write_json(path: Path, content: object, indent: int | None = None) -> None:
    """Write ``content`` (plain types) as UTF-8; without ``indent`` on one line."""
    text = json.dumps(content, ensure_ascii=False, indent=indent)
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:  # the name of a file in another encoding; escaped it comes back as it is
        data = json.dumps(content, indent=indent).encode("ascii")
    with atomic_path(path) as temporary:
        temporary.write_bytes(data + b"\n")
