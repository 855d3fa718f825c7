"""Verifying the presigned request that a client sends as its password.

The token's parameters may come in any order, so the signature is computed over the canonical form, never
over the text. What is checked, in this order: shape, scope (service and region), host, time, key,
signature, action against user, policy. Every refusal is the same FATAL message to the client; the HINT
tells its reason in the words of AWS, so that a wrong clock is not mistaken for a wrong key.
"""

from __future__ import annotations

import datetime
import functools
import hmac
import re
import time
from typing import NamedTuple, Protocol
from urllib.parse import unquote

from dsql.client.auth_token import (
    ADMIN_ACTION,
    ALGORITHM,
    SERVICE,
    TERMINATOR,
    USER_ACTION,
    action_for,
    credential_scope,
    sign,
    signing_key,
)
from dsql.control.access_keys import AccessKey
from dsql.errors import FatalError
from dsql.limits import PASSWORD_BYTES_MAX, TOKEN_SECONDS_MAX

CLOCK_SKEW_SECONDS = 300
PARAMETERS_MAX = 16
SIGNING_KEYS_MAX = 1024
TOKENS_MAX = 256
_TIMESTAMP = "%Y%m%dT%H%M%SZ"
_TIMESTAMP_PARTS = re.compile(
    "([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z"
).fullmatch
_REQUIRED = (
    "Action",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
)
_BAD_KEY = "The security token included in the request is invalid."
_BAD_SIGNATURE = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method."
)


class AccessDeniedError(FatalError):
    """A token that does not open the door. `reason` is for the log."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__("28000", "unable to accept connection, access denied", hint=hint)
        self.reason = reason


class AccessPolicy(Protocol):
    """What verification asks of the key store."""

    def find(self, access_key_id: str) -> AccessKey | None:
        """Return the key with this id."""
        ...

    def allows(self, principal: str, action: str, resource: str) -> bool:
        """Return whether the principal may do the action to the resource."""
        ...


class Target(NamedTuple):
    """What a token has to be made for: a cluster's endpoint without port, its region and its ARN."""

    endpoint: str
    region: str
    arn: str


class Identity(NamedTuple):
    """Who signed a token, and for which action."""

    principal: str
    access_key_id: str
    action: str


class Token(NamedTuple):
    """A parsed token. Times are seconds since 1970, `parameters` all but the signature."""

    host: str
    action: str
    access_key_id: str
    date: str
    region: str
    service: str
    timestamp: str
    signed_at: int
    expires_at: int
    session_token: str
    signature: str
    parameters: dict[str, str]


def parse(text: str) -> Token:
    """Parse a token. Raises AccessDeniedError for anything that is not a presigned request."""
    if len(text) > PASSWORD_BYTES_MAX:
        raise _malformed("it is too long")
    host, slash, query = text.partition("/?")
    if not slash or not host:
        raise _malformed("it is not a presigned request")
    parameters = _parse_query(query)
    for name in _REQUIRED:
        if name not in parameters:
            raise _malformed(f"it has no {name}")
    if parameters["X-Amz-Algorithm"] != ALGORITHM:
        raise _malformed("its X-Amz-Algorithm is not supported")
    if parameters["X-Amz-SignedHeaders"] != "host":
        raise _malformed("its X-Amz-SignedHeaders must be host")
    scope = parameters["X-Amz-Credential"].split("/")
    if len(scope) != 5 or scope[4] != TERMINATOR:
        raise _malformed("its X-Amz-Credential is not a credential scope")
    access_key_id, date, region, service, _ = scope
    timestamp = parameters["X-Amz-Date"]
    signed_at = _parse_timestamp(timestamp)
    if not timestamp.startswith(date) or len(date) != 8:
        raise _malformed("its X-Amz-Date is not of the day in its X-Amz-Credential")
    lifetime = _parse_lifetime(parameters["X-Amz-Expires"])
    signature = parameters.pop("X-Amz-Signature")
    return Token(
        host=host,
        action=parameters["Action"],
        access_key_id=access_key_id,
        date=date,
        region=region,
        service=service,
        timestamp=timestamp,
        signed_at=signed_at,
        expires_at=signed_at + lifetime,
        session_token=parameters.get("X-Amz-Security-Token", ""),
        signature=signature,
        parameters=parameters,
    )


