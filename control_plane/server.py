"""The control plane as a process: registry, lifecycles, the API's listener, and an account of itself.

There is one for a data directory. Requests are carried out one after the other by a thread, in which alone
the registry is changed; the event loop does HTTP, and waits for zones and agents.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from control_plane.app import make_app
from control_plane.audit import AuditLog
from control_plane.authentication import Authenticator
from control_plane.certificate import ApiCertificate, reachable
from control_plane.console.desk import Clocks, Desk
from control_plane.console.guard import Guard
from control_plane.console.routes import Console
from control_plane.console.sessions import Sessions
from control_plane.console.tunnel import Tunnels
from control_plane.console.watch import Watch
from control_plane.dispatch import STS, Dispatcher
from control_plane.http_server import HttpServer
from control_plane.lifecycle import Lifecycle
from control_plane.messages import HttpAnswer, HttpRequest
from control_plane.permissions import Permissions
from control_plane.plane import Plane, Settings
from control_plane.query_protocol import STS_SERVICE, is_query
from control_plane.registry import Registry
from dsql.control.access_keys import AccessKeyStore
from dsql.control.atomic_file import write_atomically
from dsql.control.authority import Authority
from dsql.control.layout import Layout
from dsql.control.running import control_address
from dsql.rate_limit import RateLimit
from dsql.rpc.messages import StatusReply, StatusRequest, decode_opening, encode
from dsql.rpc.server import FramedConnection, ProtocolError, listen

log = logging.getLogger(__name__)

REQUESTS_PER_SECOND, REQUESTS_BURST = 50.0, 500  # of one access key
HOUSEKEEPING_SECONDS = 600.0

Result = TypeVar("Result")


class Address(NamedTuple):
    """Where the API is; port 0: where it was the last time, or any free port.

    `relay` is where the console's queries go, (host, port); None: to the relays on this host.
    """

    host: str
    port: int = 0
    encrypted: bool = True
    relay: tuple[str, int] | None = None


class ControlPlane:
    """All parts, on one event loop."""

    def __init__(self, layout: Layout, settings: Settings, address: Address) -> None:
        self._layout = layout
        self._address = address
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "control-plane")
        self._registry = Registry(layout)
        self._rate = RateLimit(REQUESTS_PER_SECOND, REQUESTS_BURST)
        self._audit = AuditLog()
        self._requests = 0
        self._authority = Authority.open(layout)
        self._certificate: ApiCertificate | None = None
        self._lifecycle = Lifecycle(layout, self._authority, self._registry, settings, self._work)
        keys = AccessKeyStore(layout.access_keys)
        plane = Plane(
            settings,
            self._registry,
            Permissions(keys, settings.region, settings.account),
            self._lifecycle.changed,
        )
        authenticator = Authenticator(keys, settings.region)
        self._dispatcher = Dispatcher(plane, authenticator, self._rate, self._audit)
        self._sts = Dispatcher(
            plane,
            Authenticator(keys, settings.region, STS_SERVICE),
            self._rate,
            self._audit,
            service=STS,
        )
        sessions = Sessions()
        guard = Guard(sessions, keys, time.monotonic)
        clocks = Clocks(time.time, time.monotonic)
        self._desk = Desk(plane, layout, authenticator, sessions, guard, self._audit, clocks)
        console = Console(
            self._desk,
            Dispatcher(plane, guard, self._rate, self._audit),
            Watch(layout),
            Tunnels(layout, address.relay),
            self._work,
        )
        self._http = HttpServer(make_app(self._answer, console.routes()))
        self._keeping: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Read what there is, go on with what was begun, and listen. Raises OSError."""
        address = self._address
        await self._work(self._registry.load)
        self._lifecycle.resume()
        layout = self._layout
        if address.encrypted:
            self._certificate = ApiCertificate(
                layout, self._authority, address.host, self._settings.region
            )
        port = await self._listen()
        scheme = "https" if address.encrypted else "http"
        url = f"{scheme}://{reachable(address.host)}:{port}\n"
        write_atomically(layout.control_address, url.encode())
        log.info("the control plane listens on %s:%d", address.host, port)
        self._keep(self._housekeep())

    def status(self) -> StatusReply:
        """Tell how many clusters there are, and how many requests have come."""
        where = self._layout.control_address.read_text().strip()
        return StatusReply(
            {"listen": where, "clusters": len(self._registry), "requests": self._requests}
        )

    async def close(self) -> None:
        """Finish what is being answered, and leave the rest to the next one."""
        for task in self._keeping:
            task.cancel()
        await self._http.close()
        await self._lifecycle.close()
        self._thread.shutdown()

    async def _listen(self) -> int:
        address = self._address
        context = None if self._certificate is None else self._certificate.context
        last = control_address(self._layout)
        wanted = [address.port] if address.port else [*([last[1]] if last else []), 0]
        for port in wanted[:-1]:
            try:
                return await self._http.listen(address.host, port, context)
            except OSError:
                log.warning("port %d is taken: another one is used", port)
        return await self._http.listen(address.host, wanted[-1], context)

    async def _answer(self, request: HttpRequest, request_id: str) -> HttpAnswer:
        self._requests += 1
        dispatcher = self._sts if is_query(request) else self._dispatcher
        return await self._work(
            functools.partial(dispatcher.answer, request, request_id, time.time())
        )

    def _work(self, work: Callable[[], Result]) -> Awaitable[Result]:
        return asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        self._keeping.append(asyncio.get_running_loop().create_task(work))

    def _renew(self) -> None:
        assert self._certificate is not None
        try:
            self._certificate.renew()
        except OSError as error:  # a full disk, say: a month is left to try again
            log.error("the certificate was not renewed: %s", error)

    async def _housekeep(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            now = time.monotonic()
            if self._certificate is not None:
                await self._work(self._renew)
            self._rate.forget_full(now)
            self._audit.forget_full(now)
            self._desk.forget_full(now)


class _Desk(FramedConnection):
    """Whoever wants to know how we are."""

    def __init__(self, plane: ControlPlane) -> None:
        super().__init__()
        self._plane = plane

    def frame_received(self, body: bytes) -> None:
        if not isinstance(decode_opening(body), StatusRequest):
            raise ProtocolError("the control plane is asked over HTTP")
        self.send(encode(self._plane.status()))


async def serve(
    layout: Layout, settings: Settings, address: Address, on_ready: Callable[[], None]
) -> None:
    """Run the control plane until cancelled. Raises OSError."""
    plane = ControlPlane(layout, settings, address)
    listening = await listen(layout.socket("control"), lambda: _Desk(plane))
    try:
        await plane.start()
        on_ready()
        await asyncio.get_running_loop().create_future()
    finally:
        listening.close()
        await asyncio.shield(plane.close())
