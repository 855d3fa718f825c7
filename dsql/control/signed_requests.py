"""What every signed request has to stand: scope, time, key and signature, in the words of AWS.

Tokens (`relay.iam_token`) and requests to the control plane (`control_plane.authentication`) differ in
where they carry this, and in how whoever is refused is told.
"""

from __future__ import annotations

import hmac
import time
from typing import NamedTuple, Protocol

from dsql.client.signature import SERVICE, TERMINATOR, TIMESTAMP
from dsql.control.identities import AccessKey

CLOCK_SKEW_SECONDS = 300


class SignatureRefusedError(Exception):
    """It proves nothing. `name` is AWS's exception, `reason` for the log, the text for the sender."""

    def __init__(self, name: str, reason: str, text: str) -> None:
        super().__init__(text)
        self.name = name
        self.reason = reason
        self.text = text


class Scope(NamedTuple):
    """What a credential says: whose key, and for which day (yyyymmdd), region and service."""

    access_key_id: str
    date: str
    region: str
    service: str


class Keys(Protocol):
    """Where keys are found."""

    def find(self, access_key_id: str, session_token: str = "") -> AccessKey | None:
        """Return the key with this id, and of temporary credentials this token."""
        ...


def parse_scope(credential: str) -> Scope | None:
    """Return the parts of `KEY/DAY/REGION/SERVICE/aws4_request`, None for anything else."""
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != TERMINATOR or len(parts[1]) != 8:
        return None
    return Scope(*parts[:4])


def check_scope(scope: Scope, region: str, service: str = SERVICE) -> None:
    """Raises SignatureRefusedError for another service or region."""
    if scope.service != service:
        text = f"Credential should be scoped to correct service: '{service}'."
        raise _invalid("wrong service", text)
    if scope.region != region:
        raise _invalid("wrong region", "Credential should be scoped to a valid region.")


def check_time(signed_at: float, expires_at: float, now: float) -> None:
    """Raises SignatureRefusedError unless `now` lies between; a clock may be a little ahead of ours."""
    if expires_at <= now:
        text = f"Signature expired: {_show(expires_at)} is now earlier than {_show(now)}"
        raise _invalid("expired", text)
    if signed_at > now + CLOCK_SKEW_SECONDS:
        raise _invalid(
            "not yet current",
            f"Signature not yet current: {_show(signed_at)} is still later than "
            f"{_show(now + CLOCK_SKEW_SECONDS)} ({_show(now)} + {CLOCK_SKEW_SECONDS // 60} min.)",
        )


def usable_key(keys: Keys, access_key_id: str, session_token: str, now: float) -> AccessKey:
    """Return the key of this id, if it may be used now, with this token. Raises SignatureRefusedError."""
    key = keys.find(access_key_id, session_token)
    if key is None or not key.active:
        raise _unrecognized("wrong session token" if session_token else "unknown key")
    if not key.usable(now):
        text = "The security token included in the request is expired"
        raise SignatureRefusedError("ExpiredTokenException", "expired credentials", text)
    return key


def check_signature(expected: bytes, given: str) -> None:
    """Raises SignatureRefusedError if they differ."""
    if not hmac.compare_digest(expected, given.encode()):
        raise _invalid(
            "wrong signature",
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method.",
        )


def _invalid(reason: str, text: str) -> SignatureRefusedError:
    return SignatureRefusedError("InvalidSignatureException", reason, text)


def _unrecognized(reason: str) -> SignatureRefusedError:
    text = "The security token included in the request is invalid."
    return SignatureRefusedError("UnrecognizedClientException", reason, text)


def _show(moment: float) -> str:
    return time.strftime(TIMESTAMP, time.gmtime(moment))
