"""A console on a socket, without a cluster behind it, and a browser that says whatever it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import wsproto
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from direct_service import REGION, Service
from wsproto import events

from control_plane.app import make_app
from control_plane.audit import AuditLog
from control_plane.authentication import Authenticator
from control_plane.console.desk import Clocks, Desk
from control_plane.console.guard import Guard
from control_plane.console.routes import Console
from control_plane.console.sessions import Sessions
from control_plane.console.tunnel import Tunnels
from control_plane.console.watch import Watch
from control_plane.dispatch import Dispatcher
from control_plane.http_server import HttpServer
from control_plane.messages import HttpAnswer, HttpRequest
from dsql.control.authority import Authority
from dsql.control.clusters import create_cluster
from dsql.control.identities import AccessKey
from dsql.control.layout import ClusterRecord, Layout
from dsql.rate_limit import RateLimit

SESSION = "/console/api/session"


class Answered(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class ConsoleDoor:
    """The console of a data directory, on a port of its own."""

    def __init__(self, service: Service, relay: tuple[str, int] | None = None) -> None:
        self.service = service
        self.audit = AuditLog()
        self.shift = 0.0  # how far the monotonic clock is ahead
        self.tunnels = Tunnels(service.layout, relay)
        self.sessions = Sessions()
        self.server = HttpServer(make_app(self._api, self._console().routes()))
        self.sockets: list[Socket] = []
        self.port = 0

    async def close(self) -> None:
        await self.server.close()
        for socket in self.sockets:
            socket.close()
        await asyncio.sleep(0.01)  # what was cut off is told so by the loop

    def monotonic(self) -> float:
        return time.monotonic() + self.shift

    def _console(self) -> Console:
        plane = self.service.dispatcher._plane
        guard = Guard(self.sessions, self.service.keys, self.monotonic)
        authenticator = Authenticator(self.service.keys, REGION)
        clocks = Clocks(time.time, self.monotonic)
        layout = self.service.layout
        desk = Desk(plane, layout, authenticator, self.sessions, guard, self.audit, clocks)
        dispatcher = Dispatcher(plane, guard, RateLimit(50, 500), self.audit)
        return Console(desk, dispatcher, Watch(layout), self.tunnels, self._work)

    async def _work(self, work: Callable[[], Any]) -> Any:
        return work()

    async def _api(self, request: HttpRequest, request_id: str) -> HttpAnswer:
        return HttpAnswer(418, {}, b"{}")

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Answered:
        """Send one request on a connection of its own."""
        lines = {"Host": self.host, "Connection": "close", **(headers or {})}
        if body:
            lines["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        top, _, rest = answer.partition(b"\r\n\r\n")
        first, *others = top.decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in others)
        found = {name.lower(): value for name, value in pairs}
        return Answered(int(first.split()[1]), found, rest)

    def signed(self, key: AccessKey, body: bytes = b"") -> dict[str, str]:
        """Return the headers of a sign-in, as our page signs it."""
        request = AWSRequest("POST", f"http://{self.host}{SESSION}", data=body)
        credentials = Credentials(
            key.access_key_id, key.secret_access_key, key.session_token or None
        )
        SigV4Auth(credentials, "dsql", REGION).add_auth(request)
        return dict(request.headers.items()) | {"Origin": f"http://{self.host}"}

    async def sign_in(self, key: AccessKey | None = None) -> Browser:
        body = str(uuid.uuid4()).encode()
        answer = await self.ask("POST", SESSION, self.signed(key or self.service.first, body), body)
        assert answer.status == 200, answer
        cookie = answer.headers["set-cookie"].partition(";")[0]
        return Browser(self, {"Cookie": cookie, "X-Dsql-Console": answer.json()["token"]})


class Browser(NamedTuple):
    """Somebody who is signed in."""

    door: ConsoleDoor
    headers: dict[str, str]

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answered:
        text = b"" if body is None else json.dumps(body).encode()
        return await self.door.ask(method, f"/console/api{path}", self.headers | headers, text)

    async def connect(self, identifier: str, **headers: str) -> Socket:
        socket = Socket(self.door)
        self.door.sockets.append(socket)
        own = {"Origin": f"http://{self.door.host}", "Cookie": self.headers["Cookie"]}
        await socket.open(f"/console/api/clusters/{identifier}/connect", own | headers)
        return socket


class Socket:
    """A WebSocket of a client's."""

    def __init__(self, door: ConsoleDoor) -> None:
        self._door = door
        self._machine = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)

    async def open(self, path: str, headers: dict[str, str]) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._door.port)
        lines = [(name.encode(), value.encode()) for name, value in headers.items() if value]
        subprotocols = ["postgresql"]
        self.send_event(events.Request(self._door.host, path, [], lines, subprotocols))

    def send_event(self, event: events.Event) -> None:
        self._writer.write(self._machine.send(event))

    def send(self, data: bytes) -> None:
        self.send_event(events.BytesMessage(data))

    async def next(self) -> events.Event:
        """Return what comes next."""
        async with asyncio.timeout(10):
            while True:
                for event in self._machine.events():
                    return event
                data = await self._reader.read(65536)
                if not data:
                    return events.CloseConnection(1006, "end of file")
                self._machine.receive_data(data)

    async def closed(self) -> events.CloseConnection:
        while True:
            event = await self.next()
            if isinstance(event, events.CloseConnection):
                return event

    def close(self) -> None:
        self._writer.transport.abort()


class Relay(NamedTuple):
    """What came to a relay: server names, and bytes; all that it is sent it sends back."""

    names: list[str]
    received: bytearray


@contextlib.asynccontextmanager
async def relay_of(layout: Layout, record: ClusterRecord) -> AsyncIterator[Relay]:
    """Run a relay with a cluster's certificate, at the address where relays are."""
    relay = Relay([], bytearray())

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                relay.received.extend(data)
                if data == b"leave":
                    break
                writer.write(data)
                await writer.drain()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    identifier = record.identifier
    context.load_cert_chain(layout.certificate(identifier), layout.key(identifier))
    context.sni_callback = lambda _, name, __: relay.names.append(name)
    context.set_alpn_protocols(["postgresql"])
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    host, port = server.sockets[0].getsockname()
    layout.relay_address.parent.mkdir(exist_ok=True)
    layout.relay_address.write_text(f"{host}:{port}")
    try:
        yield relay
    finally:
        server.close()


def new_cluster(service: Service) -> ClusterRecord:
    """Make a cluster that is served."""
    record = create_cluster(service.layout, Authority.open(service.layout))
    service.registry.load()
    return record
