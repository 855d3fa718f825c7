"""One log record per request, with the names of CloudTrail's records.

No secret, signature or session token is ever among the fields. What was refused before anybody was
authenticated is recorded at a bounded rate, and the next record says how many were left out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from control_plane.failures import ServiceError
from control_plane.messages import HttpRequest
from control_plane.plane import Settings
from control_plane.service_model import Operation
from dsql.control import trail
from dsql.control.identities import AccessKey
from dsql.control.trail import API_CALL, SIGN_IN, EventKind
from dsql.rate_limit import RateLimit

_log = logging.getLogger("control_plane.audit")

STRANGERS_RATE, STRANGERS_BURST = 10.0, 100
_AGENT_CHARACTERS = 200
_HIDDEN = {"clientToken"}
_CREDENTIALS, _SHOWN_OF_CREDENTIALS = "Credentials", ("AccessKeyId", "Expiration")
_NAMELESS = {SIGN_IN: "ConsoleLogin"}


class Event:
    """A request and what became of it; it fills as that proceeds."""

    def __init__(
        self, request: HttpRequest, request_id: str, now: float, kind: EventKind = API_CALL
    ) -> None:
        self.kind = kind
        self.request = request
        self.request_id = request_id
        self.now = now
        self.operation: Operation | None = None
        self.key: AccessKey | None = None
        self.parameters: Mapping[str, Any] = {}
        self.output: Mapping[str, Any] = {}
        self.failure: ServiceError | None = None


class AuditLog:
    """Writes events."""

    def __init__(self) -> None:
        self._strangers = RateLimit(STRANGERS_RATE, STRANGERS_BURST)
        self._suppressed = 0

    def record(self, event: Event, settings: Settings, now: float) -> None:
        """Log what a request has come to; `now` is monotonic."""
        if event.key is None and not self._strangers.take(event.request.address, now):
            self._suppressed += 1
            return
        fields = _fields(event, settings)
        if self._suppressed:
            fields["suppressed"] = self._suppressed
            self._suppressed = 0
        _log.info("%s", fields["eventName"], extra=fields)

    def forget_full(self, now: float) -> None:
        """Drop what the limit need not remember any more."""
        self._strangers.forget_full(now)


def _fields(event: Event, settings: Settings) -> dict[str, Any]:
    operation, request = event.operation, event.request
    reads_only = operation is not None and operation.reads_only
    shown = {key: value for key, value in event.parameters.items() if key not in _HIDDEN}
    name = operation.name if operation is not None else _NAMELESS.get(event.kind, "Unknown")
    settled = trail.event(
        event.kind, name, event.now, settings.region, settings.account, request.address
    )
    fields: dict[str, Any] = settled | {
        "userAgent": request.headers.get("user-agent", "")[:_AGENT_CHARACTERS],
        "requestID": event.request_id,
        "readOnly": reads_only,
        "requestParameters": shown or None,
        "responseElements": None if reads_only else _without_secrets(event.output) or None,
    }
    if event.key is not None:
        fields["userIdentity"] = trail.identity(event.key.principal, event.key.access_key_id)
    if event.failure is not None:
        fields |= {"errorCode": event.failure.name, "errorMessage": event.failure.message}
    return fields


def _without_secrets(output: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(output)
    if _CREDENTIALS in shown:
        given = shown[_CREDENTIALS]
        shown[_CREDENTIALS] = {name: given[name] for name in _SHOWN_OF_CREDENTIALS}
    return shown
