from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from dsql.rpc.process import GONE, condition_of


def test_condition_of_a_process_is_read_from_the_kernel() -> None:
    assert condition_of(os.getpid()).state == "R"
    assert condition_of(1 << 22) == GONE


def test_process_that_a_signal_has_stopped_is_seen_to_be() -> None:
    command = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"]
    with subprocess.Popen(command) as process:
        os.waitpid(process.pid, os.WUNTRACED)
        assert condition_of(process.pid).state == "T"
        process.send_signal(signal.SIGKILL)


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="the kernel does not count")
def test_time_on_the_processor_is_counted() -> None:
    before = condition_of(os.getpid()).ran_seconds
    while condition_of(os.getpid()).ran_seconds < before + 0.01:
        pass
