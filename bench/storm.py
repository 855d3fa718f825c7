"""Many connections at once: open, hold, ask each once, drop all and see them come back.

    python bench/storm.py                                this server beside PostgreSQL
    python bench/storm.py --connections 2000 --churn     and a rate of connect, one query, close
    python bench/storm.py --connections 9500 --alone --beside   no PostgreSQL; pgbench beside those held
    python bench/storm.py --dsn HOST:PORT USER PASSWORD SNI   any server that runs already, alone

One process of clients; each logs in by itself over TLS 1.3 (SSLRequest; SCRAM or a token as the password).
`back` is the time from the moment all were dropped until each has been served again; with `--beside`, eight
clients of pgbench work on meanwhile. As those of the storm are few machines to a server, they give way to
it (nice). Memory is the proportional anonymous one of all the server's processes, per connection that is
held and silent.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import hmac
import os
import resource
import ssl
import struct
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import postgres
import server
import uvloop
import workloads

AT_ONCE = 64  # logins of one side under way
_SSL_REQUEST = struct.pack("!II", 8, 80877103)
_STEPS_BACK = 10
_SILENT_SECONDS = 3.0  # until those that are held are at rest
_TRIES_SECONDS = 60.0  # a client that was refused or cut off tries again for so long


class Target(NamedTuple):
    """Where a storm goes. `sni` is what TLS names."""

    host: str
    port: int
    user: str
    password: str
    sni: str
    variables: Mapping[str, str]  # libpq's; empty: somebody else's server


class Client:
    """One connection: `open`, then `ask` as often as wanted."""

    def __init__(self, target: Target, context: ssl.SSLContext) -> None:
        self._target = target
        self._context = context
        self._nonce = base64.b64encode(os.urandom(18))

    async def open(self) -> None:
        """Log in. Raises OSError, or RuntimeError with the server's refusal."""
        target = self._target
        self._reader, self._writer = await asyncio.open_connection(target.host, target.port)
        self._writer.write(_SSL_REQUEST)
        if await self._reader.readexactly(1) != b"S":
            raise RuntimeError("no TLS")
        await self._writer.start_tls(self._context, server_hostname=target.sni)
        parameters = f"user\0{target.user}\0database\0postgres\0\0".encode()
        self._writer.write(struct.pack("!II", len(parameters) + 8, 196608) + parameters)
        await self._until_ready()

    async def ask(self) -> None:
        """Have one query answered."""
        self._send(b"Q", b"select 1\0")
        await self._until_ready()

    def drop(self) -> None:
        """Go without a word."""
        self._writer.transport.abort()

    def _send(self, kind: bytes, body: bytes) -> None:
        self._writer.write(kind + struct.pack("!I", len(body) + 4) + body)

    async def _until_ready(self) -> None:
        kind = b""
        while kind != b"Z":
            head = await self._reader.readexactly(5)
            kind = head[:1]
            body = await self._reader.readexactly(int.from_bytes(head[1:], "big") - 4)
            if kind == b"E":
                raise RuntimeError(body.replace(b"\0", b" ").decode())
            if kind == b"R":
                self._authenticate(int.from_bytes(body[:4], "big"), body[4:])

    def _authenticate(self, method: int, body: bytes) -> None:
        if method == 3:
            self._send(b"p", self._target.password.encode() + b"\0")
        elif method == 10:
            first = b"n,,n=,r=" + self._nonce
            self._send(b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(first)) + first)
        elif method == 11:
            self._send(b"p", _scram_final(self._target.password, self._nonce, body))


def _scram_final(password: str, nonce: bytes, challenge: bytes) -> bytes:
    """Return the client's last message of SCRAM-SHA-256 (RFC 5802)."""
    parts = dict(part.split(b"=", 1) for part in challenge.split(b","))
    salt, rounds = base64.b64decode(parts[b"s"]), int(parts[b"i"])
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    final = b"c=biws,r=" + parts[b"r"]
    message = b"n=,r=" + nonce + b"," + challenge + b"," + final
    signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    return final + b",p=" + base64.b64encode(proof)


