"""One log record per login attempt: to which cluster, as whom, from where, and with what outcome.

The logger is `relay.audit`; the fields are the record's extras, which the role's formatter turns into JSON
beside the time. Tokens and secrets are never among them. Every accepted login is recorded. What failed
costs strangers nothing, so it is recorded at a bounded rate, per source and in all, and the next record
says how many were left out.
"""

from __future__ import annotations

import logging

import msgspec

from dsql.rate_limit import RateLimit

_log = logging.getLogger("relay.audit")

PER_SOURCE_RATE, PER_SOURCE_BURST = 10.0, 100
TOTAL_RATE, TOTAL_BURST = 100.0, 1_000
_EVERYBODY = ""


class LoginAttempt(msgspec.Struct):
    """What is known of an attempt; it fills as the attempt proceeds."""

    client_address: str
    cluster: str = ""
    user: str = ""
    principal: str = ""
    access_key_id: str = ""
    action: str = ""
    tls: str = ""
    connection: int = (
        0  # what all roles' log lines name it by: the process id of its BackendKeyData
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
        fields = {name: value for name, value in msgspec.structs.asdict(attempt).items() if value}
        fields["outcome"] = outcome
        if reason:
            fields["reason"] = reason
        if self._suppressed:
            fields["suppressed"] = self._suppressed
            self._suppressed = 0
        _log.info("login %s", outcome, extra=fields)

    def forget_full(self, now: float) -> None:
        """Drop what the limits need not remember any more."""
        self._per_source.forget_full(now)

    def _may_write(self, source: str, now: float) -> bool:
        return bool(self._per_source.take(source, now) and self._total.take(_EVERYBODY, now))
