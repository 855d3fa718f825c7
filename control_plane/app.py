"""The control plane over HTTP, as an ASGI application: bytes in, bytes out, and the bounds of both."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from control_plane.answering import write_failure
from control_plane.failures import ServiceError, too_large, too_slow
from control_plane.messages import HttpAnswer, HttpRequest

BODY_BYTES_MAX = (
    256 * 1024
)  # a policy of the largest size takes a tenth, whatever has to be escaped
BODY_SECONDS_MAX = 10.0
_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]

Answering = Callable[[HttpRequest, str], Awaitable[HttpAnswer]]


def make_app(answering: Answering) -> Starlette:
    """Return the application; `answering` gets a whole request and its id."""

    async def answer(request: Request) -> Response:
        request_id = str(uuid.uuid4())
        try:
            found = await answering(await _read(request), request_id)
        except ServiceError as error:
            found = write_failure(error, request_id)
        except ClientDisconnect:
            return Response(status_code=400)  # to nobody
        return Response(found.body, found.status, found.headers)

    return Starlette(routes=[Route("/{path:path}", answer, methods=_METHODS)])


async def _read(request: Request) -> HttpRequest:
    """Return a request once all of it is there. Raises ServiceError."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return HttpRequest(
        method=request.method,
        path=request.scope["raw_path"].decode("ascii", "backslashreplace"),
        query=request.scope["query_string"].decode("ascii", "backslashreplace"),
        headers=headers,
        body=await _read_body(request),
        address=request.client.host if request.client is not None else "",
        encrypted=request.url.scheme == "https",
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
