"""The console over HTTP: its pages, what they ask for, and the way to the relay."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from control_plane.answering import write_failure
from control_plane.app import METHODS, read_request, request_of
from control_plane.console.desk import Desk
from control_plane.console.pages import SECURITY_HEADERS, Pages
from control_plane.console.tunnel import PROTOCOL, Tunnels
from control_plane.console.watch import Watch
from control_plane.dispatch import Dispatcher
from control_plane.failures import ServiceError, no_cluster
from control_plane.messages import HttpAnswer, HttpRequest
from dsql.control.running import CONSOLE_PATH

log = logging.getLogger(__name__)

_API = f"{CONSOLE_PATH}api"
_CLUSTER = _API + "/clusters/{identifier}"
Result = TypeVar("Result")
Ask = Callable[[HttpRequest], HttpAnswer]


class Work(Protocol):
    """Runs what uses the registry or the sessions, one after the other, beside the event loop."""

    def __call__(self, work: Callable[[], Result], /) -> Awaitable[Result]:
        """Return what `work` returns."""
        ...


class Console:
    """All routes. `dispatcher` carries out the operations of the API for who is signed in."""

    def __init__(
        self, desk: Desk, dispatcher: Dispatcher, watch: Watch, tunnels: Tunnels, work: Work
    ) -> None:
        self._desk = desk
        self._dispatcher = dispatcher
        self._watch = watch
        self._tunnels = tunnels
        self._work = work
        self._pages = Pages(desk.region)

    def routes(self) -> list[BaseRoute]:
        """Return the routes; what they leave is the API's."""
        return [
            Route("/", self._entrance, methods=["GET"]),
            Route(CONSOLE_PATH.rstrip("/"), self._entrance, methods=["GET"]),
            Route(CONSOLE_PATH, self._page, methods=["GET"]),
            Route(f"{CONSOLE_PATH}assets/{{name}}", self._asset, methods=["GET"]),
            Route(f"{_API}/session", self._session, methods=["GET", "POST", "DELETE"]),
            Route(f"{_CLUSTER}/token", self._token, methods=["POST"]),
            Route(f"{_CLUSTER}/place", self._place, methods=["GET"]),
            Route(f"{_CLUSTER}/picture", self._picture, methods=["GET"]),
            WebSocketRoute(f"{_CLUSTER}/connect", self._connect),
            Route(_API + "/aws/{path:path}", self._operation, methods=METHODS),
        ]

    async def _entrance(self, _: Request) -> Response:
        return RedirectResponse(CONSOLE_PATH, 302, SECURITY_HEADERS)

    async def _page(self, _: Request) -> Response:
        return _response(self._pages.page())

    async def _asset(self, request: Request) -> Response:
        return _response(self._pages.asset(request.path_params["name"], request_of(request)))

    async def _session(self, request: Request) -> Response:
        request_id = str(uuid.uuid4())
        ways: dict[str, Ask] = {
            "POST": lambda found: self._desk.sign_in(found, request_id),
            "DELETE": self._desk.sign_out,
        }
        return await self._ask(request, ways.get(request.method, self._desk.who))

    async def _token(self, request: Request) -> Response:
        identifier = request.path_params["identifier"]
        return await self._ask(request, lambda found: self._desk.token(found, identifier))

    async def _place(self, request: Request) -> Response:
        identifier = request.path_params["identifier"]
        return await self._ask(request, lambda found: self._desk.place(found, identifier))

    async def _picture(self, request: Request) -> Response:
        identifier = request.path_params["identifier"]
        found = request_of(request)
        try:
            await self._work(lambda: self._desk.check_visible(found, identifier))
            picture = await self._watch.picture(identifier)
            if picture is None:
                raise no_cluster(identifier)
        except ServiceError as error:
            return _response(write_failure(error, str(uuid.uuid4())))
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        return Response(json.dumps(picture), 200, headers | SECURITY_HEADERS)

    async def _operation(self, request: Request) -> Response:
        prefix = f"{_API}/aws"

        def ask(found: HttpRequest) -> HttpAnswer:
            inner = found._replace(path=found.path.removeprefix(prefix))
            return self._dispatcher.answer(inner, str(uuid.uuid4()), time.time())

        return await self._ask(request, ask)

    async def _ask(self, request: Request, ask: Ask) -> Response:
        request_id = str(uuid.uuid4())
        try:
            found = await read_request(request)
        except ServiceError as error:
            return _response(write_failure(error, request_id))
        except ClientDisconnect:
            return Response(status_code=400)  # to nobody
        return _response(await self._work(lambda: self._desk.answer(ask, found, request_id)))

    async def _connect(self, browser: WebSocket) -> None:
        identifier = browser.path_params["identifier"]
        found = request_of(browser)
        try:
            session = await self._work(lambda: self._desk.open_tunnel(found, identifier))
        except ServiceError as error:
            refusal = write_failure(error, str(uuid.uuid4()))
            await browser.send_denial_response(_response(refusal))
            return
        if PROTOCOL not in browser.scope["subprotocols"]:
            await browser.close(1002)
            return
        await browser.accept(PROTOCOL)

        async def check() -> None:
            await self._work(lambda: self._desk.check_session(session))

        endpoint = self._desk.endpoint(identifier)
        await self._tunnels.carry(browser, endpoint, session, check)


def _response(answer: HttpAnswer) -> Response:
    return Response(answer.body, answer.status, SECURITY_HEADERS | answer.headers)
