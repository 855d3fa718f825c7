"""Sessions as an agent knows them: their keys, and what a query processor gives back of one."""

from __future__ import annotations

import hmac
from typing import NamedTuple

from dsql.session.control import Ears


class Keys(NamedTuple):
    """A session's BackendKeyData. `process_key` is unique among the sessions that live."""

    process_key: int
    secret_key: int

    def allow(self, secret_key: int) -> bool:
        """Return whether a cancellation with this key is meant for the session."""
        return hmac.compare_digest(_eight_bytes(self.secret_key), _eight_bytes(secret_key))


def _eight_bytes(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)


class ParkedRecord(NamedTuple):
    """What a query processor gives back of a session, to be resumed elsewhere; `client` is the socket.

    `deadline` is when it has to be resumed at the latest, `activity` what others may hear of it, `ears`
    what it has to hear itself.
    """

    number: int
    keys: Keys
    client: int
    record: bytes
    deadline: float = 0.0
    activity: bytes = b""
    ears: Ears | None = None
