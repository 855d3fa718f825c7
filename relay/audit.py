"""One line per login attempt: when, to which cluster, as whom, from where, and with what outcome.

Lines are JSON on the logger `relay.audit`. Tokens and secrets are never part of one.
"""

from __future__ import annotations

import logging

import msgspec

_log = logging.getLogger("relay.audit")
_encode = msgspec.json.Encoder().encode


class LoginAttempt(msgspec.Struct, omit_defaults=True):
    """What is known of an attempt; it fills as the attempt proceeds. `time` is seconds since 1970."""

    time: float
    client_address: str
    cluster: str = ""
    user: str = ""
    principal: str = ""
    access_key_id: str = ""
    action: str = ""
    tls: str = ""
    outcome: str = ""
    reason: str = ""

    def record(self, outcome: str, reason: str = "") -> None:
        """Write the line. `outcome` is accepted, refused or broken."""
        self.outcome, self.reason = outcome, reason
        if _log.isEnabledFor(logging.INFO):
            _log.info("%s", _encode(self).decode())
