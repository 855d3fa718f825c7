"""Our own server, started for a measurement in a directory of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import workloads

START_SECONDS_MAX = 60.0


class Throwaway(NamedTuple):
    """A server for one measurement: libpq's variables for it, its port and its directory."""

    variables: dict[str, str]
    port: int
    directory: Path


@contextmanager
def throwaway(profile: str) -> Iterator[Throwaway]:
    """Run a server of a profile in a directory that goes with it."""
    with tempfile.TemporaryDirectory(prefix="dsql-bench-") as temporary:
        os.chmod(temporary, 0o711)
        directory, port = Path(temporary) / "dsql", workloads.free_port()
        with running(directory, port, profile=profile) as variables:
            yield Throwaway(variables, port, directory)


@contextmanager
def running(directory: Path, port: int, *, profile: str = "postgres") -> Iterator[dict[str, str]]:
    """Run `dsql up` on 127.0.0.1:port and yield libpq's variables for its first cluster."""
    directory.mkdir(parents=True)
    env_file = directory / "env"
    log = (directory / "up.log").open("w")
    process = subprocess.Popen(
        [
            *(str(Path(sys.executable).with_name("dsql")), "up", "--profile", profile),
            *("--data", str(directory / "data"), "--listen", f"127.0.0.1:{port}"),
            *("--env-file", str(env_file)),
        ],
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield _wait(process, env_file, directory / "up.log")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        log.close()


def _wait(process: subprocess.Popen[bytes], env_file: Path, log: Path) -> dict[str, str]:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not env_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start:\n{log.read_text()}")
        time.sleep(0.05)
    return read_env(env_file)


def read_env(path: Path) -> dict[str, str]:
    """Return the variables of a shell file of export lines."""
    variables = {}
    for line in path.read_text().splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        variables[name] = value.strip("'\"")
    return variables
