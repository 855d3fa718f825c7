"""One log record per login attempt: to which cluster, as whom, from where, and with what outcome.

The logger is `relay.audit`; the fields are the record's extras, which the role's formatter turns into JSON
beside the time. Tokens and secrets are never among them.
"""

from __future__ import annotations

import logging

import msgspec

_log = logging.getLogger("relay.audit")


class LoginAttempt(msgspec.Struct):
    """What is known of an attempt; it fills as the attempt proceeds."""

    client_address: str
    cluster: str = ""
    user: str = ""
    principal: str = ""
    access_key_id: str = ""
    action: str = ""
    tls: str = ""

    def record(self, outcome: str, reason: str = "") -> None:
        """Log the end of the attempt. `outcome` is accepted, refused, broken or cancel."""
        if _log.isEnabledFor(logging.INFO):
            known = {name: value for name, value in msgspec.structs.asdict(self).items() if value}
            fields = known | {"outcome": outcome} | ({"reason": reason} if reason else {})
            _log.info("login %s", outcome, extra=fields)
