"""Who is signed in: sessions that begin with a signature and hold no secret. Pure.

A browser signs its sign-in with the access key's secret, as any request to the API is signed, and keeps
that to itself. What it gets is a random cookie; here its hash leads to the id of the access key, and to the
token of temporary credentials, so that a key that is taken away takes its sessions with it. They are in
memory: a control plane that starts has none.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Iterable

SESSIONS_MAX = 1_000
SESSIONS_PER_KEY_MAX = 20
IDLE_SECONDS = 3_600.0
AGE_SECONDS = 12 * 3_600.0
_SECRET_BYTES = 32


class Session:
    """One. `token` goes with each request beside the cookie, in a header that no other site can set."""

    def __init__(self, access_key_id: str, session_token: str, now: float) -> None:
        self.access_key_id = access_key_id
        self.session_token = session_token  # of the credentials, "" of a user's
        self.token = secrets.token_urlsafe(_SECRET_BYTES)
        self.began_at = self.seen_at = now  # seconds on a monotonic clock
        self.ended = False

    def is_over(self, now: float) -> bool:
        """Return whether it was silent for too long, or has lasted for too long."""
        is_old = now - self.seen_at > IDLE_SECONDS or now - self.began_at > AGE_SECONDS
        return self.ended or is_old


class Sessions:
    """All of them; where there are too many, the one that was silent for the longest gives way."""

    def __init__(self) -> None:
        self._open: OrderedDict[bytes, Session] = OrderedDict()  # the most recently seen last

    def begin(self, access_key_id: str, now: float, session_token: str = "") -> tuple[str, Session]:
        """Return a new session, and the cookie's value that leads to it."""
        own = [place for place, one in self._open.items() if one.access_key_id == access_key_id]
        self._drop(own[: len(own) + 1 - SESSIONS_PER_KEY_MAX])
        self._drop(list(self._open)[: len(self._open) + 1 - SESSIONS_MAX])
        cookie = secrets.token_urlsafe(_SECRET_BYTES)
        session = Session(access_key_id, session_token, now)
        self._open[_place(cookie)] = session
        return cookie, session

    def find(self, cookie: str, now: float) -> Session | None:
        """Return the session that a cookie leads to, None if there is none any more."""
        place = _place(cookie)
        session = self._open.get(place)
        if session is None:
            return None
        if session.is_over(now):
            self._drop([place])
            return None
        session.seen_at = now
        self._open.move_to_end(place)
        return session

    def end(self, session: Session) -> None:
        """Forget a session: nothing leads to it from now on."""
        self._drop([place for place, one in self._open.items() if one is session])

    def _drop(self, places: Iterable[bytes]) -> None:
        for place in places:
            self._open.pop(place).ended = True


def _place(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
