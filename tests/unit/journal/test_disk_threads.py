"""Work in threads: whoever waits for it does so within bounds, and hears of its end once."""

from __future__ import annotations

import asyncio
import threading

import pytest

from journal.disk_threads import DiskThreads


@pytest.fixture
async def threads():
    running = DiskThreads("test", 2)
    yield running
    await running.close()


async def test_work_that_is_waited_for_is_done_on_return(threads):
    ends = []
    threads.submit_patiently(threading.current_thread, lambda *end: ends.append(end), 30)
    ((worker, error),) = ends
    assert error is None
    assert worker.name.startswith("test-")


async def test_error_of_work_that_is_waited_for_is_told(threads):
    ends = []
    threads.submit_patiently(lambda: 1 // 0, lambda *end: ends.append(end), 30)
    ((result, error),) = ends
    assert result is None
    assert isinstance(error, ZeroDivisionError)


async def test_end_of_work_that_takes_too_long_is_told_once_on_the_event_loop(threads):
    goes_on, ends = threading.Event(), asyncio.Queue()

    def done(result: bool, error: Exception | None) -> None:
        ends.put_nowait((result, error, threading.current_thread()))

    threads.submit_patiently(lambda: goes_on.wait(30), done, 0.001)
    assert ends.empty()
    goes_on.set()
    async with asyncio.timeout(30):
        assert await ends.get() == (True, None, threading.main_thread())
    await asyncio.sleep(0)
    assert ends.empty()


async def test_nobody_stands_still_while_something_is_late(threads):
    goes_on, ends = threading.Event(), asyncio.Queue()

    def done(result: str, error: Exception | None) -> None:
        ends.put_nowait(result)

    threads.submit_patiently(lambda: goes_on.wait(30) and "late", done, 0.001)
    threads.submit_patiently(lambda: "next", done, 30)
    assert ends.empty(), "its end comes by way of the event loop"
    async with asyncio.timeout(30):
        assert await ends.get() == "next"
        goes_on.set()
        assert await ends.get() == "late"
    threads.submit_patiently(lambda: "waited for", done, 30)
    assert ends.get_nowait() == "waited for"