class Verifier:
    """Verifies tokens against one key store; the signing keys of a day are kept.

    Clients send the same token for many connections. What follows from its text and the secret key alone,
    its parts and the signature it ought to have, is kept for the latest ones; all else is checked anew.
    """

    def __init__(self, access: AccessPolicy) -> None:
        self._access = access
        self._signing_key = functools.lru_cache(SIGNING_KEYS_MAX)(signing_key)
        self._parse = functools.lru_cache(TOKENS_MAX)(parse)
        self._signature = functools.lru_cache(TOKENS_MAX)(self._right_signature)

    def verify(self, text: str, target: Target, user: str, now: float) -> Identity:
        """Return who signed the token, if it lets `user` into `target` at `now` (seconds since 1970).

        Raises AccessDeniedError.
        """
        token = self._parse(text)
        _check_scope(token, target)
        _check_time(token, now)
        key = self._check_key(token, now)
        expected = self._signature(text, key.secret_access_key)
        if not hmac.compare_digest(expected, token.signature.encode()):
            raise AccessDeniedError("wrong signature", _BAD_SIGNATURE)
        _check_action(token, user)
        permission = f"{SERVICE}:{token.action}"
        if not self._access.allows(key.principal, permission, target.arn):
            raise AccessDeniedError(
                "not authorized",
                f"User: {key.principal} is not authorized to perform: {permission} "
                f"on resource: {target.arn}",
            )
        return Identity(key.principal, key.access_key_id, token.action)

    def _check_key(self, token: Token, now: float) -> AccessKey:
        key = self._access.find(token.access_key_id)
        if key is None or not key.active:
            raise AccessDeniedError("unknown key", _BAD_KEY)
        if not hmac.compare_digest(key.session_token.encode(), token.session_token.encode()):
            raise AccessDeniedError("wrong session token", _BAD_KEY)
        if not key.usable(now):
            raise AccessDeniedError(
                "expired credentials", "The security token included in the request is expired"
            )
        return key

    def _right_signature(self, text: str, secret_access_key: str) -> bytes:
        token = self._parse(text)
        signing = self._signing_key(secret_access_key, token.date, token.region)
        scope = credential_scope(token.date, token.region)
        return sign(signing, token.host, token.parameters, token.timestamp, scope).encode()


def _parse_query(query: str) -> dict[str, str]:
    pairs = query.split("&", PARAMETERS_MAX)
    if len(pairs) > PARAMETERS_MAX:
        raise _malformed("it has too many parameters")
    parameters: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if "%" in pair:
            try:
                name, value = unquote(name, errors="strict"), unquote(value, errors="strict")
            except UnicodeDecodeError:
                raise _malformed("it is not UTF-8") from None
        if not equals or name in parameters:
            raise _malformed("a parameter has no value or comes twice")
        parameters[name] = value
    return parameters


def _parse_timestamp(timestamp: str) -> int:
    match = _TIMESTAMP_PARTS(timestamp)
    if match is None:
        raise _malformed("its X-Amz-Date is not a time")
    year, month, day, hour, minute, second = map(int, match.groups())
    try:  # a third of what time.strptime costs
        moment = datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.UTC)
    except ValueError:
        raise _malformed("its X-Amz-Date is not a time") from None
    return int(moment.timestamp())


def _parse_lifetime(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise _malformed("its X-Amz-Expires is not a number of seconds")
    lifetime = int(text)
    if not 0 < lifetime <= TOKEN_SECONDS_MAX:
        raise _malformed(f"X-Amz-Expires must be between 1 and {TOKEN_SECONDS_MAX} seconds")
    return lifetime


def _check_scope(token: Token, target: Target) -> None:
    if token.service != SERVICE:
        raise AccessDeniedError(
            "wrong service", f"Credential should be scoped to correct service: '{SERVICE}'."
        )
    if token.region != target.region:
        raise AccessDeniedError("wrong region", "Credential should be scoped to a valid region.")
    if token.host.lower() != target.endpoint.lower():
        raise AccessDeniedError("wrong host", "The token was made for another endpoint.")


def _check_time(token: Token, now: float) -> None:
    if token.expires_at <= now:
        raise AccessDeniedError(
            "expired",
            f"Signature expired: {_show(token.expires_at)} is now earlier than {_show(now)}",
        )
    if token.signed_at > now + CLOCK_SKEW_SECONDS:
        raise AccessDeniedError(
            "not yet current",
            f"Signature not yet current: {token.timestamp} is still later than "
            f"{_show(now + CLOCK_SKEW_SECONDS)} ({_show(now)} + {CLOCK_SKEW_SECONDS // 60} min.)",
        )


def _check_action(token: Token, user: str) -> None:
    if token.action not in (ADMIN_ACTION, USER_ACTION) or token.action != action_for(user):
        raise AccessDeniedError(
            "wrong action",
            f"Wrong user to action mapping. user: {user}, action: {token.action}",
        )


def _show(moment: float) -> str:
    return time.strftime(_TIMESTAMP, time.gmtime(moment))


def _malformed(why: str) -> AccessDeniedError:
    return AccessDeniedError(
        "malformed", f"The password is not a valid authentication token: {why}."
    )
