"""A relay with everything around it: a data directory, a placement service and an agent made for tests.

The agent answers with a session that says who it is; it goes on with the TLS state by the same code as a
query processor. Clients block, so tests run them in threads.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop
from OpenSSL import SSL

from dsql.client.auth_token import Credentials, generate_auth_token
from dsql.control.access_keys import AccessKeyStore, ensure_first_key
from dsql.control.authority import Authority, ensure_certificates
from dsql.control.clusters import DEFAULT_ACCOUNT, create_cluster
from dsql.control.identities import AccessKey
from dsql.control.layout import Layout
from dsql.rpc.packets import PacketChannel, PacketServer
from dsql.session.handed import HandedSession
from dsql.session.handed import decode as decode_handed
from dsql.tls.connection import Connection, open_connection
from dsql.wire.backend import (
    AUTHENTICATION_OK,
    READY_IDLE,
    backend_key_data,
    command_complete,
    parameter_status,
)
from dsql.wire.buffer import MessageReader
from placement.messages import (
    Accepted,
    Acquire,
    Cancel,
    HandOver,
    Message,
    Placed,
    Refused,
    StatusReport,
    StatusRequest,
    decode,
    encode,
)
from relay.front_door import Settings
from relay.server import RelayServer

PROCESS_ID = 4711
SSL_REQUEST = struct.pack("!II", 8, 80877103)


class Neighbours:
    """The placement service and the agent."""

    def __init__(self, layout: Layout) -> None:
        self.refusal: tuple[str, str] | None = None
        self.silent = False
        self.placed = 0
        self.handed: list[HandedSession] = []
        self.cancelled: list[tuple[int, int]] = []
        self.threads: list[threading.Thread] = []
        self.last_words = threading.Event()  # when a session that ends may say them
        self._agent_path = str(layout.socket("agent"))
        self._servers = [
            PacketServer(layout.socket("placement"), self._accept),
            PacketServer(layout.socket("agent"), self._accept),
        ]
        self._channels: list[PacketChannel] = []

    def close(self) -> None:
        while self._servers:
            self._servers.pop().close()
        while self._channels:
            self._channels.pop().close()

    def _accept(self, connection: socket.socket) -> None:
        def received(packet: bytes, descriptors: list[int]) -> None:
            answer = self._answer(packet, descriptors)
            if answer is not None:
                channel.send(encode(answer))

        channel = PacketChannel(connection, received, lambda: None)
        self._channels.append(channel)

    def _answer(self, packet: bytes, descriptors: list[int]) -> Message | None:
        match decode(packet):
            case Cancel(process_id, secret_key):
                self.cancelled.append((process_id, secret_key))
                return None
            case Acquire(request):
                if self.refusal is not None:
                    return Refused(request, *self.refusal)
                self.placed += 1
                return Placed(request, self._agent_path, PROCESS_ID)
            case HandOver(request, handed):
                if self.silent:
                    os.close(descriptors[0])
                    return None
                self._serve(decode_handed(handed), descriptors[0])
                return Accepted(request)
            case StatusRequest(request):
                return StatusReport(request, {})
        raise AssertionError("an unexpected message")

    def _serve(self, handed: HandedSession, descriptor: int) -> None:
        self.handed.append(handed)
        client = socket.socket(fileno=descriptor)
        client.setblocking(True)
        connection = open_connection(client, handed.tls)
        arguments = (handed, connection, self.last_words)
        thread = threading.Thread(target=serve_session, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()


def serve_session(
    handed: HandedSession, connection: Connection, last_words: threading.Event
) -> None:
    """Answer every simple query with its own text, prefixed by the user; end with the query END."""
    connection.send(
        AUTHENTICATION_OK
        + parameter_status("server_version", "16.15")
        + parameter_status("client_encoding", "UTF8")
        + backend_key_data(handed.process_id, handed.secret_key)
        + READY_IDLE
    )
    reader = MessageReader()
    data = handed.pending
    while True:
        for kind, body in reader.feed(data):
            if kind == ord("X"):
                connection.close()
                return
            if kind == ord("Q"):
                connection.send(answer(f"{handed.user}: ".encode() + body[:-1]))
            if body == b"END\0":
                connection.end_input()
                last_words.wait(10)
                connection.send(answer(b"last words"))
                connection.close()
                return
        try:
            data = connection.receive()
        except ConnectionError:
            data = b""
        if not data:
            connection.close()
            return


def answer(text: bytes) -> bytes:
    field = b"echo\0" + struct.pack("!IHIhih", 0, 0, 25, -1, -1, 0)
    description = struct.pack("!H", 1) + field
    row = struct.pack("!HI", 1, len(text)) + text
    return (
        b"T" + struct.pack("!I", len(description) + 4) + description
        + b"D" + struct.pack("!I", len(row) + 4) + row
        + command_complete("SELECT 1") + READY_IDLE
    )  # fmt: skip


class Installation:
    """A data directory with one cluster, its neighbours and its relay."""

    def __init__(self, layout: Layout, authority: Authority) -> None:
        self.layout = layout
        self.cluster = create_cluster(layout, authority)
        self.keys = AccessKeyStore(layout.access_keys)
        self.key: AccessKey = ensure_first_key(self.keys, DEFAULT_ACCOUNT)
        ensure_certificates(layout, authority, datetime.datetime.now(datetime.UTC))
        self.neighbours = Neighbours(layout)
        self.relay: RelayServer

    async def start(self, settings: Settings) -> None:
        self.relay = await RelayServer.start(self.layout, "127.0.0.1", 0, settings)
        self.port = self.relay.addresses[0][1]

    async def stop(self) -> None:
        await self.relay.close()
        self.neighbours.close()
        for thread in self.neighbours.threads:
            await asyncio.to_thread(thread.join, 5)

    def token(self, user: str = "admin", expires_in: int = 900, host: str = "") -> str:
        key = self.key
        credentials = Credentials(key.access_key_id, key.secret_access_key, key.session_token)
        endpoint = host or self.cluster.endpoint
        return generate_auth_token(user, endpoint, self.cluster.region, credentials, expires_in)

    def client(self, **options: object) -> WireClient:
        return WireClient(self, **options)  # type: ignore[arg-type]


class WireClient:
    """A blocking client that can be told every detail of its handshake."""

    def __init__(
        self,
        installation: Installation,
        *,
        server_name: str | None = None,
        ciphers: str = "",
        tls12: bool = False,
        direct: bool = False,
        alpn: bytes = b"postgresql",
    ) -> None:
        self._socket = socket.create_connection(("127.0.0.1", installation.port), timeout=10)
        self._socket.settimeout(None)
        # pyOpenSSL wants a blocking socket; the kernel keeps the time.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 10, 0))
        if not direct:
            self._socket.sendall(SSL_REQUEST)
            assert self._socket.recv(1) == b"S"
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.load_verify_locations(str(installation.layout.ca_certificate))
        context.set_verify(SSL.VERIFY_PEER, lambda *facts: bool(facts[-1]))
        if tls12:
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
        if ciphers:
            context.set_tls13_ciphersuites(ciphers.encode())
        if alpn:
            context.set_alpn_protos([alpn])
        self.tls = SSL.Connection(context, self._socket)
        name = installation.cluster.endpoint if server_name is None else server_name
        if name:
            self.tls.set_tlsext_host_name(name.encode())
        self.tls.set_connect_state()
        self.tls.do_handshake()
        self._buffer = b""

    def startup(self, version: int = 196608, **parameters: str) -> None:
        texts = {"user": "admin", "database": "postgres"} | parameters
        body = struct.pack("!I", version) + b"".join(
            f"{name}\0{value}\0".encode() for name, value in texts.items()
        )
        self.tls.sendall(struct.pack("!I", len(body) + 5) + body + b"\0")

    def password(self, token: str, more: bytes = b"") -> None:
        self.tls.sendall(message(b"p", token.encode() + b"\0") + more)

    def query(self, text: str) -> list[tuple[bytes, bytes]]:
        self.tls.sendall(message(b"Q", text.encode() + b"\0"))
        return self.until(b"Z")

    def log_in(self, token: str, **parameters: str) -> list[tuple[bytes, bytes]]:
        """Log in and return the messages up to ReadyForQuery, or up to the refusal."""
        self.startup(**parameters)
        kind, body = self.read()
        while kind == b"v":
            kind, body = self.read()
        if kind == b"E":
            return [(kind, body)]
        assert (kind, body) == (b"R", b"\0\0\0\3")
        self.password(token)
        return self.until(b"Z")

    def until(self, last: bytes) -> list[tuple[bytes, bytes]]:
        messages = [self.read()]
        while messages[-1][0] not in (last, b"E"):
            messages.append(self.read())
        return messages

    def read(self) -> tuple[bytes, bytes]:
        while len(self._buffer) < 5 or len(self._buffer) < 1 + self._length:
            self._buffer += self.tls.recv(65536)
        end = 1 + self._length
        kind, body = self._buffer[:1], self._buffer[5:end]
        self._buffer = self._buffer[end:]
        return kind, body

    @property
    def _length(self) -> int:
        return int.from_bytes(self._buffer[1:5], "big")

    def close(self) -> None:
        self._socket.close()


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def error_fields(body: bytes) -> dict[str, str]:
    return {field[:1].decode(): field[1:].decode() for field in body.split(b"\0") if field}


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.chdir(tmp_path)  # socket paths are relative to the data directory
    return Layout(Path())


@pytest.fixture
def settings() -> Settings:
    return Settings(drain_seconds=2.0)


@pytest.fixture
async def installation(layout: Layout, settings: Settings) -> AsyncIterator[Installation]:
    made = Installation(layout, Authority.open(layout))
    await made.start(settings)
    yield made
    await made.stop()


@pytest.fixture
def fields() -> Callable[[bytes], dict[str, str]]:
    return error_fields


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test on both loops: production uses uvloop, whose transports differ in detail."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
