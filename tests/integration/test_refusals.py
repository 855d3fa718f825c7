"""Who is not let in, and in which words."""

from __future__ import annotations

import contextlib
import socket
import struct
import uuid
from collections.abc import Callable
from pathlib import Path

import boto3
import psycopg
import pytest
from psycopg import pq
from running_cluster import RunningCluster

DENIED = "FATAL:  unable to accept connection, access denied"
SIGNER = "arn:aws:iam::111122223333:user/administrator"  # whose key `dsql up` makes


def refusal(**parameters: str) -> str:
    """Return what libpq says when it is not let in."""
    connection = pq.PGconn.connect(
        " ".join(f"{name}='{value}'" for name, value in parameters.items()).encode()
    )
    try:
        assert connection.status == pq.ConnStatus.BAD
        return connection.get_error_message()
    finally:
        connection.finish()


def sign(cluster: RunningCluster, *, admin: bool = True, **changes: str) -> str:
    """Return a token made by boto3, with other credentials, region or host."""
    names = cluster.variables
    client = boto3.client(
        "dsql",
        region_name=changes.get("region", names["AWS_REGION"]),
        aws_access_key_id=changes.get("key", names["AWS_ACCESS_KEY_ID"]),
        aws_secret_access_key=changes.get("secret", names["AWS_SECRET_ACCESS_KEY"]),
    )
    kind = "admin_" if admin else ""
    make = getattr(client, f"generate_db_connect_{kind}auth_token")
    return str(make(changes.get("host", names["DSQL_ENDPOINT"])))


BAD_TOKENS: dict[str, tuple[Callable[[RunningCluster], str], str]] = {
    "wrong secret": (
        lambda c: sign(c, secret="x" * 40),
        "The request signature we calculated does not match the signature you provided.",
    ),
    "unknown key": (
        lambda c: sign(c, key="AKIAAAAAAAAAAAAAAAAA"),
        "The security token included in the request is invalid.",
    ),
    "another region": (
        lambda c: sign(c, region="eu-west-1"),
        "Credential should be scoped to a valid region.",
    ),
    "another host": (
        lambda c: sign(c, host="a" * 26 + ".dsql.us-east-1.on.aws"),
        "The token was made for another endpoint.",
    ),
    "no token": (lambda _: "secret", "The password is not a valid authentication token: "),
    "changed": (lambda c: sign(c)[:-1] + "g", "The request signature we calculated does not"),
    "DbConnect for admin": (
        lambda c: sign(c, admin=False),
        "Wrong user to action mapping. user: admin, action: DbConnect",
    ),
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_a_bad_token_is_denied_with_a_hint(cluster: RunningCluster, name: str) -> None:
    make, hint = BAD_TOKENS[name]
    said = refusal(**cluster.dsn(password=make(cluster)))
    assert f"{DENIED}\nHINT:  " in said
    assert hint in said


def test_an_expired_token_says_when_it_ended(cluster: RunningCluster) -> None:
    token = cluster.token(seconds=1)
    dsn = cluster.dsn(password=token)
    while (connection := pq.PGconn.connect(_conninfo(dsn))).status == pq.ConnStatus.OK:
        connection.finish()
    said = connection.get_error_message()
    connection.finish()
    assert f"{DENIED}\nHINT:  Signature expired: " in said
    assert " is now earlier than " in said


def _conninfo(dsn: dict[str, str]) -> bytes:
    return psycopg.conninfo.make_conninfo("", **dsn).encode()


@pytest.fixture
def role(cluster: RunningCluster) -> str:
    """A role that may log in and is mapped to nobody."""
    name = f"app_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(**cluster.dsn(), autocommit=True) as connection:
        connection.execute(f"create role {name} with login")
    return name


def test_a_mapped_role_is_let_in_until_the_mapping_ends(cluster: RunningCluster, role: str) -> None:
    with psycopg.connect(**cluster.dsn(), autocommit=True) as admin:
        admin.execute(f"aws iam grant {role} to '{SIGNER}'".encode())
        with psycopg.connect(**cluster.dsn(role)) as connection:
            assert connection.execute("select current_user").fetchone() == (role,)
        admin.execute(f"aws iam revoke {role} from '{SIGNER}'".encode())
    assert DENIED in refusal(**cluster.dsn(role))


def test_an_unmapped_role_is_denied(cluster: RunningCluster, role: str) -> None:
    assert f"{DENIED}\nHINT:  There is no role {role} that arn:aws:" in refusal(**cluster.dsn(role))


def test_a_role_that_does_not_exist_is_denied_in_the_same_words(cluster: RunningCluster) -> None:
    assert f"{DENIED}\nHINT:  There is no role nobody that arn:aws:" in refusal(
        **cluster.dsn("nobody")
    )


def test_an_admin_token_does_not_open_the_door_to_a_role(
    cluster: RunningCluster, role: str
) -> None:
    said = refusal(**cluster.dsn(role, password=cluster.token()))
    assert said.rstrip().endswith(f"mapping. user: {role}, action: DbConnectAdmin")


def test_there_is_one_database(cluster: RunningCluster) -> None:
    said = refusal(**cluster.dsn() | {"dbname": "other"})
    assert 'FATAL:  database "other" does not exist' in said


def test_an_unknown_cluster_is_refused(cluster: RunningCluster) -> None:
    host = "z" * 26 + ".dsql.us-east-1.on.aws"
    said = refusal(**cluster.dsn() | {"host": host, "sslmode": "require", "sslrootcert": ""})
    assert "FATAL:  unable to accept connection, cluster not found\nHINT:  " in said


def test_without_a_server_name_nobody_knows_the_cluster(cluster: RunningCluster) -> None:
    said = refusal(**cluster.dsn() | {"sslsni": "0"} | {"sslmode": "require", "sslrootcert": ""})
    assert "FATAL:  unable to accept connection, sni was not received" in said


def test_the_cluster_may_be_named_by_an_option(cluster: RunningCluster) -> None:
    dsn = cluster.dsn() | {"sslsni": "0", "sslmode": "require", "sslrootcert": ""}
    options = f"-c amzn-cluster-id={cluster.variables['DSQL_CLUSTER']}"
    with psycopg.connect(**dsn, options=options) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_plaintext_start_is_refused(cluster: RunningCluster) -> None:
    said = refusal(**cluster.dsn() | {"sslmode": "disable", "sslrootcert": ""})
    assert "FATAL:  unable to accept connection, SSL is required\nHINT:  " in said


def test_gss_encryption_is_declined_and_tls_goes_on(cluster: RunningCluster) -> None:
    with raw(cluster) as client:
        client.sendall(struct.pack("!II", 8, 80877104))
        assert client.recv(1) == b"N"
        client.sendall(struct.pack("!II", 8, 80877103))
        assert client.recv(1) == b"S"


def test_bytes_that_are_no_protocol_end_the_connection_only(cluster: RunningCluster) -> None:
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, b"\xff" * 64, b""):
        with raw(cluster) as client:
            client.sendall(noise)
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
    with psycopg.connect(**cluster.dsn()) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def raw(cluster: RunningCluster) -> socket.socket:
    names = cluster.variables
    return socket.create_connection((names["PGHOSTADDR"], int(names["PGPORT"])), 5)


def test_connections_beyond_the_rate_are_refused(tmp_path: Path) -> None:
    options = ("--connection-rate", "1", "--connection-burst", "3")
    running = RunningCluster(tmp_path, options=options).start()
    try:
        dsn = running.dsn()
        said = ""
        for _ in range(10):
            with contextlib.suppress(AssertionError):  # this one was let in
                said = refusal(**dsn)
        assert said.rstrip().endswith("FATAL:  Unable to accept connection, rate exceeded.")
    finally:
        running.stop()
