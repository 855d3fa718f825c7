from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest

from dsql import call_thread
from dsql.call_thread import CallThread
from dsql.sql.large_texts import Answer


class Cut(BaseException):
    pass


class Slow:
    """A function of foreign code that lasts as long as the test wants."""

    def __init__(self) -> None:
        self.began, self.finish = threading.Event(), threading.Event()
        self.freed: list[Any] = []

    def __call__(self, script: bytes) -> bytes:
        self.began.set()
        self.finish.wait()
        return script


class _Lock:
    """A lock whose wait is cut short, as by a signal."""

    def __init__(self, began: threading.Event) -> None:
        self._began = began

    def acquire(self, *, timeout: float) -> None:
        self._began.wait()
        raise Cut

    def release(self) -> None:
        pass


def cut_short(thread: CallThread[Any], slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a call in the thread that nobody waits for any more."""

    class AbandonedCall(call_thread._Call[Any]):
        def __init__(self, make: Any) -> None:
            super().__init__(make)
            self.done = _Lock(slow.began)  # type: ignore[assignment]

    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(call_thread, "_Call", AbandonedCall)
        thread.answer(lambda: Answer(slow(b"abandoned"), slow.freed.append))


def test_an_abandoned_call_ends_alone_and_its_memory_goes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thread, slow = CallThread[Any]("called", 1 << 20), Slow()
    cut_short(thread, slow, monkeypatch)
    assert slow.freed == []
    slow.finish.set()
    answer = thread.answer(lambda: Answer(b"NEXT", slow.freed.append))
    assert (answer.struct, slow.freed) == (b"NEXT", [b"abandoned"])


def test_a_call_that_nobody_waits_for_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    thread, slow, other = CallThread[Any]("called", 1 << 20), Slow(), Slow()
    cut_short(thread, slow, monkeypatch)
    other.began.set()
    cut_short(thread, other, monkeypatch)
    other.began.clear()
    slow.finish.set()
    thread.answer(lambda: Answer(b"NEXT", slow.freed.append))
    assert not other.began.is_set()


@pytest.mark.parametrize("error", [MemoryError, ValueError, SystemExit])
def test_what_a_call_raises_is_raised_where_it_is_waited_for(error: type[BaseException]) -> None:
    def fail() -> Answer:
        raise error

    thread = CallThread[Any]("called", 1 << 20)
    with pytest.raises(error):
        thread.answer(fail)
    assert thread.answer(lambda: Answer(b"", lambda _: None)).struct == b""


def test_a_fork_starts_a_thread_of_its_own() -> None:
    thread = CallThread[Any]("called", 1 << 20)
    assert thread.answer(lambda: "parent") == "parent"
    child = os.fork()
    if not child:
        try:
            signal.alarm(20)
            os._exit(thread.answer(lambda: 7))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_nobody_waits_for_a_thread_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_thread, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(CallThread, "_run", lambda thread: thread._calls.get())
    with pytest.raises(MemoryError):
        CallThread[Any]("called", 1 << 20).answer(lambda: "never")
