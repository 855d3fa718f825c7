import calendar
import time
from urllib.parse import parse_qs

import boto3
import pytest

from dsql.client.auth_token import (
    Credentials,
    action_for,
    generate_auth_token,
    generate_db_connect_admin_auth_token,
    generate_db_connect_auth_token,
)

HOST = "abcdefghijklmnopqrstuvwxyz.dsql.eu-west-1.on.aws"
KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def signed_at(token: str) -> int:
    (timestamp,) = parse_qs(token.partition("?")[2])["X-Amz-Date"]
    return calendar.timegm(time.strptime(timestamp, "%Y%m%dT%H%M%SZ"))


@pytest.mark.parametrize("session_token", ["", "FwoGZXIvYXdzE+/=="])
@pytest.mark.parametrize("expires_in", [60, 900, 604800])
def test_tokens_equal_those_of_boto3(session_token: str, expires_in: int) -> None:
    dsql = boto3.client(
        "dsql",
        region_name="eu-west-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        aws_session_token=session_token or None,
    )
    credentials = Credentials(KEY, SECRET, session_token)
    theirs = dsql.generate_db_connect_admin_auth_token(HOST, "eu-west-1", expires_in)
    ours = generate_db_connect_admin_auth_token(
        HOST, "eu-west-1", credentials, expires_in, signed_at(theirs)
    )
    assert ours == theirs
    theirs = dsql.generate_db_connect_auth_token(HOST, "eu-west-1", expires_in)
    ours = generate_db_connect_auth_token(
        HOST, "eu-west-1", credentials, expires_in, signed_at(theirs)
    )
    assert ours == theirs


def test_only_admin_gets_an_admin_token() -> None:
    assert action_for("admin") == "DbConnectAdmin"
    assert action_for("Admin") == "DbConnect"
    token = generate_auth_token("app", HOST, "eu-west-1", Credentials(KEY, SECRET))
    assert "Action=DbConnect&" in token
