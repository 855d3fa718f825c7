"""The control plane over HTTP, as an ASGI application: bytes in, bytes out, and the bounds of both."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from control_plane.answering import write_failure
from control_plane.failures import ServiceError, too_large, too_slow
from control_plane.messages import HttpAnswer, HttpRequest

BODY_BYTES_MAX = (
    256 * 1024
)  # a policy of the largest size takes a tenth, whatever has to be escaped
BODY_SECONDS_MAX = 10.0
METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]

Answering = Callable[[HttpRequest, str], Awaitable[HttpAnswer]]


def make_app(answering: Answering, before: Sequence[BaseRoute] = ()) -> Starlette:
    """Return the application; `answering` gets a whole request and its id, if none of `before` takes it."""

    async def answer(request: Request) -> Response:
        request_id = str(uuid.uuid4())
        try:
            found = await answering(await read_request(request), request_id)
        except ServiceError as error:
            found = write_failure(error, request_id)
        except ClientDisconnect:
            return Response(status_code=400)  # to nobody
        return Response(found.body, found.status, found.headers)

    return Starlette(routes=[*before, Route("/{path:path}", answer, methods=METHODS)])


async def read_request(request: Request) -> HttpRequest:
    """Return a request once all of it is there. Raises ServiceError."""
    return request_of(request)._replace(body=await _read_body(request))


def request_of(connection: HTTPConnection) -> HttpRequest:
    """Return a request without its body."""
    headers: dict[str, str] = {}
    for name, value in connection.headers.items():
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return HttpRequest(
        method=connection.scope.get("method", "GET"),
        path=connection.scope["raw_path"].decode("ascii", "backslashreplace"),
        query=connection.scope["query_string"].decode("ascii", "backslashreplace"),
        headers=headers,
        body=b"",
        address=connection.client.host if connection.client is not None else "",
        encrypted=connection.url.scheme in ("https", "wss"),
    )


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for piece in request.stream():
                body += piece
                if len(body) > BODY_BYTES_MAX:
                    raise too_large(BODY_BYTES_MAX)
    except TimeoutError:
        raise too_slow() from None
    return bytes(body)
