"""Making an Aurora DSQL token from AWS credentials, without an AWS library.

A token is a presigned request (AWS Signature Version 4, https://docs.aws.amazon.com/IAM/latest/UserGuide/
reference_sigv-create-signed-request.html): `GET https://HOST/?Action=...`, signed for the service `dsql`,
with everything in the query string and without the scheme. It is made locally and sent as the password;
the text is the same, byte for byte, as that of boto3's `generate_db_connect[_admin]_auth_token`.

    <host>/?Action=DbConnectAdmin&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=...&X-Amz-Date=...
    &X-Amz-Expires=900&X-Amz-SignedHeaders=host[&X-Amz-Security-Token=...]&X-Amz-Signature=...
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from dsql.client.signature import (
    ALGORITHM,
    EMPTY_PAYLOAD_HASH,
    TIMESTAMP,
    canonical_request,
    credential_scope,
    encode,
    sign,
    signing_key,
)

ADMIN_ACTION = "DbConnectAdmin"
USER_ACTION = "DbConnect"
ADMIN_USER = "admin"
DEFAULT_EXPIRES_SECONDS = 900


class Credentials(NamedTuple):
    """An access key. `session_token` belongs to temporary credentials and is empty otherwise."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""


def action_for(user: str) -> str:
    """Return the action that a token for the database user `user` must carry."""
    return ADMIN_ACTION if user == ADMIN_USER else USER_ACTION


def generate_db_connect_admin_auth_token(
    host: str,
    region: str,
    credentials: Credentials,
    expires_in: int = DEFAULT_EXPIRES_SECONDS,
    now: float | None = None,
) -> str:
    """Return a token for the user admin. `expires_in` is in seconds, `now` in seconds since 1970."""
    return _generate(ADMIN_ACTION, host, region, credentials, expires_in, now)


def generate_db_connect_auth_token(
    host: str,
    region: str,
    credentials: Credentials,
    expires_in: int = DEFAULT_EXPIRES_SECONDS,
    now: float | None = None,
) -> str:
    """Return a token for any user but admin. `expires_in` is in seconds, `now` in seconds since 1970."""
    return _generate(USER_ACTION, host, region, credentials, expires_in, now)


def generate_auth_token(
    user: str,
    host: str,
    region: str,
    credentials: Credentials,
    expires_in: int = DEFAULT_EXPIRES_SECONDS,
) -> str:
    """Return a token for the database user `user`, with the action that this user needs."""
    return _generate(action_for(user), host, region, credentials, expires_in, None)


def _generate(
    action: str,
    host: str,
    region: str,
    credentials: Credentials,
    expires_in: int,
    now: float | None,
) -> str:
    moment = time.gmtime(time.time() if now is None else now)
    timestamp = time.strftime(TIMESTAMP, moment)
    scope = credential_scope(timestamp[:8], region)
    parameters = {
        "Action": action,
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{credentials.access_key_id}/{scope}",
        "X-Amz-Date": timestamp,
        "X-Amz-Expires": str(expires_in),
        "X-Amz-SignedHeaders": "host",
    }
    if credentials.session_token:
        parameters["X-Amz-Security-Token"] = credentials.session_token
    key = signing_key(credentials.secret_access_key, timestamp[:8], region)
    query = "&".join(f"{name}={encode(value)}" for name, value in parameters.items())
    request = canonical_token(host, parameters)
    return f"{host}/?{query}&X-Amz-Signature={sign(key, request, timestamp, scope)}"


def canonical_token(host: str, parameters: Mapping[str, str]) -> str:
    """Return what is signed of a token: its host and its parameters, the signature left out."""
    return canonical_request("GET", "/", parameters.items(), [("host", host)], EMPTY_PAYLOAD_HASH)
