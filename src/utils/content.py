"""What files hold, as short digests: tells whether they are the same as before, whatever their names and times."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from src.utils.cli import describe_os_error

DIGEST_BYTES = 8
_BLOCK_BYTES = 1 << 20
_THREADS = 4


def digest(path: str | Path) -> str:
    """Sixteen hexadecimal digits for the content of a file. Raises :class:`InputError` if it cannot be read."""
    content = hashlib.blake2b(digest_size=DIGEST_BYTES)
    try:
        with open(path, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                content.update(block)
    except OSError as error:
        raise describe_os_error(error, path) from error
    return content.hexdigest()


def digests(files: Sequence[Path], root: Path | None = None) -> dict[str, str]:
    """``{name: digest}`` of ``files``, by their names, or by their paths in ``root``; with a bar when it takes long."""
    names = [file.name if root is None else file.relative_to(root).as_posix() for file in files]
    with ThreadPoolExecutor(_THREADS) as pool:
        found = tqdm(pool.map(digest, files), "comparing files", len(files), unit="file", delay=2.0, leave=False)
        return dict(zip(names, found, strict=True))
