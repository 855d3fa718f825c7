from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from dsql.cli import down
from dsql.cli.errors import CommandError

# Takes the lock under the number of an earlier supervisor, which has ended, and stands still then.
SUPERVISOR = """
import os, signal, subprocess, sys, time
from pathlib import Path
from dsql.cli.data_directory import claim
from dsql.control.layout import Layout
layout = Layout(Path(sys.argv[1]))
lock = claim(layout)
earlier = subprocess.Popen(["true"])
earlier.wait()
layout.lock.write_text(f"{earlier.pid}\\n")
print("locked", flush=True)
time.sleep(0.2)
layout.lock.write_text(f"{os.getpid()}\\n")
if len(sys.argv) > 2:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.kill(os.getpid(), signal.SIGSTOP)
time.sleep(60)
"""


def start(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SUPERVISOR, *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_a_supervisor_that_has_just_begun_and_one_that_was_stopped_end(tmp_path: Path) -> None:
    with start(str(tmp_path)) as process:
        assert down.run(argparse.Namespace(data=tmp_path)) == 0
        assert process.wait(30) < 0


def test_what_does_not_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(down, "WAIT_SECONDS", 0.5)
    with start(str(tmp_path), "stays") as process:
        with pytest.raises(CommandError, match=r"still runs after 0\.5 s"):
            down.run(argparse.Namespace(data=tmp_path))
        process.kill()


def test_where_nothing_runs_nothing_is_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert down.run(argparse.Namespace(data=tmp_path)) == 0
    assert capsys.readouterr().out == f"nothing runs on {tmp_path}\n"
