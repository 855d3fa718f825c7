from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading

import pytest

from dsql.rpc.process import GONE, condition_of, watch_death


def test_condition_of_a_process_is_read_from_the_kernel() -> None:
    assert condition_of(os.getpid()).state == "R"
    assert condition_of(1 << 22) == GONE


def test_process_that_a_signal_has_stopped_is_seen_to_be() -> None:
    command = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"]
    with subprocess.Popen(command) as process:
        os.waitpid(process.pid, os.WUNTRACED)
        assert condition_of(process.pid).state == "T"
        process.send_signal(signal.SIGKILL)


@pytest.mark.skipif(
    not watch_death(os.getpid(), [threading.get_native_id()]), reason="Linux before 6.9"
)
def test_end_of_a_sentinel_is_seen_and_nothing_before() -> None:
    program = "from dsql.rpc.process import *; print(*start_sentinels(), flush=True); input()"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        sentinels = [int(word) for word in process.stdout.readline().split()]
        watched = watch_death(process.pid, sentinels)
        poll = select.poll()
        for descriptor in watched:
            poll.register(descriptor, select.POLLIN)
        assert len(watched) == 2
        assert not poll.poll(0)
        process.send_signal(signal.SIGKILL)
        assert poll.poll(10_000)
    for descriptor in watched:
        os.close(descriptor)


def test_threads_of_another_process_are_nobodys_sentinels() -> None:
    assert watch_death(os.getppid(), [os.getpid()]) == []
    assert watch_death(0, [1]) == []


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="the kernel does not count")
def test_time_on_the_processor_is_counted() -> None:
    before = condition_of(os.getpid()).ran_seconds
    while condition_of(os.getpid()).ran_seconds < before + 0.01:
        pass
