from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dsql.cli import supervisor as supervisor_module
from dsql.cli.supervisor import RoleFailedError, RoleSpec, Supervisor
from dsql.control.layout import Layout
from dsql.control.running import read_processes

GOOD = """
import os, signal, sys, time
print("started", flush=True)
os.write(int(sys.argv[sys.argv.index("--ready-descriptor") + 1]), b"ready")
time.sleep(60)
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + GOOD
HUNG = """
import os, sys, threading, time
from dsql.cli.heart import Heart
descriptor = int(sys.argv[sys.argv.index("--ready-descriptor") + 1])
os.write(descriptor, b"ready")
Heart(descriptor).beat()
lock = threading.Lock()
lock.acquire()
def stand_still():
    lock.acquire()
stand_still()
"""
BROKEN = "import sys; print('no such thing', file=sys.stderr); sys.exit(1)"


@pytest.fixture
async def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Supervisor]:
    """A supervisor whose roles are small programs instead of `dsql ROLE`."""
    original = supervisor_module.subprocess.Popen

    def start_program(command: list[str], **options: object) -> object:
        return original([sys.executable, "-c", command[4], *command[5:]], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(supervisor_module.subprocess, "Popen", start_program)
    (tmp_path / "run").mkdir()
    supervisor = Supervisor(tmp_path)
    yield supervisor
    await supervisor.stop()


async def test_ready_when_every_role_has_said_so(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start([RoleSpec("one", (GOOD,)), RoleSpec("two", (GOOD,))])
    await asyncio.wait_for(supervisor.wait_ready(), 5)
    assert set(read_processes(Layout(tmp_path))) == {"one", "two"}
    assert (tmp_path / "logs" / "one.log").read_text() == "started\n"


async def test_role_that_cannot_start_is_named_with_its_last_words(
    supervisor: Supervisor,
) -> None:
    supervisor.start([RoleSpec("good", (GOOD,)), RoleSpec("bad", (BROKEN,))])
    with pytest.raises(RoleFailedError, match="bad: no such thing"):
        await asyncio.wait_for(supervisor.wait_ready(), 5)


async def test_killed_role_is_started_again(supervisor: Supervisor, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    supervisor.start([RoleSpec("one", (GOOD,))])
    await asyncio.wait_for(supervisor.wait_ready(), 5)
    first = read_processes(layout)["one"].process_id
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while read_processes(layout)["one"].process_id == first and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert read_processes(layout)["one"].process_id != first


async def test_role_that_ignores_sigterm_is_gone_within_three_seconds(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start([RoleSpec("one", (STUBBORN,)), RoleSpec("two", (GOOD,))])
    await asyncio.wait_for(supervisor.wait_ready(), 5)
    processes = read_processes(Layout(tmp_path))
    started = time.monotonic()
    await supervisor.stop()
    assert time.monotonic() - started < 3
    for process in processes.values():
        with pytest.raises(ProcessLookupError):
            os.kill(process.process_id, 0)


async def test_role_whose_loop_stands_still_tells_where_and_is_started_again(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    supervisor.hang_seconds = 0.1
    layout = Layout(tmp_path)
    supervisor.start([RoleSpec("one", (HUNG,))])
    await asyncio.wait_for(supervisor.wait_ready(), 5)
    first = read_processes(layout)["one"].process_id
    async with asyncio.timeout(10):
        while read_processes(layout)["one"].process_id == first:
            await asyncio.sleep(0.01)
    again = read_processes(layout)["one"]
    assert (again.restarts, again.hangs) == (1, 1)
    assert "in stand_still" in (tmp_path / "logs" / "one.log").read_text()
