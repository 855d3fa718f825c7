"""Fixtures for people who test against DSQL: a fresh, empty cluster for each test.

    def test_orders(dsql):                          # a dsql.client.endpoint.Endpoint
        with dsql.client.psycopg.connect(dsql) as connection: ...

A run starts one server when the first test asks, on a port and in a folder of its own, and stops it at the
end. Clusters are made ahead, so that none has to be waited for; they stay until the end. `--dsql-profile`,
or `dsql_profile` in the configuration, chooses their profile.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dsql.client.endpoint import Endpoint
    from dsql.control.authority import Authority
    from dsql.control.layout import Layout

# More tests than this would have to begin within the second that a server takes to notice a new cluster.
SPARES = 8
ZONE = "us-east-1a"
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 20


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the choice of a profile."""
    text = "profile of the clusters that tests get: dsql (default) or postgres"
    parser.addoption("--dsql-profile", choices=("dsql", "postgres"), help=text)
    parser.addini("dsql_profile", text, default="dsql")


class Server:
    """A running `dsql up`, and the clusters that are ready to be used."""

    def __init__(self, data: Path, profile: str) -> None:
        self._data = data
        self._profile = profile
        self._port = _free_port()
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[Endpoint | Exception] = queue.SimpleQueue()

    def start(self) -> None:
        """Start, and begin to make clusters. Raises RuntimeError with what the server has said."""
        words = [
            "--azs",
            "1",
            "--no-api",
            "--profile",
            self._profile,
            "--listen",
            f"127.0.0.1:{self._port}",
        ]
        # To a file: what goes on in the background would keep a pipe open.
        with (self._data.parent / "up.log").open("w+") as log:
            self._command("up", *words, "--detach", output=log.fileno(), seconds=START_SECONDS_MAX)
        threading.Thread(target=self._make_clusters, daemon=True, name="dsql clusters").start()
        for _ in range(SPARES):
            self._wanted.put(True)

    def stop(self) -> None:
        """Stop everything."""
        self._wanted.put(False)
        self._command("down", output=subprocess.DEVNULL, seconds=STOP_SECONDS_MAX)

    def take_cluster(self) -> Endpoint:
        """Return a cluster that nobody has used, and have another one made. Raises what that has raised."""
        self._wanted.put(True)
        made = self._ready.get()
        if isinstance(made, Exception):
            raise made
        return made

    def _command(self, name: str, *words: str, output: int, seconds: float) -> None:
        command = [sys.executable, "-P", "-m", "dsql.cli.main", name, *words]
        command += ["--data", str(self._data)]
        try:
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=True,
                timeout=seconds,
            )
        except subprocess.SubprocessError as error:
            log = self._data.parent / "up.log"
            raise RuntimeError(f"dsql {name} failed: {log.read_text()}") from error

    def _make_clusters(self) -> None:
        from dsql.control.authority import Authority
        from dsql.control.layout import Layout

        layout = Layout(self._data)
        authority = Authority.open(layout)
        while self._wanted.get():
            try:
                self._ready.put(self._make_cluster(layout, authority))
            except Exception as error:
                self._ready.put(error)

    def _make_cluster(self, layout: Layout, authority: Authority) -> Endpoint:
        from dsql.client.auth_token import Credentials
        from dsql.client.endpoint import Endpoint
        from dsql.control.access_keys import AccessKeyStore, ensure_first_key
        from dsql.control.clusters import create_cluster

        record = create_cluster(layout, authority, profile=self._profile, azs=[ZONE])
        key = ensure_first_key(AccessKeyStore(layout.access_keys), record.account)
        credentials = Credentials(key.access_key_id, key.secret_access_key)
        return Endpoint(
            record.endpoint,
            address="127.0.0.1",
            port=self._port,
            certificate_authority=str(layout.ca_certificate),
            credentials=lambda: credentials,
        )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def dsql_server(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Server]:
    """The server of this run."""
    profile = pytestconfig.getoption("--dsql-profile") or pytestconfig.getini("dsql_profile")
    server = Server(tmp_path_factory.mktemp("dsql") / "data", profile)
    try:
        server.start()
        yield server
    finally:
        with contextlib.suppress(RuntimeError):
            server.stop()


@pytest.fixture
def dsql(dsql_server: Server) -> Endpoint:
    """A fresh cluster, as an endpoint for `dsql.client` and everybody else."""
    return dsql_server.take_cluster()


@pytest.fixture
def dsql_environment(dsql: Endpoint, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A fresh cluster, to which libpq's, AWS's and our own environment variables lead during the test."""
    variables = dsql.variables()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables
