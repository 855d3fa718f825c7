from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import botocore.session
import pytest

from dsql.client.auth_token import Credentials
from dsql.client.credentials import NoCredentialsError, from_botocore
from dsql.client.endpoint import Endpoint, lifetime_seconds

HOST = "abcdefghijklmnopqrstuvwxyz.dsql.eu-west-1.on.aws"
KEY = Credentials("AKIAIOSFODNN7EXAMPLE", "secret", "session")


def test_an_endpoint_needs_no_more_than_its_name() -> None:
    endpoint = Endpoint(HOST, credentials=lambda: KEY)
    assert endpoint.region == "eu-west-1"
    parameters = endpoint.libpq_parameters()
    assert parameters["sslmode"] == "verify-full"
    assert parameters["sslrootcert"] == "system"
    assert "hostaddr" not in parameters
    assert parameters["password"].startswith(f"{HOST}/?Action=DbConnectAdmin&")
    assert "X-Amz-Security-Token=session" in parameters["password"]


def test_an_endpoint_without_a_region_is_refused() -> None:
    with pytest.raises(ValueError, match="region"):
        Endpoint("localhost")
    assert Endpoint("localhost", "us-east-1").region == "us-east-1"


def test_variables_of_libpq_and_aws_describe_an_endpoint() -> None:
    endpoint = Endpoint.from_environment(
        {
            "PGHOST": HOST,
            "PGHOSTADDR": "127.0.0.1",
            "PGPORT": "5433",
            "PGUSER": "app",
            "PGSSLROOTCERT": "ca.pem",
            "PGPASSWORD": "old",
        }
    )
    assert (endpoint.host, endpoint.address, endpoint.port) == (HOST, "127.0.0.1", 5433)
    assert (endpoint.user, endpoint.certificate_authority) == ("app", "ca.pem")
    assert Endpoint.from_environment({"DSQL_ENDPOINT": HOST}).port == 5432
    with pytest.raises(KeyError):
        Endpoint.from_environment({})


def test_an_endpoint_is_read_back_from_its_variables() -> None:
    endpoint = Endpoint(HOST, address="127.0.0.1", port=5433, credentials=lambda: KEY)
    variables = endpoint.variables()
    assert variables["AWS_SESSION_TOKEN"] == "session"
    again = Endpoint.from_environment(variables)
    assert replace(again, credentials=endpoint.credentials) == endpoint


def test_every_token_is_made_of_the_credentials_of_then() -> None:
    keys = iter([KEY, KEY._replace(access_key_id="AKIAOTHER")])
    endpoint = Endpoint(HOST, user="app", credentials=lambda: next(keys))
    assert KEY.access_key_id in endpoint.token()
    assert "AKIAOTHER" in endpoint.token()


def test_no_secret_is_shown_by_an_endpoint() -> None:
    assert "secret" not in repr(Endpoint(HOST, credentials=lambda: KEY))


def test_credentials_are_found_as_by_every_aws_tool(monkeypatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s1")
    assert from_botocore()() == Credentials("AKIA1", "s1", "")
    file = tmp_path / "credentials"
    file.write_text("[other]\naws_access_key_id = AKIA2\naws_secret_access_key = s2\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    assert from_botocore("other")() == Credentials("AKIA2", "s2", "")


def test_missing_credentials_are_told(monkeypatch) -> None:
    monkeypatch.setattr(botocore.session.Session, "get_credentials", lambda self: None)
    with pytest.raises(NoCredentialsError, match="AWS credentials"):
        Endpoint(HOST).token()


def test_botocore_is_not_needed_where_credentials_are_given(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    assert Endpoint(HOST, credentials=lambda: KEY).token()
    with pytest.raises(ImportError):
        Endpoint(HOST).token()


def test_connections_retire_within_the_hour_and_not_together() -> None:
    lifetimes = {lifetime_seconds() for _ in range(50)}
    assert all(2_700 <= seconds <= 3_300 for seconds in lifetimes)
    assert max(lifetimes) - min(lifetimes) > 60
