"""Work that overlaps: a producer and a consumer on threads of their own, with bounded queues in between."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")
_END = object()
_POLL_SECONDS = 0.1


@contextmanager
def produced(items: Iterable[Item], depth: int) -> Iterator[Iterator[Item]]:
    """``items`` computed by a thread, at most ``depth`` ahead; what it raises is raised where they are used.

    The thread has ended when the block ends, however it ends.
    """
    waiting: queue.Queue = queue.Queue(depth)
    stop = threading.Event()

    def put(item: object) -> bool:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=_POLL_SECONDS)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((_END, None))
        except BaseException as error:  # it is raised again by the one who asks for the next item
            put((_END, error))

    def consume() -> Iterator[Item]:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item

    thread = threading.Thread(target=produce, name="producer", daemon=True)
    thread.start()
    try:
        yield consume()
    finally:
        stop.set()
        thread.join()


class Consumer(Generic[Item]):
    """Context manager: ``consume(item)`` on a thread of its own for every item that is ``put``, in order.

    What it raises is raised by the next ``put`` or at the end of the block, which waits until all is consumed; when the
    block itself raises, what is waiting is dropped.
    """

    def __init__(self, consume: Callable[[Item], None], depth: int) -> None:
        self._consume = consume
        self._waiting: queue.Queue = queue.Queue(depth)
        self._error: BaseException | None = None
        self._dropping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="consumer", daemon=True)

    def __enter__(self) -> Consumer[Item]:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._dropping.set()
        self._waiting.put(_END)
        self._thread.join()
        if kind is None:
            self._raise_error()

    def put(self, item: Item) -> None:
        """Wait for a free place and hand ``item`` over."""
        self._raise_error()
        self._waiting.put(item)

    def _run(self) -> None:
        while (item := self._waiting.get()) is not _END:
            if self._dropping.is_set() or self._error is not None:
                continue
            try:
                self._consume(item)
            except BaseException as error:  # it is raised again by the thread that puts
                self._error = error

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
