"""A real cluster for tests: `dsql up` in a process of its own, with a directory and a port of its own."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psycopg

DSQL = Path(sys.executable).with_name("dsql")
START_SECONDS_MAX = 60.0  # generous: CI machines are slow, and a start is not what is tested


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def children_of(process_id: int) -> list[int]:
    """Return the processes that one has begun and that still are there: a seed's query processors."""
    text = Path(f"/proc/{process_id}/task/{process_id}/children").read_text()
    return [int(word) for word in text.split()]


def lives(process_id: int) -> bool:
    """Return whether a process runs; nobody may have waited for one that has ended."""
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def cancel_an_endless_query(session: psycopg.Connection[Any]) -> None:
    """Begin a query that never ends, and cancel it as its client can."""
    wire = session.pgconn
    wire.send_query(b"SELECT count(*) FROM generate_series(1, 10000000000)")
    while wire.is_busy():
        session.cancel_safe()  # again, if it has overtaken the statement
        select.select([wire.socket], [], [], 1.0)  # one too many would end what comes next
        wire.consume_input()
    result = wire.get_result()
    assert result is not None
    assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"57014"
    assert wire.get_result() is None


@dataclass
class RunningCluster:
    """Start with `start`, end with `stop` (orderly) or `kill` (every process, -9)."""

    directory: Path
    profile: str = "dsql"
    options: tuple[str, ...] = ()
    api: bool = False  # a process less to start
    port: int = field(default_factory=free_port)
    variables: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> RunningCluster:
        """Start and wait until a connection would succeed."""
        self.directory.mkdir(parents=True, exist_ok=True)
        env_file = self.directory / "env"
        env_file.unlink(missing_ok=True)
        with (self.directory / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(DSQL, "up", "--data", self.directory / "data", "--profile", self.profile),
                    *("--listen", f"127.0.0.1:{self.port}", "--env-file", env_file),
                    *(() if self.api else ("--no-api",)),
                    *self.options,
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not env_file.exists():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)
        for line in env_file.read_text().splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            self.variables[name] = value.strip("'\"")
        return self

    def log(self) -> str:
        """Return what `dsql up` printed and the ends of the roles' logs."""
        paths = sorted((self.directory / "data" / "logs").glob("*.log"))
        ends = [f"--- {path.name}\n{path.read_text()[-3000:]}" for path in paths]
        return "\n".join([(self.directory / "up.log").read_text(), *ends])

    def stop(self) -> None:
        """End it as Ctrl-C does, and wait."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(20)
            self.process = None

    def kill(self) -> None:
        """Kill every process with -9: supervisor, roles, query processors."""
        assert self.process is not None
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(10)
        self.process = None

    def processes(self) -> list[int]:
        """Return the supervisor and all its descendants, supervisor first."""
        assert self.process is not None
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                children.setdefault(int(stat[1]), []).append(int(entry.name))
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += children.get(pid, [])
        return found

    def role(self, name: str) -> int:
        """Return the process id of a role, named as its log is ("us-east-1a.az", "relay-1")."""
        path = self.directory / "data" / "run" / "processes.json"
        return int(json.loads(path.read_bytes())[name][0])

    def host(self) -> dict[str, Any]:
        """Return what `dsql status` says of the agent and of its cluster there."""
        values = self.status("agent")
        ours = {name.rpartition(".")[2]: value for name, value in values.items() if "." in name}
        return ours | {name: value for name, value in values.items() if "." not in name}

    def status(self, name: str) -> dict[str, Any]:
        """Return what `dsql status` says of a role, by name."""
        command = [DSQL, "status", "--json", "--data", self.directory / "data"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        roles = json.loads(found.stdout)["roles"]
        (values,) = (role["values"] for role in roles if role["role"] == name)
        return dict(values)

    def wait_for_restart(self, name: str, before: int, seconds: float) -> int:
        """Return the process id that a role has once it is not `before` any more."""
        deadline = time.monotonic() + seconds
        while (now := self.role(name)) == before:
            assert time.monotonic() < deadline, f"{name} does not come back"
            time.sleep(0.02)
        return now

    def token(self, *, admin: bool = True, seconds: int = 900) -> str:
        """Return a token made by boto3."""
        client = boto3.client(
            "dsql",
            region_name=self.variables["AWS_REGION"],
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.variables["AWS_SECRET_ACCESS_KEY"],
        )
        make = (
            client.generate_db_connect_admin_auth_token
            if admin
            else client.generate_db_connect_auth_token
        )
        return str(make(self.variables["DSQL_ENDPOINT"], ExpiresIn=seconds))

    def dsn(self, user: str = "admin", password: str | None = None) -> dict[str, str]:
        """Return psycopg's connection parameters, with a fresh token."""
        return {
            "host": self.variables["PGHOST"],
            "hostaddr": self.variables["PGHOSTADDR"],
            "port": self.variables["PGPORT"],
            "user": user,
            "dbname": self.variables["PGDATABASE"],
            "sslmode": "verify-full",
            "sslrootcert": self.variables["PGSSLROOTCERT"],
            "password": password or self.token(admin=user == "admin"),
        }

    def psql(self, *arguments: str, script: str = "") -> subprocess.CompletedProcess[str]:
        """Run psql against the cluster."""
        return subprocess.run(
            ["psql", "-X", "-q", *arguments],
            input=script,
            env=os.environ | self.variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
