"""A real connection, as a client makes it: TLS, startup, token, and one simple query at a time.

For what must see the server from outside, without a driver: the first connection of `dsql up`, and the
probes of `dsql chaos`.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from pathlib import Path
from typing import NamedTuple

from dsql.wire import client

_CLEARTEXT_PASSWORD = 3
_OK = 0

Row = tuple[str | None, ...]


class ServerError(Exception):
    """The server's ErrorResponse."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"{sqlstate}: {message}")
        self.sqlstate = sqlstate
        self.message = message


class Door(NamedTuple):
    """Where a cluster is, and how to be let in as admin. `address`: (host, port) of the relay."""

    address: tuple[str, int]
    endpoint: str
    token: str
    context: ssl.SSLContext


def make_door(address: tuple[str, int], endpoint: str, authority: Path, token: str) -> Door:
    """Return the door of a cluster whose certificate was issued by `authority` (a file)."""
    context = ssl.create_default_context(cafile=str(authority))
    context.set_alpn_protocols(["postgresql"])
    return Door(address, endpoint, token, context)


class Session:
    """One session. Raises OSError and IncompleteReadError where the connection is lost."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, door: Door, name: str) -> Session:
        """Connect, with `name` as application_name. Raises ServerError if it is refused."""
        host, port = door.address
        reader, writer = await asyncio.open_connection(
            host, port, ssl=door.context, server_hostname=door.endpoint
        )
        session = cls(reader, writer)
        try:
            writer.write(
                client.startup({"user": "admin", "database": "postgres", "application_name": name})
            )
            await session._until_ready(door.token)
        except BaseException:
            session.close()
            raise
        return session

    async def query(self, text: str) -> list[Row]:
        """Run a statement and return its rows, as text. Raises ServerError."""
        self._writer.write(client.query(text))
        return await self._until_ready()

    def close(self) -> None:
        """Leave, without waiting for anything."""
        if not self._writer.is_closing():
            self._writer.write(client.terminate())
        self._writer.close()

    async def _until_ready(self, token: str = "") -> list[Row]:
        rows: list[Row] = []
        refused: ServerError | None = None
        while True:
            kind, length = struct.unpack("!cI", await self._reader.readexactly(5))
            body = await self._reader.readexactly(length - 4)
            if kind == b"D":
                values = client.row_values(body)
                rows.append(tuple(None if v is None else v.decode() for v in values))
            elif kind == b"E":
                fields = client.error_fields(body)
                refused = ServerError(fields["C"], fields["M"])
                if fields.get("V", fields["S"]) != "ERROR":
                    raise refused  # the connection ends with it
            elif kind == b"R":
                self._authenticate(struct.unpack_from("!I", body)[0], token)
            elif kind == b"Z":
                if refused is not None:
                    raise refused
                return rows

    def _authenticate(self, method: int, token: str) -> None:
        if method == _CLEARTEXT_PASSWORD:
            self._writer.write(client.password(token))
        elif method != _OK:
            raise ServerError("08P01", f"the server wants authentication method {method}")
