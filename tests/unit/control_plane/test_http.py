"""The bounds of what strangers can send, over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from control_plane import app, http_server
from control_plane.http_server import HttpServer
from control_plane.messages import HttpAnswer, HttpRequest

HEAD = b"POST /cluster?a=b%20c HTTP/1.1\r\nHost: x\r\nX-Amz-Two: 1\r\nX-Amz-Two: 2\r\n"


class Door:
    """A server, and what has come through it."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.server = HttpServer(app.make_app(self._answer))
        self.port = 0

    async def _answer(self, request: HttpRequest, request_id: str) -> HttpAnswer:
        self.requests.append(request)
        return HttpAnswer(200, {"x-amzn-RequestId": request_id}, b"{}")

    async def ask(self, *pieces: bytes) -> bytes:
        """Send pieces; return all that comes until the other end closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"".join(pieces))
        try:
            return await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.close()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    found = Door()
    found.port = await found.server.listen("127.0.0.1", 0, None)
    yield found
    await found.server.close()


async def test_a_request_comes_as_it_was_sent(door: Door) -> None:
    answer = await door.ask(HEAD, b"Connection: close\r\nContent-Length: 2\r\n\r\n{}")
    assert answer.startswith(b"HTTP/1.1 200 ")
    (request,) = door.requests
    assert request[:3] == ("POST", "/cluster", "a=b%20c")
    assert request.headers["x-amz-two"] == "1,2"
    assert (request.body, request.address, request.encrypted) == (b"{}", "127.0.0.1", False)


@pytest.mark.parametrize("pieces", [(), (HEAD,)])
async def test_who_does_not_come_to_the_point_is_cut_off(
    door: Door, pieces: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.05)
    assert await door.ask(*pieces) == b""
    assert door.requests == []


async def test_a_body_that_does_not_come_is_not_waited_for(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "BODY_SECONDS_MAX", 0.05)
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.1)
    answer = await door.ask(HEAD, b"Content-Length: 2\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert door.requests == []


async def test_what_is_too_large_is_not_kept(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "BODY_BYTES_MAX", 10)
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.1)
    answer = await door.ask(HEAD, b"Content-Length: 11\r\n\r\n", b"x" * 11)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.rpartition(b"\r\n")[2])["message"]
    header = b"X-Large: " + b"x" * 300_000
    with contextlib.suppress(ConnectionResetError):  # it was not read to its end
        assert (await door.ask(HEAD, header, b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert door.requests == []
