from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from running_cluster import children_of

from dsql.control.authority import Authority
from dsql.control.clusters import create_cluster, write_record
from dsql.control.layout import Layout

DSQL = [sys.executable, "-m", "dsql.cli.main"]


class Installation:
    """A running `dsql up`."""

    def __init__(self, data: Path, port: int) -> None:
        self.data = data
        self.port = port
        self.process = self.start()

    def start(self) -> subprocess.Popen[str]:
        command = [*DSQL, "up", "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        self.output = ""
        for line in process.stdout:
            self.output += line
            if line.startswith("stop"):
                return process
        raise AssertionError(self.output)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, and wait for its end."""
        self.process.send_signal(number)
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def variables(self) -> dict[str, str]:
        words = shlex.split((self.data / "env").read_text())
        return {name: value for name, _, value in (word.partition("=") for word in words)}

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        names = {
            "host": "PGHOST",
            "hostaddr": "PGHOSTADDR",
            "port": "PGPORT",
            "user": "PGUSER",
            "dbname": "PGDATABASE",
            "password": "PGPASSWORD",
            "sslmode": "PGSSLMODE",
            "sslrootcert": "PGSSLROOTCERT",
        }
        values = self.variables
        parameters = {key: values[name] for key, name in names.items()}
        return psycopg.connect(psycopg.conninfo.make_conninfo("", **parameters), autocommit=True)

    def processes(self) -> dict[str, int]:
        processes = json.loads((self.data / "run" / "processes.json").read_bytes())
        return {name: process[0] for name, process in processes.items()}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another command on the same directory."""
        command = [*DSQL, *words, "--data", str(self.data)]
        return subprocess.run(command, capture_output=True, text=True, timeout=20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    running = Installation(tmp_path_factory.mktemp("up"), free_port())
    yield running
    if running.process.poll() is None:
        running.stop()


def scalar(connection: psycopg.Connection[tuple[object, ...]], query: str) -> object:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_environment_file_lets_a_client_in(installation: Installation) -> None:
    with installation.connect() as connection:
        assert scalar(connection, "SELECT 1") == 1


def test_the_printed_psql_command_works_when_pasted(installation: Installation) -> None:
    line = next(
        line.removeprefix("psql").strip()
        for line in installation.output.splitlines()
        if line.startswith("psql")
    )
    answer = subprocess.run(
        ["sh", "-c", f"{line} -- -Atc 'SELECT 41 + 1'"], capture_output=True, text=True, timeout=20
    )
    assert answer.stdout == "42\n", answer.stderr


def test_nothing_that_lets_anybody_in_is_printed(installation: Installation) -> None:
    variables = installation.variables
    assert "X-Amz-Signature" not in installation.output
    assert variables["PGPASSWORD"] not in installation.output
    assert variables["AWS_SECRET_ACCESS_KEY"] not in installation.output


def test_what_holds_secrets_is_its_owners_only(installation: Installation) -> None:
    data = installation.data
    files = [data / "env", data / "iam.json", data / "ca" / "ca.key", data / "relay" / "cancel.key"]
    files += [data / "relay" / "key.pem", *data.glob("clusters/*/key.pem")]
    assert len(files) == 6
    assert [path.name for path in files if path.stat().st_mode & 0o077] == []


def test_status_shows_every_role_healthy(installation: Installation) -> None:
    answer = installation.run("status", "--json")
    roles = json.loads(answer.stdout)["roles"]
    assert answer.returncode == 0
    relays = len(os.sched_getaffinity(0))
    assert len(roles) == relays + 5 + 3 * 3
    assert {role["health"] for role in roles} == {"ok"}
    assert all(role["pid"] for role in roles)
    (agent,) = (role for role in roles if role["role"] == "agent")
    assert agent["values"]["assignment_ms"] > 0


def test_second_up_on_the_directory_names_the_first(installation: Installation) -> None:
    answer = installation.run("up", "--listen", "127.0.0.1:1")
    assert answer.returncode == 1
    assert f"process {installation.process.pid}" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_busy_port_is_one_clear_line(installation: Installation, tmp_path: Path) -> None:
    words = ["up", "--data", str(tmp_path), "--listen", f"127.0.0.1:{installation.port}"]
    answer = subprocess.run([*DSQL, *words], capture_output=True, text=True, timeout=20)
    assert answer.returncode == 1
    assert "Address already in use" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_a_directory_in_another_format_is_refused_in_one_clear_line(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    record = create_cluster(layout, Authority.open(layout))
    record.format = 1
    write_record(layout, record)
    words = ["up", "--data", str(tmp_path), "--listen", f"127.0.0.1:{free_port()}"]
    answer = subprocess.run([*DSQL, *words], capture_output=True, text=True, timeout=20)
    assert answer.returncode == 1
    assert "is stored in format 1" in answer.stderr
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize("role", ["relay-1", "host", "seed"])
def test_killed_role_comes_back(installation: Installation, role: str) -> None:
    victim = installation.processes()[role]
    os.kill(victim, signal.SIGKILL)

    def answers_again() -> bool:
        if installation.processes()[role] == victim:
            return False
        try:
            with installation.connect() as connection:
                return scalar(connection, "SELECT 1") == 1
        except psycopg.OperationalError:
            return False

    wait_until(answers_again, 15)


def test_killed_query_processor_costs_only_its_session(installation: Installation) -> None:
    with installation.connect() as survivor:
        victim = installation.connect()
        assert scalar(survivor, "SELECT 1") == 1
        serving = query_processors(installation.variables["PGHOST"])
        os.kill(max(serving), signal.SIGKILL)
        alive = 0
        for connection in (survivor, victim):
            try:
                alive += scalar(connection, "SELECT 1") == 1
            except psycopg.OperationalError:
                continue
        assert alive >= 1
        victim.close()
    with installation.connect() as connection:
        assert scalar(connection, "SELECT 1") == 1


def test_detached_server_keeps_nobody_waiting_who_reads_what_it_says(tmp_path: Path) -> None:
    words = [
        *DSQL,
        "up",
        "--detach",
        "--data",
        str(tmp_path),
        "--listen",
        f"127.0.0.1:{free_port()}",
    ]
    try:
        said = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert said.stdout.startswith("ready in ")
        again = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert again.returncode == 1
        assert "already running on" in again.stderr
    finally:
        subprocess.run([*DSQL, "down", "--data", str(tmp_path)], capture_output=True, timeout=20)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_everything_ends_when_it_is_told_to(
    installation: Installation, number: signal.Signals
) -> None:
    processes = installation.processes()
    family = [*processes.values(), *children_of(processes["seed"])]
    session = installation.connect()
    installation.stop(number)
    session.close()
    assert [process for process in family if is_alive(process)] == []
    installation.process = installation.start()


def test_down_stops_what_up_started(installation: Installation) -> None:
    assert installation.run("down").returncode == 0
    assert installation.process.wait(1) == 0
    assert installation.process.stdout is not None
    installation.process.stdout.close()
    assert "nothing runs" in installation.run("down").stdout


def query_processors(endpoint: str) -> list[int]:
    """Return those of a cluster, by the name that they give themselves."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if (entry / "comm").read_text() == f"dsql: {endpoint[:8]}\n":
                found.append(int(entry.name))
    return found


def is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