class Storm:
    """`count` clients of one target."""

    def __init__(self, target: Target, count: int) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._target = target
        self._count = count
        self._places = asyncio.Semaphore(AT_ONCE)
        self._held: list[Client] = []
        self.repeated = 0

    async def open_all(self) -> float:
        """Open and ask every client once; return the seconds that took."""
        started = time.monotonic()
        self._held = list(await asyncio.gather(*(self._open() for _ in range(self._count))))
        return time.monotonic() - started

    async def ask_all(self) -> float:
        """Ask each of the held ones, one after the other; return the seconds that took."""
        started = time.monotonic()
        for client in self._held:
            await client.ask()
        return time.monotonic() - started

    def drop_all(self) -> None:
        """Close every connection at once."""
        for client in self._held:
            client.drop()

    async def churn(self) -> float:
        """Connect, ask, and close, `count` times; return the seconds that took."""

        async def visit() -> None:
            (await self._open()).drop()

        started = time.monotonic()
        await asyncio.gather(*(visit() for _ in range(self._count)))
        return time.monotonic() - started

    async def _open(self) -> Client:
        until = time.monotonic() + _TRIES_SECONDS
        while True:
            async with self._places:
                client = Client(self._target, self._context)
                try:
                    await client.open()
                    await client.ask()
                except (OSError, RuntimeError, asyncio.IncompleteReadError):
                    if time.monotonic() > until:
                        raise
                    self.repeated += 1
                else:
                    return client
            await asyncio.sleep(0.05)


async def measure(
    name: str, target: Target, count: int, *, churn: bool, beside: Executor | None
) -> None:
    """Run one storm and print what it took. `beside` is where pgbench is run."""
    storm = Storm(target, count)
    alone = await _rate(target, beside) if beside else 0.0
    before = _memory_kib(target)
    opened = await storm.open_all()
    print(f"{name}: {count} opened in {opened:.2f} s", end="", flush=True)
    await asyncio.sleep(_SILENT_SECONDS)
    if target.variables:
        print(f", {(_memory_kib(target) - before) / count:.1f} KiB each", end="")
    if beside:
        print(f", pgbench beside them {await _rate(target, beside) / alone:.2f} of alone", end="")
    asked = await storm.ask_all()
    storm.drop_all()
    coming = asyncio.create_task(storm.open_all())
    meanwhile = await _rate(target, beside) / alone if beside else 1.0
    back = await coming
    storm.drop_all()
    print(f", asked in {asked:.2f} s, back in {back:.2f} s", end="")
    if beside:
        print(f" with pgbench at {meanwhile:.2f}", end="")
    if churn:
        print(f", churn {count / await storm.churn():.0f}/s", end="")
    print(f", tries repeated {storm.repeated}", flush=True)


def _memory_kib(target: Target) -> int:
    return workloads.server_memory_kib(target.port) if target.variables else 0


async def _rate(target: Target, executor: Executor) -> float:
    """Return the transactions per second of pgbench's point reads from eight clients."""
    measured = partial(workloads.rate, target.variables, "select-only", 8, 5, scale=1)
    run = await asyncio.get_running_loop().run_in_executor(executor, measured)
    return run.tps


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--churn", action="store_true")
    parser.add_argument("--alone", action="store_true", help="leave PostgreSQL out")
    parser.add_argument("--beside", action="store_true", help="run pgbench beside those held")
    parser.add_argument("--dsn", nargs=4, metavar=("HOST:PORT", "USER", "PASSWORD", "SNI"))
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if arguments.dsn:
        host, _, port = arguments.dsn[0].rpartition(":")
        _in_turns({"server": Target(host, int(port), *arguments.dsn[1:], {})}, arguments)
        return
    with tempfile.TemporaryDirectory(prefix="dsql-storm-") as temporary:
        os.chmod(temporary, 0o711)
        _side_by_side(Path(temporary), arguments)


def _side_by_side(directory: Path, arguments: argparse.Namespace) -> None:
    with server.running(directory / "dsql", workloads.free_port()) as ours:
        targets = {"dsql": _target(ours)}
        if arguments.alone or postgres.binaries() is None:
            _in_turns(targets, arguments)
            return
        with postgres.running(directory / "pg", workloads.free_port(), standbys=0) as theirs:
            _in_turns(targets | {"postgres": _target(theirs)}, arguments)


def _target(variables: dict[str, str]) -> Target:
    host = variables.get("PGHOSTADDR") or variables["PGHOST"]
    user, password = variables["PGUSER"], variables["PGPASSWORD"]
    return Target(host, int(variables["PGPORT"]), user, password, variables["PGHOST"], variables)


def _in_turns(targets: dict[str, Target], arguments: argparse.Namespace) -> None:
    with ThreadPoolExecutor(1) as executor:
        beside = executor if arguments.beside and not arguments.dsn else None
        if beside is not None:
            for target in targets.values():
                beside.submit(workloads.initialise, target.variables, 1).result()
            os.nice(_STEPS_BACK)  # this thread, not the one that pgbench is run in
        for _ in range(arguments.repeat):
            for name, target in targets.items():
                count, churn = arguments.connections, arguments.churn
                uvloop.run(measure(name, target, count, churn=churn, beside=beside))


if __name__ == "__main__":
    main()
