"""What the `threading` and `queue` modules make in a simulated process: threads of the world."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable
from typing import Any

from .world import Thread, running


def _wait_among(waiting: deque[Thread], timeout: float | None) -> bool:
    """Wait to be taken out of `waiting` and woken; return False if the time was over before that.

    May return early. Nobody stays behind in the queue: he would take a wake-up that others need.
    """
    thread = running()
    assert thread is not None
    waiting.append(thread)
    woken = thread.wait(timeout)
    if thread not in waiting:
        return True
    waiting.remove(thread)
    return woken or timeout is None


class SimulatedThread:
    """threading.Thread."""

    def __init__(
        self,
        group: None = None,
        target: Callable[..., None] = lambda: None,
        name: str = "thread",
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        daemon: bool | None = None,
    ) -> None:
        del group
        self.name = name
        self.daemon = bool(daemon)
        self._work = lambda: target(*args, **(kwargs or {}))
        self._thread: Thread | None = None

    def start(self) -> None:
        thread = running()
        assert thread is not None
        self._thread = thread.process.spawn(self._work, self.name)

    def join(self, timeout: float | None = None) -> None:
        if running() is not None and self._thread is not None:
            self._thread.join(timeout)

    def is_alive(self) -> bool:
        return self._thread is not None and not self._thread.ended


class SimulatedLock:
    """threading.Lock."""

    def __init__(self) -> None:
        self._held = False
        self._waiting: deque[Thread] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        while self._held:
            if not blocking or running() is None:
                return False
            if not _wait_among(self._waiting, None if timeout < 0 else timeout):
                return False
        self._held = True
        return True

    def release(self) -> None:
        if not self._held:
            raise RuntimeError("release unlocked lock")
        self._held = False
        if self._waiting:
            self._waiting.popleft().wake()

    def locked(self) -> bool:
        return self._held

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class SimulatedRLock(SimulatedLock):
    """threading.RLock."""

    def __init__(self) -> None:
        super().__init__()
        self._owner: Thread | None = None
        self._depth = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if self._owner is not running() or not self._depth:
            if not super().acquire(blocking, timeout):
                return False
            self._owner = running()
        self._depth += 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if not self._depth:
            super().release()

    def _is_owned(self) -> bool:
        """Answer threading.Condition."""
        return bool(self._depth) and self._owner is running()


class SimulatedEvent:
    """threading.Event."""

    def __init__(self) -> None:
        self._set = False
        self._waiting: deque[Thread] = deque()

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        for thread in self._waiting:
            thread.wake()
        self._waiting.clear()

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        while not self._set:
            if not _wait_among(self._waiting, timeout):
                break
        return self._set


class SimulatedQueue:
    """queue.SimpleQueue."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._waiting: deque[Thread] = deque()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        self._items.append(item)
        if self._waiting:
            self._waiting.popleft().wake()

    put_nowait = put

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        while not self._items:
            if not block:
                raise queue.Empty
            if not _wait_among(self._waiting, timeout):
                raise queue.Empty
        return self._items.popleft()

    def get_nowait(self) -> Any:
        return self.get(block=False)

    def empty(self) -> bool:
        return not self._items

    def qsize(self) -> int:
        return len(self._items)
