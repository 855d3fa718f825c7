"""A throwaway PostgreSQL to compare answers with."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def _as_postgres(*command: str) -> list[str]:
    """Return a command that runs as the postgres user: the server refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else [*command]


@pytest.fixture(scope="session")
def postgres() -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit mode to an empty database (C collation, UTC)."""
    if not _BINARIES:
        pytest.skip("no PostgreSQL on this machine")
    binaries = _BINARIES[-1]
    directory = Path(tempfile.mkdtemp(prefix="dsql-pg-"))
    directory.chmod(0o777)
    data, socket = directory / "data", directory
    options = f"-c listen_addresses='' -c unix_socket_directories={socket} -c fsync=off"
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
        with psycopg.connect(
            f"host={socket} user=postgres dbname=postgres", autocommit=True
        ) as connection:
            connection.execute("set timezone = 'UTC'")
            yield connection
    finally:
        subprocess.run(
            _as_postgres(*control, "-m", "immediate", "stop"),
            check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        shutil.rmtree(directory, ignore_errors=True)
