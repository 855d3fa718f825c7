"""A throwaway PostgreSQL to compare answers with."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def is_installed() -> bool:
    """Return whether this machine has a PostgreSQL."""
    return bool(_BINARIES)


def _as_postgres(*command: str) -> list[str]:
    """Return a command that runs as the postgres user: the server refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else [*command]


@contextmanager
def running() -> Iterator[Path]:
    """Start a server with an empty database (C collation, user postgres); yield its socket's directory."""
    binaries = _BINARIES[-1]
    directory = Path(tempfile.mkdtemp(prefix="dsql-pg-"))
    directory.chmod(0o777)
    data = directory / "data"
    options = f"-c listen_addresses='' -c unix_socket_directories={directory} -c fsync=off"
    control = [str(binaries / "pg_ctl"), "-D", str(data), "-w", "-l", str(directory / "log")]
    try:
        subprocess.run(
            _as_postgres(
                str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust",
                "-E", "UTF8", "--locale=C", "--no-sync",
            ),
            check=True, capture_output=True, cwd="/",
        )  # fmt: skip
        subprocess.run(
            _as_postgres(*control, "-o", options, "start"),
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        yield directory
    finally:
        subprocess.run(
            _as_postgres(*control, "-m", "immediate", "stop"),
            check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        shutil.rmtree(directory, ignore_errors=True)
