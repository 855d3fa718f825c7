"""What a browser has to show: that it is signed in, and that it is our page that asks. Pure.

A cookie alone proves nothing: browsers send it along with what other pages ask for. Against these stand
`SameSite=Strict`, the Origin that browsers tell, and a token that only our page can read and send.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie

from control_plane.console.sessions import Session, Sessions
from control_plane.failures import ServiceError, denied
from control_plane.messages import HttpRequest
from dsql.control.identities import AccessKey
from dsql.control.signed_requests import Keys

TOKEN_HEADER = "x-dsql-console"
_PLAIN_COOKIE = "dsql-console"
_OURS = ("same-origin", "none")  # none: the user has typed the address


class Guard:
    """Finds the session that a request belongs to, and the access key behind it."""

    def __init__(self, sessions: Sessions, keys: Keys, monotonic: Callable[[], float]) -> None:
        self._sessions = sessions
        self._keys = keys
        self._monotonic = monotonic

    def authenticate(self, request: HttpRequest, now: float) -> AccessKey:
        """Return the access key of who asks, by cookie and token. Raises ServiceError."""
        session, key = self.admit(request.headers, request.encrypted, now)
        given = request.headers.get(TOKEN_HEADER, "")
        if not hmac.compare_digest(session.token.encode(), given.encode()):
            raise denied("The request is not one of the console's page.")
        return key

    def admit(
        self, headers: Mapping[str, str], encrypted: bool, now: float
    ) -> tuple[Session, AccessKey]:
        """Return the session of a cookie and its access key. Raises ServiceError.

        Enough for what only looks, and whose answer another site's page cannot read.
        """
        check_origin(headers, encrypted)
        session = self._sessions.find(_cookie_of(headers, encrypted), self._monotonic())
        if session is None:
            raise _signed_out()
        return session, self.key_of(session, now)

    def key_of(self, session: Session, now: float) -> AccessKey:
        """Return a session's access key, if it still may be used. Raises ServiceError."""
        key = self._keys.find(session.access_key_id, session.session_token)
        if key is None or not key.usable(now) or session.is_over(self._monotonic()):
            self._sessions.end(session)
            raise _signed_out()
        return key


def check_origin(headers: Mapping[str, str], encrypted: bool, *, required: bool = False) -> None:
    """Raises ServiceError if a browser says that another site's page asks.

    `required`: for what is asked by scripts only, of which browsers always tell the origin.
    """
    origin = headers.get("origin")
    own = f"{'https' if encrypted else 'http'}://{headers.get('host', '')}"
    foreign = required if origin is None else origin.lower() != own.lower()
    if foreign or headers.get("sec-fetch-site", _OURS[0]) not in _OURS:
        raise denied("The request comes from another site.")


def cookie_header(value: str, encrypted: bool) -> str:
    """Return what sets the cookie, or removes it if the value is empty."""
    secure = "; Secure" if encrypted else ""
    gone = "" if value else "; Max-Age=0"
    return f"{_cookie_name(encrypted)}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{gone}"


def _cookie_name(encrypted: bool) -> str:
    """`__Host-`: no other host, path or plaintext page can have set it."""
    return f"__Host-{_PLAIN_COOKIE}" if encrypted else _PLAIN_COOKIE


def _cookie_of(headers: Mapping[str, str], encrypted: bool) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(_cookie_name(encrypted))
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _signed_out() -> ServiceError:
    return ServiceError("ExpiredTokenException", 401, "You are not signed in.")
