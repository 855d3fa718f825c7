"""Long calls of foreign code, made in a thread so that whoever waits for them can be interrupted.

For functions that let go of the interpreter's lock and cannot be cut. Who waits lets others have their
turns meanwhile, if there are any, and can be interrupted (`CallThread.pause`). An interrupted call comes to
its end, and what it has made is dropped at once; the next one waits for its turn behind it, and can be
interrupted as well. Where no thread can be started, calls are made on the spot.

Nobody waits for a thread that is not there: it outlives whatever a call raises; who waits looks after it,
because it may end where not even a function can be called for lack of memory; and a fork, which has none of
its parent's threads, starts its own.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

_Answer = TypeVar("_Answer")
_LOOK_SECONDS = 1.0
_PAUSE_SECONDS_MIN, _PAUSE_SECONDS_MAX = 0.000_5, 0.02


class _Call(Generic[_Answer]):
    """A call, to be made as long as it is `wanted`."""

    __slots__ = ("answer", "done", "error", "make", "wanted")

    def __init__(self, make: Callable[[], _Answer]) -> None:
        self.make = make
        self.answer: _Answer
        self.error: BaseException | None = None
        self.wanted = True
        self.done = threading.Lock()
        self.done.acquire()


class CallThread(Generic[_Answer]):
    """Makes calls one after the other, in a thread from the first one on.

    `pause` is how who waits does so, and may raise; None: in a system call, where signals are seen to.
    """

    def __init__(self, name: str, stack_bytes: int) -> None:
        self._name = name
        self._stack_bytes = stack_bytes
        self._calls: SimpleQueue[_Call[_Answer]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self.pause: Callable[[float], None] | None = None

    def start(self) -> bool:
        """Start the thread unless it runs; return whether it does. Signals are not for it."""
        if self._thread_lives():
            return True
        blocked = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        stack_bytes = threading.stack_size(self._stack_bytes)
        try:
            # A daemon: the end of the process does not wait for a call.
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            thread.start()
            self._thread = thread
        except RuntimeError:  # no room, or a sandbox that was closed without it
            return False
        finally:
            threading.stack_size(stack_bytes)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return True

    def answer(self, make: Callable[[], _Answer]) -> _Answer:
        """Return what `make` does, made in the thread. Raises what `make` raises."""
        if not self.start():
            return make()
        call = _Call(make)
        try:
            self._calls.put(call)
            self._await(call)
        finally:
            call.wanted = False
        if call.error is not None:
            raise call.error
        return call.answer

    def _await(self, call: _Call[_Answer]) -> None:
        seconds = _PAUSE_SECONDS_MIN
        while not call.done.acquire(timeout=_LOOK_SECONDS if self.pause is None else 0):
            if not self._thread_lives():
                raise MemoryError
            if self.pause is not None:
                self.pause(seconds)
                seconds = min(2 * seconds, _PAUSE_SECONDS_MAX)

    def _thread_lives(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        while True:
            _make(self._calls.get())


def _make(call: _Call[_Answer]) -> None:
    """Make a call. The thread keeps nothing of it."""
    try:
        if call.wanted:
            call.answer = call.make()
    except BaseException as error:  # it is who waits that it is for
        call.error = error
    finally:
        call.done.release()
