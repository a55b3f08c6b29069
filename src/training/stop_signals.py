"""Ctrl-C and SIGTERM as a wish that is met at the end of a step."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class StopSignals:
    """Context manager: the first Ctrl-C or SIGTERM sets ``requested``, a second one acts at once.

    Outside of the main thread, which alone receives signals, it does nothing.
    """

    requested = False

    def __enter__(self) -> StopSignals:
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            for name in (signal.SIGINT, signal.SIGTERM):
                self._previous[name] = signal.signal(name, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for name, handler in self._previous.items():
            signal.signal(name, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
