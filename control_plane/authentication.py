"""Who sends a request: Signature Version 4, in the Authorization header or in the query string.

Whatever is not under the signature counts for nothing: the host, the time, every `x-amz-` header and the
body's hash have to be. A request is good for five minutes (a presigned one for as long as it says), so it
can be replayed for so long and no longer, and what it would do a second time its client token forbids.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

from control_plane.failures import ServiceError, unauthenticated
from control_plane.messages import HttpRequest
from control_plane.reading import read_query
from dsql.client.signature import (
    ALGORITHM,
    SERVICE,
    canonical_request,
    credential_scope,
    parse_timestamp,
    sign,
    signing_key,
)
from dsql.control.identities import AccessKey
from dsql.control.signed_requests import (
    CLOCK_SKEW_SECONDS,
    Keys,
    Scope,
    SignatureRefusedError,
    check_scope,
    check_signature,
    check_time,
    parse_scope,
    usable_key,
)
from dsql.limits import TOKEN_SECONDS_MAX

SIGNING_KEYS_MAX = 1024
SIGNED_HEADERS_MAX = 50
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} +Credential=([^, ]+), *SignedHeaders=([^, ]+), *Signature=([0-9a-f]{{64}})"
).fullmatch
_SPACES = re.compile(" +")
_QUERY_SIGNATURE = "X-Amz-Signature"


class _Signed(NamedTuple):
    """What a request says of its signature; times in seconds since 1970."""

    scope: Scope
    names: list[str]
    signature: str
    timestamp: str
    signed_at: int
    expires_at: int
    session_token: str
    query: list[tuple[str, str]]


class Authenticator:
    """Verifies requests to one service of one region against one key store."""

    def __init__(self, keys: Keys, region: str, service: str = SERVICE) -> None:
        self._keys = keys
        self._region = region
        self._service = service
        self._signing_key = functools.lru_cache(SIGNING_KEYS_MAX)(signing_key)

    def authenticate(self, request: HttpRequest, now: float) -> AccessKey:
        """Return the key that signed a request. Raises ServiceError."""
        signed = _read(request)
        _check_headers(request, signed.names)
        try:
            check_scope(signed.scope, self._region, self._service)
            check_time(signed.signed_at, signed.expires_at, now)
            key = usable_key(self._keys, signed.scope.access_key_id, signed.session_token, now)
            check_signature(self._expected(request, signed, key), signed.signature)
        except SignatureRefusedError as error:
            raise unauthenticated(error.name, error.text) from None
        return key

    def _expected(self, request: HttpRequest, signed: _Signed, key: AccessKey) -> bytes:
        payload_hash = hashlib.sha256(request.body).hexdigest()
        headers = [(name, _trimmed(request.headers[name])) for name in signed.names]
        canonical = canonical_request(
            request.method, request.path, signed.query, headers, payload_hash
        )
        date, region, service = signed.scope.date, signed.scope.region, self._service
        signing = self._signing_key(key.secret_access_key, date, region, service)
        scope = credential_scope(date, region, service)
        return sign(signing, canonical, signed.timestamp, scope).encode()


def _read(request: HttpRequest) -> _Signed:
    query = read_query(request.query)
    authorization = request.headers.get("authorization")
    if authorization is not None:
        return _read_header(request, authorization, query)
    parameters = dict(query)
    if _QUERY_SIGNATURE not in parameters:
        name = "MissingAuthenticationTokenException"
        raise unauthenticated(name, "Missing Authentication Token")
    if len(parameters) != len({name for name, _ in query}):
        raise _incomplete("a parameter comes twice")
    return _read_query_form(parameters, query)


def _read_header(request: HttpRequest, authorization: str, query: list[tuple[str, str]]) -> _Signed:
    match = _AUTHORIZATION(authorization)
    if match is None:
        raise _incomplete("the Authorization header is not understood")
    credential, names, signature = match.groups()
    timestamp = request.headers.get("x-amz-date", "")
    signed_at = _moment(timestamp)
    return _Signed(
        _scope(credential, timestamp),
        names.split(";"),
        signature,
        timestamp,
        signed_at,
        signed_at + CLOCK_SKEW_SECONDS,
        request.headers.get("x-amz-security-token", ""),
        query,
    )


def _read_query_form(parameters: Mapping[str, str], query: list[tuple[str, str]]) -> _Signed:
    if parameters.get("X-Amz-Algorithm") != ALGORITHM:
        raise _incomplete("X-Amz-Algorithm is not supported")
    timestamp = parameters.get("X-Amz-Date", "")
    signed_at = _moment(timestamp)
    lifetime = parameters.get("X-Amz-Expires", "")
    if not re.fullmatch("[0-9]{1,6}", lifetime) or not 0 < int(lifetime) <= TOKEN_SECONDS_MAX:
        raise _incomplete(f"X-Amz-Expires must be between 1 and {TOKEN_SECONDS_MAX} seconds")
    return _Signed(
        _scope(parameters.get("X-Amz-Credential", ""), timestamp),
        parameters.get("X-Amz-SignedHeaders", "").split(";"),
        parameters[_QUERY_SIGNATURE],
        timestamp,
        signed_at,
        signed_at + int(lifetime),
        parameters.get("X-Amz-Security-Token", ""),
        [(name, value) for name, value in query if name != _QUERY_SIGNATURE],
    )


def _check_headers(request: HttpRequest, names: list[str]) -> None:
    """Everything that could change what a request means has to be under the signature."""
    headers = request.headers
    if len(names) > SIGNED_HEADERS_MAX or names != sorted(set(names)):
        raise _incomplete("SignedHeaders must be sorted, and each of them once")
    wanted = {"host", *(name for name in headers if name.startswith("x-amz-"))}
    missing = sorted(wanted - set(names)) or [name for name in names if name not in headers]
    if missing:
        raise _incomplete(f"these headers must be signed and sent: {', '.join(missing)}")
    claimed = headers.get("x-amz-content-sha256")
    if claimed is not None and claimed != hashlib.sha256(request.body).hexdigest():
        text = "The value of x-amz-content-sha256 does not match the body."
        raise unauthenticated("InvalidSignatureException", text)


def _scope(credential: str, timestamp: str) -> Scope:
    scope = parse_scope(credential)
    if scope is None:
        raise _incomplete("Credential must be KEY/DAY/REGION/SERVICE/aws4_request")
    if not timestamp.startswith(scope.date):
        raise _incomplete("X-Amz-Date is not of the day in Credential")
    return scope


def _moment(timestamp: str) -> int:
    moment = parse_timestamp(timestamp)
    if moment is None:
        raise _incomplete("X-Amz-Date is not a time")
    return moment


def _trimmed(value: str) -> str:
    return _SPACES.sub(" ", value.strip())


def _incomplete(why: str) -> ServiceError:
    return unauthenticated("IncompleteSignatureException", f"The request is not signed: {why}.")
