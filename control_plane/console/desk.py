"""What the console's page asks for beside the operations of the API. For one thread at a time.

POST   session                  sign in: signed with the access key as requests to the API are
GET    session                  who is signed in, after the page was loaded again
DELETE session                  sign out
POST   clusters/ID/token        a token for a database user, as `dsql token` makes them
GET    clusters/ID/place        where clients reach the cluster, for what is pasted elsewhere
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from control_plane.answering import write_failure
from control_plane.audit import AuditLog, Event
from control_plane.authentication import Authenticator
from control_plane.console.guard import Guard, check_origin, cookie_header
from control_plane.console.replays import Replays
from control_plane.console.sessions import Session, Sessions
from control_plane.failures import ServiceError, conflict, internal, invalid, throttled
from control_plane.messages import HttpAnswer, HttpRequest
from control_plane.permissions import Caller
from control_plane.plane import Plane
from dsql.client.auth_token import (
    ADMIN_ACTION,
    ADMIN_USER,
    USER_ACTION,
    Credentials,
    action_for,
    generate_auth_token,
)
from dsql.control.identities import AccessKey
from dsql.control.layout import Layout
from dsql.control.resources import ClusterResource
from dsql.control.running import relay_address
from dsql.control.trail import SIGN_IN
from dsql.rate_limit import RateLimit

log = logging.getLogger(__name__)

SIGN_INS_PER_SECOND, SIGN_INS_BURST = 0.2, 20  # of one address
TOKEN_SECONDS = 900
USER_CHARACTERS_MAX = 63
_JSON = {"Content-Type": "application/json", "Cache-Control": "no-store"}

Answer = dict[str, Any]


class Clocks(NamedTuple):
    """Seconds since 1970, and those of the monotonic clock."""

    wall: Callable[[], float]
    monotonic: Callable[[], float]


class Desk:
    """Answers requests, one after the other."""

    def __init__(
        self,
        plane: Plane,
        layout: Layout,
        authenticator: Authenticator,
        sessions: Sessions,
        guard: Guard,
        audit: AuditLog,
        clocks: Clocks,
    ) -> None:
        self._plane = plane
        self._layout = layout
        self._authenticator = authenticator
        self._sessions = sessions
        self._guard = guard
        self._audit = audit
        self._clocks = clocks
        self._sign_ins = RateLimit(SIGN_INS_PER_SECOND, SIGN_INS_BURST)
        self._replays = Replays()

    @property
    def region(self) -> str:
        """The region for which requests are signed."""
        return self._plane.settings.region

    def answer(
        self, ask: Callable[[HttpRequest], HttpAnswer], request: HttpRequest, request_id: str
    ) -> HttpAnswer:
        """Return what one of the methods below answers, or its refusal."""
        try:
            return ask(request)
        except ServiceError as error:
            return write_failure(error, request_id)
        except Exception:
            log.exception("request %s failed", request_id)
            return write_failure(internal(), request_id)

    def sign_in(self, request: HttpRequest, request_id: str) -> HttpAnswer:
        """Begin a session for who has signed the request. It is audited."""
        event = Event(request, request_id, self._clocks.wall(), SIGN_IN)
        try:
            return self._sign_in(request, event)
        except ServiceError as error:
            event.failure = error
            raise
        finally:
            self._audit.record(event, self._plane.settings, self._clocks.monotonic())

    def _sign_in(self, request: HttpRequest, event: Event) -> HttpAnswer:
        check_origin(request.headers, request.encrypted, required=True)
        now = self._clocks.monotonic()
        if not self._sign_ins.take(request.address, now):
            raise throttled()
        key = self._authenticator.authenticate(request, event.now)
        # What is presigned in a query is good for up to a week: nothing for a session.
        self._replays.check(request.headers.get("authorization"), now)
        event.key = key
        cookie, session = self._sessions.begin(key.access_key_id, now, key.session_token)
        event.output = {"ConsoleLogin": "Success"}
        headers = {"Set-Cookie": cookie_header(cookie, request.encrypted)}
        return _written(self._describe(session, key), headers)

    def who(self, request: HttpRequest) -> HttpAnswer:
        """Tell our page who is signed in, and the token that it has to send; nothing if nobody is."""
        check_origin(request.headers, request.encrypted)
        try:
            session, key = self._guard.admit(
                request.headers, request.encrypted, self._clocks.wall()
            )
        except ServiceError:
            return _written({})
        return _written(self._describe(session, key))

    def sign_out(self, request: HttpRequest) -> HttpAnswer:
        """End the session. Raises ServiceError."""
        self._guard.authenticate(request, self._clocks.wall())
        session, _ = self._guard.admit(request.headers, request.encrypted, self._clocks.wall())
        self._sessions.end(session)
        return _written({}, {"Set-Cookie": cookie_header("", request.encrypted)})

    def token(self, request: HttpRequest, identifier: str) -> HttpAnswer:
        """Make a token for a database user, if the caller may connect as that. Raises ServiceError."""
        key, caller = self._caller(request)
        user = _user_of(request.body)
        resource = self._plane.registry.find(identifier)
        context = {"dsql:dbuser": (user,)}
        self._plane.permissions.require(caller, action_for(user), identifier, resource, context)
        self._served(identifier)
        credentials = Credentials(key.access_key_id, key.secret_access_key, key.session_token)
        endpoint = self._plane.endpoint(identifier)
        region = self._plane.settings.region
        token = generate_auth_token(user, endpoint, region, credentials, TOKEN_SECONDS)
        return _written({"token": token, "user": user, "expiresIn": TOKEN_SECONDS})

    def place(self, request: HttpRequest, identifier: str) -> HttpAnswer:
        """Tell where clients reach a cluster. Raises ServiceError."""
        self.check_visible(request, identifier)
        host, port = relay_address(self._layout)
        record = self._layout.read_cluster(identifier)
        return _written(
            {
                "endpoint": self._plane.endpoint(identifier),
                "address": host,
                "port": port,
                "authority": str(self._layout.ca_certificate.absolute()),
                "region": self._plane.settings.region,
                "profile": self._plane.settings.profile if record is None else record.profile,
            }
        )

    def check_visible(self, request: HttpRequest, identifier: str) -> None:
        """Raises ServiceError unless the caller may see the cluster."""
        _, caller = self._caller(request)
        self._plane.permitted(caller, "GetCluster", identifier)

    def open_tunnel(self, request: HttpRequest, identifier: str) -> Session:
        """Return the session of who may connect to a cluster. Raises ServiceError.

        The relay decides by the token who connects as whom; it does not see the address of the browser.
        """
        check_origin(request.headers, request.encrypted, required=True)
        now = self._clocks.wall()
        session, key = self._guard.admit(request.headers, request.encrypted, now)
        caller = Caller(key, request.address, now, request.encrypted)
        resource = self._plane.registry.find(identifier)
        self._require_one(caller, identifier, resource)
        self._served(identifier)
        return session

    def endpoint(self, identifier: str) -> str:
        """Return the host name of a cluster."""
        return self._plane.endpoint(identifier)

    def check_session(self, session: Session) -> None:
        """Raises ServiceError once a session has ended, or its key is no good any more."""
        self._guard.key_of(session, self._clocks.wall())

    def forget_full(self, now: float) -> None:
        """Drop what the limit need not remember any more."""
        self._sign_ins.forget_full(now)

    def _require_one(
        self, caller: Caller, identifier: str, resource: ClusterResource | None
    ) -> None:
        permissions = self._plane.permissions
        try:
            permissions.require(caller, ADMIN_ACTION, identifier, resource)
        except ServiceError:
            permissions.require(caller, USER_ACTION, identifier, resource)

    def _served(self, identifier: str) -> None:
        resource = self._plane.registry.get(identifier)
        if not resource.is_served:
            raise conflict(f"Cluster '{identifier}' is {resource.status}.", identifier)

    def _caller(self, request: HttpRequest) -> tuple[AccessKey, Caller]:
        now = self._clocks.wall()
        key = self._guard.authenticate(request, now)
        return key, Caller(key, request.address, now, request.encrypted)

    def _describe(self, session: Session, key: AccessKey) -> Answer:
        settings = self._plane.settings
        return {
            "token": session.token,
            "principal": key.principal,
            "accessKeyId": key.access_key_id,
            "region": settings.region,
            "account": settings.account,
            "profile": settings.profile,
        }


def _user_of(body: bytes) -> str:
    try:
        user = json.loads(body or b"{}").get("user", ADMIN_USER)
    except (ValueError, AttributeError):
        raise invalid("The body is no JSON object.", "cannotParse") from None
    if not isinstance(user, str) or not 0 < len(user) <= USER_CHARACTERS_MAX or "\0" in user:
        raise invalid("user must be the name of a database role.", "fieldValidationFailed")
    return user


def _written(output: Answer, headers: dict[str, str] | None = None) -> HttpAnswer:
    return HttpAnswer(200, _JSON | (headers or {}), json.dumps(output).encode())
