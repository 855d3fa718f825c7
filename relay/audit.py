"""One log record per login attempt: to which cluster, as whom, from where, and with what outcome.

The logger is `relay.audit`; the fields are the record's extras, which the role's formatter turns into JSON
beside the time. They have CloudTrail's names (`dsql.control.trail`), and four of our own beside: `outcome`,
`reason`, `connection` and `suppressed`. Tokens and secrets are never among them. Every accepted login is
recorded. What failed costs strangers nothing, so it is recorded at a bounded rate, per source and in all,
and the next record says how many were left out.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from dsql.client.auth_token import action_for
from dsql.control import trail
from dsql.control.trail import CONNECTION_SOURCE
from dsql.rate_limit import RateLimit
from relay.iam_token import Identity

_log = logging.getLogger("relay.audit")

PER_SOURCE_RATE, PER_SOURCE_BURST = 10.0, 100
TOTAL_RATE, TOTAL_BURST = 100.0, 1_000
_EVERYBODY = ""
_NAMELESS = "Connect"  # of whom nothing is known but the address
_CANCEL = "Cancel"
_BROKEN = "ConnectionBroken"
ACCESS_DENIED = "AccessDenied"


class LoginAttempt(msgspec.Struct):
    """What is known of an attempt; it fills as the attempt proceeds.

    `resource` is the cluster's ARN, `error` ACCESS_DENIED or the SQLSTATE of what it was refused with.
    """

    address: str
    port: int = 0
    cluster: str = ""
    resource: str = ""
    user: str = ""
    principal: str = ""
    access_key_id: str = ""
    action: str = ""
    tls: str = ""
    error: str = ""
    connection: int = (
        0  # what all roles' log lines name it by: the process id of its BackendKeyData
    )

    def signed_by(self, identity: Identity) -> None:
        """Note who has signed the token, and for which action."""
        self.principal, self.access_key_id, self.action = identity

    @property
    def client_address(self) -> str:
        """Where the client is, with its port."""
        return (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.address}:{self.port}"
        )


class AuditLog:
    """Writes the ends of attempts."""

    def __init__(self) -> None:
        self._per_source = RateLimit(PER_SOURCE_RATE, PER_SOURCE_BURST)
        self._total = RateLimit(TOTAL_RATE, TOTAL_BURST)
        self._suppressed = 0

    def record(
        self, attempt: LoginAttempt, source: str, now: float, outcome: str, reason: str = ""
    ) -> None:
        """Log the end of an attempt. `outcome` is accepted, refused, broken or cancel; `now` monotonic."""
        if not _log.isEnabledFor(logging.INFO):
            return
        if outcome != "accepted" and not self._may_write(source, now):
            self._suppressed += 1
            return
        fields = _fields(attempt, outcome, reason)
        if self._suppressed:
            fields["suppressed"] = self._suppressed
            self._suppressed = 0
        _log.info("login %s", outcome, extra=fields)

    def forget_full(self, now: float) -> None:
        """Drop what the limits need not remember any more."""
        self._per_source.forget_full(now)

    def _may_write(self, source: str, now: float) -> bool:
        return bool(self._per_source.take(source, now) and self._total.take(_EVERYBODY, now))


def _fields(attempt: LoginAttempt, outcome: str, reason: str) -> dict[str, Any]:
    """Return what is known, and no more: a line is part of what a login costs."""
    fields: dict[str, Any] = {
        "eventSource": CONNECTION_SOURCE,
        "eventName": _name(attempt, outcome),
        "sourceIPAddress": attempt.address,
        "requestParameters": {"user": attempt.user, "port": attempt.port},
        "outcome": outcome,
    }
    if attempt.resource:
        fields["resources"] = [{"ARN": attempt.resource}]
    elif attempt.cluster:
        fields["requestParameters"]["identifier"] = attempt.cluster
    if attempt.tls:
        fields["tlsDetails"] = {"tlsVersion": attempt.tls}
    if attempt.principal:
        fields["userIdentity"] = trail.identity(attempt.principal, attempt.access_key_id)
    if attempt.connection:
        fields["connection"] = attempt.connection
    if attempt.error or outcome == "broken":
        fields |= {"errorCode": attempt.error or _BROKEN, "errorMessage": reason}
    elif reason:
        fields["reason"] = reason
    return fields


def _name(attempt: LoginAttempt, outcome: str) -> str:
    if outcome == "cancel":
        return _CANCEL
    return attempt.action or (action_for(attempt.user) if attempt.user else _NAMELESS)
