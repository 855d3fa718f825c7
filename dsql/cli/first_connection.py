"""One real connection, as a client makes it: TLS, startup, token, ReadyForQuery."""

from __future__ import annotations

import asyncio
import ssl
import struct
from pathlib import Path

from dsql.cli.errors import CommandError

_PROTOCOL = 196_608  # 3.0
_CLEARTEXT_PASSWORD = 3
_OK = 0


async def probe(
    address: tuple[str, int], endpoint: str, authority: Path, token: str, timeout_seconds: float
) -> None:
    """Connect as admin and leave again. Raises CommandError with the server's own words."""
    try:
        await asyncio.wait_for(_connect(address, endpoint, authority, token), timeout_seconds)
    except TimeoutError:
        raise CommandError(f"no answer from {endpoint} within {timeout_seconds:g} s") from None
    except (OSError, asyncio.IncompleteReadError) as error:
        raise CommandError(f"cannot connect to {endpoint}: {error}") from error


async def _connect(address: tuple[str, int], endpoint: str, authority: Path, token: str) -> None:
    context = ssl.create_default_context(cafile=str(authority))
    context.set_alpn_protocols(["postgresql"])
    host, port = address
    reader, writer = await asyncio.open_connection(
        host, port, ssl=context, server_hostname=endpoint
    )
    try:
        writer.write(_startup_message())
        while True:
            kind, body = await _message(reader)
            if kind == b"Z":
                break
            if kind == b"E":
                raise CommandError(f"the first connection failed: {_error_text(body)}")
            if kind == b"R":
                _answer(writer, struct.unpack_from("!I", body)[0], token)
        writer.write(b"X\0\0\0\4")
    finally:
        writer.close()


def _startup_message() -> bytes:
    parameters = b"user\0admin\0database\0postgres\0application_name\0dsql up\0\0"
    return struct.pack("!II", 8 + len(parameters), _PROTOCOL) + parameters


def _answer(writer: asyncio.StreamWriter, wanted: int, token: str) -> None:
    if wanted == _CLEARTEXT_PASSWORD:
        password = token.encode() + b"\0"
        writer.write(b"p" + struct.pack("!I", 4 + len(password)) + password)
    elif wanted != _OK:
        raise CommandError(f"the server wants authentication method {wanted}")


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind, length = struct.unpack("!cI", await reader.readexactly(5))
    return kind, await reader.readexactly(length - 4)


def _error_text(body: bytes) -> str:
    fields = {field[:1]: field[1:].decode(errors="replace") for field in body.split(b"\0") if field}
    return fields.get(b"M", "no message")
