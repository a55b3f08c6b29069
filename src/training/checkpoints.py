"""A run's checkpoints: the main process reads and writes them, and all processes get what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from src.training.distributed import Processes
from src.training.identity import require_same_run
from src.utils import checkpoint

LAST, BEST = "last", "best"
FILE_NAMES = {LAST: "last.ckpt", BEST: "best.ckpt"}


class Checkpoints:
    """``last`` and ``best`` of the run with ``identity``, checkpoints of ``kind`` in ``folder``."""

    def __init__(
        self,
        folder: Path,
        kind: str,
        identity: dict,
        processes: Processes,
        file_names: Mapping[str, str] = FILE_NAMES,
    ) -> None:
        self.folder, self.kind, self.identity, self.processes = folder, kind, identity, processes
        self._file_names = file_names

    def path(self, which: str) -> Path:
        return self.folder / self._file_names[which]

    def read(self, path: Path | None = None) -> dict | None:
        """What ``path`` holds, else ``last``; None where there is no ``last``. Every process must call it.

        Raises :class:`InputError`, on every process, if it cannot be read or is another run's.
        """
        return self.processes.on_main(lambda: self._read(path))

    def _read(self, path: Path | None) -> dict | None:
        if path is None and not self.path(LAST).exists():
            return None
        path = path or self.path(LAST)
        content = checkpoint.read(path, self.kind)
        require_same_run(path, content["identity"], self.identity)
        return content

    def write(self, which: str, content: dict) -> None:
        """On the main process alone."""
        checkpoint.write(self.path(which), self.kind, {"identity": self.identity, **content})
