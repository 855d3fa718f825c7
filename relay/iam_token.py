"""Verifying the presigned request that a client sends as its password.

The token's parameters may come in any order, so the signature is computed over the canonical form, never
over the text. What is checked, in this order: shape, scope (service and region), host, time, key,
signature, action against user, policy. Every refusal is the same FATAL message to the client; the HINT
tells its reason in the words of AWS, so that a wrong clock is not mistaken for a wrong key.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple, Protocol
from urllib.parse import unquote

from dsql.client.auth_token import ADMIN_ACTION, USER_ACTION, action_for, canonical_token
from dsql.client.signature import (
    ALGORITHM,
    SERVICE,
    credential_scope,
    parse_timestamp,
    sign,
    signing_key,
)
from dsql.control.identities import AccessKey
from dsql.control.signed_requests import (
    Keys,
    Scope,
    SignatureRefusedError,
    check_scope,
    check_signature,
    check_time,
    parse_scope,
    usable_key,
)
from dsql.errors import FatalError
from dsql.iam.document import Policy
from dsql.iam.request import AccessRequest, Decision, request_context
from dsql.limits import PASSWORD_BYTES_MAX, TOKEN_SECONDS_MAX

PARAMETERS_MAX = 16
SIGNING_KEYS_MAX = 1024
TOKENS_MAX = 256
_REQUIRED = (
    "Action",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
)


class AccessDeniedError(FatalError):
    """A token that does not open the door. `reason` and `identity`, if it was proven, are for the log."""

    def __init__(self, reason: str, hint: str, identity: Identity | None = None) -> None:
        super().__init__("28000", "unable to accept connection, access denied", hint=hint)
        self.reason = reason
        self.identity = identity


class AccessPolicy(Keys, Protocol):
    """What verification asks of the key store."""

    def decide(self, key: AccessKey, request: AccessRequest, resource: Policy | None) -> Decision:
        """Decide a request by its principal's policies, and by the cluster's."""
        ...


class Target(NamedTuple):
    """What a token has to be made for: a cluster's endpoint without port, its region and its ARN.

    By its tags and its policy it is decided who may connect.
    """

    endpoint: str
    region: str
    arn: str
    tags: Mapping[str, str] = {}
    policy: Policy | None = None


class Identity(NamedTuple):
    """Who signed a token, and for which action."""

    principal: str
    access_key_id: str
    action: str


class Token(NamedTuple):
    """A parsed token. Times are seconds since 1970, `parameters` all but the signature."""

    host: str
    action: str
    scope: Scope
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
    scope = parse_scope(parameters["X-Amz-Credential"])
    if scope is None:
        raise _malformed("its X-Amz-Credential is not a credential scope")
    timestamp = parameters["X-Amz-Date"]
    signed_at = parse_timestamp(timestamp)
    if signed_at is None:
        raise _malformed("its X-Amz-Date is not a time")
    if not timestamp.startswith(scope.date):
        raise _malformed("its X-Amz-Date is not of the day in its X-Amz-Credential")
    lifetime = _parse_lifetime(parameters["X-Amz-Expires"])
    signature = parameters.pop("X-Amz-Signature")
    return Token(
        host=host,
        action=parameters["Action"],
        scope=scope,
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

    def verify(
        self, text: str, target: Target, user: str, now: float, address: str = ""
    ) -> Identity:
        """Return who signed the token, if it lets `user` into `target` at `now` (seconds since 1970).

        `address` is the client's IP address. Raises AccessDeniedError.
        """
        token = self._parse(text)
        try:
            check_scope(token.scope, target.region)
            _check_host(token, target)
            check_time(token.signed_at, token.expires_at, now)
            access_key_id = token.scope.access_key_id
            key = usable_key(self._access, access_key_id, token.session_token, now)
            check_signature(self._signature(text, key.secret_access_key), token.signature)
        except SignatureRefusedError as error:
            raise AccessDeniedError(error.reason, error.text) from None
        _check_action(token, user)
        permission = f"{SERVICE}:{token.action}"
        context = request_context(target.tags, address, now) | {"dsql:dbuser": (user,)}
        request = AccessRequest(key.principal, permission, target.arn, context)
        decision = self._access.decide(key, request, target.policy)
        identity = Identity(key.principal, key.access_key_id, token.action)
        if not decision.allowed:
            raise AccessDeniedError("not authorized", decision.message(request), identity)
        return identity

    def _right_signature(self, text: str, secret_access_key: str) -> bytes:
        token = self._parse(text)
        date, region = token.scope.date, token.scope.region
        signing = self._signing_key(secret_access_key, date, region)
        scope = credential_scope(date, region)
        request = canonical_token(token.host, token.parameters)
        return sign(signing, request, token.timestamp, scope).encode()


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


def _parse_lifetime(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise _malformed("its X-Amz-Expires is not a number of seconds")
    lifetime = int(text)
    if not 0 < lifetime <= TOKEN_SECONDS_MAX:
        raise _malformed(f"X-Amz-Expires must be between 1 and {TOKEN_SECONDS_MAX} seconds")
    return lifetime


def _check_host(token: Token, target: Target) -> None:
    if token.host.lower() != target.endpoint.lower():
        raise AccessDeniedError("wrong host", "The token was made for another endpoint.")


def _check_action(token: Token, user: str) -> None:
    if token.action not in (ADMIN_ACTION, USER_ACTION) or token.action != action_for(user):
        raise AccessDeniedError(
            "wrong action",
            f"Wrong user to action mapping. user: {user}, action: {token.action}",
        )


def _malformed(why: str) -> AccessDeniedError:
    return AccessDeniedError(
        "malformed", f"The password is not a valid authentication token: {why}."
    )
