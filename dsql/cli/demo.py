"""`dsql demo`: a cluster with a shop in it, clients that buy there, and the console open.

Without --data it is made for the occasion and removed afterwards; an installation that runs already is used
as it is, and left running.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from dsql.cli import down
from dsql.cli.connecting import choose_cluster, open_access
from dsql.cli.data_directory import holder
from dsql.cli.environment_file import Access
from dsql.cli.errors import CommandError
from dsql.cli.options import add_cluster_argument, number_within
from dsql.client.auth_token import ADMIN_USER
from dsql.control.layout import Layout
from dsql.control.running import CONSOLE_PATH
from dsql.demo.load import Account, Load
from dsql.demo.shop import Query, open_shop
from dsql.health.connection import Door, ServerError, Session, make_door

_TOKEN_SECONDS = 24 * 3600
_APPLICATION = "dsql demo"
_SHOWN_SECONDS, _SHOWN_IN_A_FILE_SECONDS = 0.5, 10.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = (
        "examples:\n"
        "  dsql demo\n"
        "  dsql demo --clients 20 --rate 200 --seconds 60 --no-browser\n"
        "  dsql demo --data .dsql     # in an installation of yours"
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="data directory (default: a new one, removed at the end)",
    )
    add_cluster_argument(parser)
    parser.add_argument(
        "--clients", type=number_within(1), default=6, metavar="N", help="default: 6"
    )
    parser.add_argument(
        "--rate",
        type=number_within(1),
        default=30,
        metavar="N",
        help="transactions a second of all clients together (default: 30)",
    )
    parser.add_argument(
        "--seconds",
        type=number_within(1),
        metavar="N",
        help="end after so many (default: at Ctrl-C)",
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open the console")


def run(arguments: argparse.Namespace) -> int:
    """Start what is not running, and run the load until it is interrupted."""
    with _installation(arguments.data) as (layout, is_new):
        record = choose_cluster(layout, arguments.cluster)
        access = open_access(layout, record, ADMIN_USER, _TOKEN_SECONDS)
        _greet(access, layout, is_new=is_new, opens=not arguments.no_browser)
        try:
            asyncio.run(_run_load(access, arguments))
        except* ServerError as refused:
            raise CommandError(f"the load was refused: {refused.exceptions[0]}") from None
    return 0


@contextlib.contextmanager
def _installation(data: Path | None) -> Iterator[tuple[Layout, bool]]:
    """Have an installation running meanwhile; yield it, and whether it was made for the occasion."""
    if data is not None and holder(Layout(data)) is not None:
        yield Layout(data), False
        return
    made = Path(tempfile.mkdtemp(prefix="dsql-demo-")) if data is None else None
    layout = Layout(made or data or Path())
    try:
        _start(layout.root)
        yield layout, made is not None
    finally:
        down.run(argparse.Namespace(data=layout.root))
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def _start(data: Path) -> None:
    print("starting three availability zones ...", end="", flush=True)
    began = time.monotonic()
    words = ("up", "--detach", "--data", str(data), "--listen", f"127.0.0.1:{_free_port()}")
    # A browser does not know our certificate authority, and it is this host's own loopback.
    started = subprocess.run(
        [sys.executable, "-P", "-m", "dsql.cli.main", *words, "--plaintext"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    print(f" {time.monotonic() - began:.1f} s")
    if started.returncode:
        raise CommandError(started.stderr.strip() or "the cluster did not start")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _greet(access: Access, layout: Layout, *, is_new: bool, opens: bool) -> None:
    """Say where everything is, and open the console where there is a desktop."""
    several = len(layout.cluster_identifiers()) > 1
    print(f"psql      {access.psql_command(layout.root, several=several)}")
    if access.api:
        url, key = f"{access.api}{CONSOLE_PATH}", access.credentials
        # What is somebody's own is not shown on a screen without being asked for.
        secret = f"{key.access_key_id} {key.secret_access_key}" if is_new else "see dsql env"
        print(f"console   {url}\nsign in   {secret}")
        if opens and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            webbrowser.open(url)
    print("stop      Ctrl-C", flush=True)


async def _run_load(access: Access, arguments: argparse.Namespace) -> None:
    """Fill the shop, and let the clients in until somebody stops it."""
    where = (access.host, access.port)
    door = make_door(where, access.record.endpoint, access.authority, access.token)
    async with _session(door) as query:
        await open_shop(query)
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    account, began = Account(), loop.time()
    load = Load(lambda: _session(door), arguments.clients, arguments.rate, account)
    running = asyncio.create_task(load.run())
    running.add_done_callback(lambda _: stop.set())
    while not stop.is_set():
        seconds = loop.time() - began
        if arguments.seconds is not None and seconds >= arguments.seconds:
            break
        _show(account.line(seconds), ends=False)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _every(seconds, arguments.seconds))
    _show(account.line(loop.time() - began), ends=True)
    if running.done():
        running.result()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


def _every(seconds: float, limit: int | None) -> float:
    """Return how long a line stands: one that is written over a moment, others longer."""
    pause = _SHOWN_SECONDS if sys.stdout.isatty() else _SHOWN_IN_A_FILE_SECONDS
    return pause if limit is None else min(pause, max(0.0, limit - seconds))


def _show(line: str, *, ends: bool) -> None:
    if sys.stdout.isatty():
        print(f"\r{line}\x1b[K", end="\n" if ends else "", flush=True)
    else:
        print(line, flush=True)


@contextlib.asynccontextmanager
async def _session(door: Door) -> AsyncIterator[Query]:
    session = await Session.open(door, _APPLICATION)
    with contextlib.closing(session):
        yield session.query
