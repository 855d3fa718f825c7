"""The AWS API of a running installation, as boto3 and the command line use it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from running_cluster import DSQL, RunningCluster

from dsql.client.auth_token import Credentials, generate_db_connect_admin_auth_token
from dsql.control.access_keys import AccessKeyStore
from dsql.control.clusters import DEFAULT_ACCOUNT, list_clusters
from dsql.control.identities import AttachedPolicy
from dsql.control.layout import Layout
from dsql.health.collect import collect
from dsql.health.conditions import conditions
from dsql.health.exposition import exposition

ROOT = Path(__file__).parents[2]
PAGES, DASHBOARD = ROOT / "docs" / "howto", ROOT / "deploy" / "grafana" / "dsql.json"
WAITER = {"Delay": 0.05, "MaxAttempts": 400}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    cluster = RunningCluster(tmp_path_factory.mktemp("api"), api=True, options=("--warm", "1"))
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def dsql(running: RunningCluster) -> Any:
    names = running.variables
    return boto3.client(
        "dsql",
        region_name=names["AWS_REGION"],
        endpoint_url=names["AWS_ENDPOINT_URL_DSQL"],
        aws_access_key_id=names["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=names["AWS_SECRET_ACCESS_KEY"],
        verify=names["AWS_CA_BUNDLE"],
    )


def connect(running: RunningCluster, dsql: Any, endpoint: str) -> psycopg.Connection[Any]:
    parameters = running.dsn() | {
        "host": endpoint,
        "password": dsql.generate_db_connect_admin_auth_token(endpoint),
    }
    return psycopg.connect(**parameters, autocommit=True)  # type: ignore[arg-type]


def create(dsql: Any) -> Any:
    made = dsql.create_cluster(deletionProtectionEnabled=False)
    dsql.get_waiter("cluster_active").wait(identifier=made["identifier"], WaiterConfig=WAITER)
    return made


def wait_until_it_listens(running: RunningCluster) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(api_of(running), timeout=5).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, running.log()
            time.sleep(0.02)
        else:
            return


def api_of(running: RunningCluster) -> tuple[str, int]:
    url = running.variables["AWS_ENDPOINT_URL_DSQL"]
    host, _, port = url.removeprefix("https://").partition(":")
    return host, int(port)


def left_of(running: RunningCluster, identifier: str) -> list[Path]:
    return list((running.directory / "data").rglob(f"*{identifier}*"))


def test_a_cluster_serves_from_its_creation_to_its_deletion(
    running: RunningCluster, dsql: Any
) -> None:
    made = create(dsql)
    identifier = made["identifier"]
    with connect(running, dsql, made["endpoint"]) as busy:
        busy.execute("CREATE TABLE t (i int PRIMARY KEY)")
        busy.execute("INSERT INTO t VALUES (1)")
        busy.execute("BEGIN")
        assert busy.execute("SELECT i FROM t").fetchone() == (1,)
        dsql.delete_cluster(identifier=identifier)
        waiter = dsql.get_waiter("cluster_not_exists")
        waiter.wait(identifier=identifier, WaiterConfig=WAITER)
        with pytest.raises(psycopg.OperationalError):
            busy.execute("SELECT 1")
    assert left_of(running, identifier) == []
    with pytest.raises(psycopg.OperationalError):
        connect(running, dsql, made["endpoint"])


def test_what_a_policy_takes_away_the_next_login_lacks(running: RunningCluster, dsql: Any) -> None:
    made = create(dsql)
    identifier, endpoint = made["identifier"], made["endpoint"]
    connect(running, dsql, endpoint).close()
    statement = {"Effect": "Deny", "Principal": "*", "Action": "dsql:DbConnect*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    dsql.put_cluster_policy(identifier=identifier, policy=policy)
    with pytest.raises(psycopg.OperationalError, match="access denied") as caught:
        connect(running, dsql, endpoint)
    assert "with an explicit deny in a resource-based policy" in str(caught.value)
    dsql.delete_cluster_policy(identifier=identifier)
    connect(running, dsql, endpoint).close()
    dsql.delete_cluster(identifier=identifier)


def test_a_control_plane_goes_on_where_another_one_was_killed(
    running: RunningCluster, dsql: Any
) -> None:
    """Each is killed a little later in what follows a request: -9, like all of its kind."""
    made: list[Any] = []
    for delay in (0.0, 0.01, 0.03):
        before = running.role("control")
        made.append(dsql.create_cluster(deletionProtectionEnabled=False))
        time.sleep(delay)  # a place in what it does, not a bound
        os.kill(before, signal.SIGKILL)
        running.wait_for_restart("control", before, 20)
        wait_until_it_listens(running)
    for cluster in made:
        identifier = cluster["identifier"]
        dsql.get_waiter("cluster_active").wait(identifier=identifier, WaiterConfig=WAITER)
        with connect(running, dsql, cluster["endpoint"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    before = running.role("control")
    for cluster in made:
        dsql.delete_cluster(identifier=cluster["identifier"])
    os.kill(before, signal.SIGKILL)
    running.wait_for_restart("control", before, 20)
    wait_until_it_listens(running)
    for cluster in made:
        waiter = dsql.get_waiter("cluster_not_exists")
        waiter.wait(identifier=cluster["identifier"], WaiterConfig=WAITER)
        assert left_of(running, cluster["identifier"]) == []


def test_connections_that_say_nothing_give_way(running: RunningCluster, dsql: Any) -> None:
    context = ssl.create_default_context(cafile=running.variables["AWS_CA_BUNDLE"])
    silent, api = [], api_of(running)
    try:
        for _ in range(258):
            plain = socket.create_connection(api)
            silent.append(context.wrap_socket(plain, server_hostname=api[0]))
        assert dsql.list_clusters()["clusters"]
        silent[0].settimeout(10)
        with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
            assert silent[0].recv(1) == b""
    finally:
        for connection in silent:
            connection.close()


def test_status_shows_the_control_plane(running: RunningCluster) -> None:
    status = running.status("control")
    assert status["listen"] == running.variables["AWS_ENDPOINT_URL_DSQL"]
    assert status["clusters"] >= 1


def test_the_page_about_clusters_is_true(running: RunningCluster) -> None:
    check_page(running, "clusters")


def test_the_page_about_identities_is_true_until_the_role_is_gone(
    running: RunningCluster, dsql: Any
) -> None:
    store = AccessKeyStore(Layout(running.directory / "data").access_keys)
    first, arn = store.keys()[0], f"arn:aws:iam::{DEFAULT_ACCOUNT}:role/writer"
    trust = {"Effect": "Allow", "Principal": {"AWS": first.principal}, "Action": "sts:AssumeRole"}
    allowed = {"Effect": "Allow", "Action": "dsql:DbConnectAdmin", "Resource": "*"}
    with store.changing() as identities:
        role = identities.create_role(DEFAULT_ACCOUNT, "writer", {"Statement": trust}, time.time())
        identities.put_policy(AttachedPolicy(arn, "connects", {"Statement": allowed}))
    check_page(running, "identities")
    key = store.begin_session(role, "test", time.time(), 900, "")
    credentials = Credentials(key.access_key_id, key.secret_access_key, key.session_token)
    names = running.variables
    endpoint, region = names["DSQL_ENDPOINT"], names["AWS_REGION"]
    token = generate_db_connect_admin_auth_token(endpoint, region, credentials)
    with psycopg.connect(**running.dsn() | {"password": token}) as connection:  # type: ignore[arg-type]
        connection.execute("select 1")
    with store.changing() as identities:
        identities.delete_owner(arn)
    with pytest.raises(psycopg.OperationalError, match="access denied"):
        psycopg.connect(**running.dsn() | {"password": token})  # type: ignore[arg-type]


def test_the_dashboard_shows_what_relays_tell(
    running: RunningCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(**running.dsn()) as connection:  # type: ignore[arg-type]
        connection.execute("select 1")
        monkeypatch.chdir(running.directory / "data")  # paths of sockets are relative to it
        layout = Layout(Path())
        clusters = list_clusters(layout)
        roles = collect(layout, clusters)
    text = exposition(clusters, roles, conditions(clusters, roles))
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    shown = set(re.findall(r"dsql_[a-z_]+", DASHBOARD.read_text("utf-8")))
    shown = {re.sub("_seconds_bucket$", "_seconds", name) for name in shown}
    only_then = {"dsql_condition", "dsql_relay_refused_total", "dsql_role_restarts_total"}
    assert shown - told - only_then == set()
    assert len(shown) > 20


def test_a_demo_runs_in_an_installation_that_there_is(running: RunningCluster) -> None:
    data = str(running.directory / "data")
    words = [DSQL, "demo", "--data", data, "--no-browser", "--rate", "200", "--seconds", "1"]
    words.append(running.variables["DSQL_CLUSTER"])
    answer = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert running.variables["AWS_SECRET_ACCESS_KEY"] not in answer.stdout
    last = answer.stdout.splitlines()[-1]
    with psycopg.connect(**running.dsn()) as connection:  # type: ignore[arg-type]
        (bought,) = connection.execute("select count(*) from demo.purchase").fetchone()
    assert f"{bought} purchases" in last
    assert bought > 0


def check_page(running: RunningCluster, name: str) -> None:
    page = (PAGES / f"{name}.md").read_text("utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```$", page, re.S | re.M)
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | running.variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stderr


def test_the_command_line_finds_the_api_in_the_environment(running: RunningCluster) -> None:
    words = [DSQL, "cluster", "list"]
    answer = subprocess.run(
        words, env=os.environ | running.variables, capture_output=True, text=True, timeout=60
    )
    assert running.variables["DSQL_CLUSTER"] in answer.stdout, answer.stderr
