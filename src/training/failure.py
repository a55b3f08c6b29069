"""The end of one process is the end of all, with one line each, instead of a wait for a peer that is gone."""

from __future__ import annotations

import os
import sys
import threading
import time

import torch.distributed as dist

from src.utils.cli import EXIT_WRONG_INPUT, InputError, describe_os_error

_FAILED, _HEARD = "failed", "heard"
POLL_SECONDS = 0.2
GRACE_SECONDS = 10.0  # for a process to end by itself, and for the others to hear of it
SILENCE_SECONDS = 3.0  # after which a lost peer is taken to have said nothing


def failure_line(error: BaseException) -> str:
    """What is to be said of ``error`` on other processes."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError):
        return str(describe_os_error(error))
    if isinstance(error, KeyboardInterrupt):
        return "interrupted: run the same command again to continue"
    return f"{type(error).__name__}: {error}"


def is_lost_peer(error: BaseException) -> bool:
    """Whether ``error`` is that of a collective whose other side is gone."""
    return isinstance(error, RuntimeError) and any(name in str(error).lower() for name in ("gloo", "nccl"))


class FailureWatch:
    """Listens on the processes' common ``store`` for the failure of another one.

    Where a collective does not notice that a peer is gone (nccl), the process is ended with the line after
    ``GRACE_SECONDS``.
    """

    def __init__(self, store: dist.Store, rank: int, count: int) -> None:
        # A connection of its own: another thread may wait on the first for long.
        self._store = store.clone() if hasattr(store, "clone") else store
        self._rank, self._count = rank, count
        self._line: str | None = None
        self._heard, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join(GRACE_SECONDS)

    def tell(self, error: BaseException) -> None:
        """Let the others know of this process's failure, and wait until they do."""
        self._closed.set()
        self._thread.join(GRACE_SECONDS)
        try:
            self._store.compare_set(_FAILED, "", f"process {self._rank}: {failure_line(error)}")  # the first one counts
            self._store.add(_HEARD, 1)
            for _ in range(round(GRACE_SECONDS / POLL_SECONDS)):
                if self._store.add(_HEARD, 0) >= self._count:
                    break
                time.sleep(POLL_SECONDS)
        except RuntimeError:
            pass  # the process that keeps the store is gone, and with it whoever could listen

    def other_failure(self) -> InputError:
        """What another process said at its end; to be asked when a peer is lost."""
        self._heard.wait(SILENCE_SECONDS)
        if self._line is not None:
            return InputError(self._line)
        return InputError("process group", "another process ended without a word", "see its output, then run again")

    def _listen(self) -> None:
        while not self._closed.wait(POLL_SECONDS):
            try:
                if not self._store.check([_FAILED]):
                    continue
                self._line = self._store.get(_FAILED).decode()
                self._store.add(_HEARD, 1)
            except RuntimeError:
                pass  # with the store its keeper is gone
            self._heard.set()
            if not self._closed.wait(GRACE_SECONDS):
                print(f"error (rank {self._rank}): {self.other_failure()}", file=sys.stderr, flush=True)
                os._exit(EXIT_WRONG_INPUT)
            return
