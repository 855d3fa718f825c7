from __future__ import annotations

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

    def acquire(self) -> None:
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
        thread.answer(lambda: Answer(slow, slow.freed.append, b"abandoned"))


def test_an_abandoned_call_ends_alone_and_its_memory_goes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thread, slow = CallThread[Any]("called", 1 << 20), Slow()
    cut_short(thread, slow, monkeypatch)
    assert slow.freed == []
    slow.finish.set()
    answer = thread.answer(lambda: Answer(bytes.upper, slow.freed.append, b"next"))
    assert (answer.struct, slow.freed) == (b"NEXT", [b"abandoned"])


def test_a_call_that_nobody_waits_for_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    thread, slow, other = CallThread[Any]("called", 1 << 20), Slow(), Slow()
    cut_short(thread, slow, monkeypatch)
    other.began.set()
    cut_short(thread, other, monkeypatch)
    other.began.clear()
    slow.finish.set()
    thread.answer(lambda: Answer(bytes.upper, slow.freed.append, b"next"))
    assert not other.began.is_set()


def test_without_room_for_its_answer_a_call_raises_memory_error() -> None:
    def fail() -> Answer:
        raise MemoryError

    thread = CallThread[Any]("called", 1 << 20)
    with pytest.raises(MemoryError):
        thread.answer(fail)
    assert thread.answer(lambda: Answer(bytes, lambda _: None, b"")).struct == b""
