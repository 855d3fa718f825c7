from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROLES_ALONE = [
    ("placement",),
    ("journal", "--az", "us-east-1a"),
    ("adjudicator", "--az", "us-east-1a"),
    ("storage", "--az", "us-east-1a"),
    ("az", "--az", "us-east-1a"),
    ("control", "--azs", "us-east-1a"),
]


def start(data: Path, *words: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start a role; return it and the descriptor that tells when it is ready."""
    ready, child_end = os.pipe()
    command = [sys.executable, "-m", "dsql.cli.main", *words, "--data", str(data)]
    command += ["--ready-descriptor", str(child_end)]
    process = subprocess.Popen(command, pass_fds=(child_end,), stderr=subprocess.PIPE)
    os.close(child_end)
    return process, ready


@pytest.mark.parametrize("words", ROLES_ALONE, ids=lambda words: words[0])
def test_role_starts_alone_and_ends_on_sigterm(words: tuple[str, ...], tmp_path: Path) -> None:
    process, ready = start(tmp_path, *words)
    said = os.read(ready, 16)
    os.close(ready)
    process.terminate()
    _, log = process.communicate(timeout=5)
    assert said in (b"ready\n", b"ready\n."), log.decode()
    assert process.returncode == 0, log.decode()


def test_role_ends_with_its_supervisor(tmp_path: Path) -> None:
    """A supervisor that is killed has no time to stop anybody."""
    program = (
        "import subprocess, sys, os, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'dsql.cli.main', 'placement', '--data',"
        " sys.argv[1], '--supervisor', str(os.getpid())])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert supervisor.stdout is not None
    role = os.pidfd_open(int(supervisor.stdout.readline()))
    socket = tmp_path / "run" / "placement.sock"
    wait_until(socket.exists)
    supervisor.kill()
    supervisor.communicate()
    wait_until(lambda: has_ended(role))
    os.close(role)


def has_ended(pidfd: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return True
    return False


def wait_until(condition: object, seconds: float = 5.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
