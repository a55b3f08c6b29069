"""What files hold, as short texts: how a new file under an old name is noticed.

A hash is of a file's bytes alone, so a copy, a move or a new date changes nothing. Where hashing again and again would
be slow, a file whose size and times are what they were counts as unchanged.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from src.utils.atomic import atomic_path
from src.utils.cli import InputError, describe_os_error

_BLOCK_BYTES = 2**20
_MOST_THREADS = 8  # hashing leaves the interpreter lock alone


def content_hash(path: str | Path) -> str:
    """32 hexadecimal digits of the SHA-256 of a file's bytes; InputError where it cannot be read."""
    try:
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
        return digest.hexdigest()[:32]
    except FileNotFoundError:
        raise InputError(path, "no such file", "check the name") from None
    except OSError as error:
        raise describe_os_error(error, path) from error


def content_hashes(paths: Sequence[Path], memo: Path | None = None) -> list[str]:
    """:func:`content_hash` of every file, in order.

    ``memo``: a file of what was hashed before; a file of the same path, size and times is not read again.
    """
    known = _read_memo(memo)
    names = [str(path.resolve()) for path in paths]
    stamps = [file_stamp(path) for path in paths]
    fresh = [index for index, name in enumerate(names) if known.get(name, [None])[0] != stamps[index]]
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        hashes = pool.map(content_hash, [paths[index] for index in fresh])
        known.update((names[index], [stamps[index], value]) for index, value in zip(fresh, hashes, strict=True))
    if memo is not None and fresh:
        with atomic_path(memo) as temporary:
            temporary.write_text(json.dumps(known), encoding="utf-8")
    return [known[name][1] for name in names]


def combined_hash(parts: Iterable[object]) -> str:
    """32 hexadecimal digits that change when any part's ``repr``, or their order, changes."""
    return hashlib.sha256(repr(list(parts)).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def file_stamp(path: str | Path) -> str:
    """Size, time of the last write and time of the last change of any kind (on Windows: of its making).

    The third cannot be set back: a file that is replaced by one of the same size and date has another stamp.
    Raises InputError where there is no such file.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise InputError(path, "no such file", "check the name") from None
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def record_files(paths: Sequence[Path], known: object = None) -> dict[str, str]:
    """What :func:`is_same` compares files with later: plain text, to be stored beside what was made of them.

    ``known``: an earlier record; only where a size or time differs from it are the files read.
    """
    stamp = combined_hash(map(file_stamp, paths))
    if isinstance(known, dict) and known.get("stamp") == stamp and "content" in known:
        return known
    return {"stamp": stamp, "content": combined_hash(content_hashes(paths))}


def is_same(record: object, paths: Sequence[Path]) -> bool:
    """Whether the files hold what those of :func:`record_files` held; they are read only where a date differs."""
    return isinstance(record, dict) and record.get("content") == record_files(paths, record)["content"]


def _read_memo(memo: Path | None) -> dict[str, list[str]]:
    """Empty where there is none, or one that was cut off: then all is hashed again."""
    try:
        return {} if memo is None else dict(json.loads(memo.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
