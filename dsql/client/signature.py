"""Signature Version 4: what a signed request is reduced to, and the signature over that.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. Tokens
(`dsql.client.auth_token`) and requests to the control plane are signed alike, and whoever verifies one
computes the same again: so all of them come here.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from collections.abc import Iterable
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "dsql"
TERMINATOR = "aws4_request"
EMPTY_PAYLOAD_HASH = hashlib.sha256(b"").hexdigest()
TIMESTAMP = "%Y%m%dT%H%M%SZ"
_TIMESTAMP_PARTS = re.compile(
    "([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z"
).fullmatch
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]*").fullmatch

Pairs = Iterable[tuple[str, str]]


def credential_scope(date: str, region: str, service: str = SERVICE) -> str:
    """Return what a signature is bound to beside the key: day, region, service."""
    return f"{date}/{region}/{service}/{TERMINATOR}"


def signing_key(secret_access_key: str, date: str, region: str, service: str = SERVICE) -> bytes:
    """Return the key that signs everything of one day (yyyymmdd) in one region for one service."""
    key = f"AWS4{secret_access_key}".encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def canonical_request(
    method: str, path: str, query: Pairs, headers: Pairs, payload_hash: str
) -> str:
    """Return the text of a request that is signed.

    `path` as it was sent; `query` decoded, in any order and without a signature; `headers` the signed ones,
    in lower case and in order.
    """
    words = "&".join(sorted(f"{encode(name)}={encode(value)}" for name, value in query))
    signed = list(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in signed)
    names = ";".join(name for name, _ in signed)
    return f"{method}\n{_encode_path(path)}\n{words}\n{lines}\n{names}\n{payload_hash}"


def sign(key: bytes, request: str, timestamp: str, scope: str) -> str:
    """Return the signature (64 hexadecimal digits) of a canonical request."""
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}"
    return hmac.digest(key, text.encode(), "sha256").hex()


def encode(value: str) -> str:
    """Percent-encode as Signature Version 4 wants it: everything but A-Z a-z 0-9 - . _ ~."""
    return value if _UNRESERVED(value) else quote(value, safe="-._~")


def parse_timestamp(text: str) -> int | None:
    """Return the seconds since 1970 that an X-Amz-Date says, None if it is not a time."""
    match = _TIMESTAMP_PARTS(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups())
    try:  # a third of what time.strptime costs
        moment = datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.UTC)
    except ValueError:
        return None
    return int(moment.timestamp())


def _encode_path(path: str) -> str:
    """Encode once more what was encoded to be sent, as all services but S3 have it."""
    return "/".join(map(encode, path.split("/")))
