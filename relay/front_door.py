"""What all sessions of one relay share."""

from __future__ import annotations

import asyncio
import dataclasses
import resource
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

from OpenSSL import SSL

from dsql.control.access_keys import AccessKeyStore
from dsql.control.layout import Layout
from dsql.limits import (
    CANCEL_BURST,
    CANCEL_RATE_PER_SECOND,
    OPEN_LOGINS_MAX,
    OPEN_LOGINS_PER_ADDRESS_MAX,
)
from dsql.rate_limit import RateLimit
from dsql.rpc.link import address_of
from placement.client import AgentClient, LinkedAgentClient, PlacementClient, Remote
from relay.admission import Admission
from relay.audit import AuditLog
from relay.cancel_key import CancelKeys
from relay.ciphertext import Copies
from relay.clusters import ClusterDirectory
from relay.iam_token import Verifier
from relay.metrics import Metrics
from relay.routing import cluster_of_server_name
from relay.splice import Splices
from relay.tls import make_context, make_entry_context

if TYPE_CHECKING:
    from relay.session import RelaySession


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a relay behaves. `name` is its own among those that share a port, `az` is where it stands.

    `login_seconds` is what a client has for its handshake and password, `place_seconds` what the cluster
    then has to give it a query processor. The `open_logins` limits bound the logins that have not got as
    far as that, and with them the memory of a storm; the `cancel` limits hold per address. `metrics_at` is
    where Prometheus may fetch the counters, `placement_at` the link of placement's host if that is another.
    """

    name: str = "relay-1"
    az: str = ""
    login_seconds: float = 30.0
    place_seconds: float = 60.0
    drain_seconds: float = 10.0
    open_logins_max: int = OPEN_LOGINS_MAX
    open_logins_per_address_max: int = OPEN_LOGINS_PER_ADDRESS_MAX
    cancel_rate: float = CANCEL_RATE_PER_SECOND
    cancel_burst: int = CANCEL_BURST
    metrics_at: tuple[str, int] | None = None
    placement_at: tuple[str, int] | None = None


class FrontDoor:
    """Certificates, keys, limits, counters and neighbours, for every session alike."""

    def __init__(
        self, layout: Layout, settings: Settings, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self.settings = settings
        self.wall_clock = wall_clock
        self.metrics = Metrics()
        self.clusters = ClusterDirectory(layout, make_context)
        self.verifier = Verifier(AccessKeyStore(layout.access_keys))
        self.admission: Admission[RelaySession] = Admission(
            min(settings.open_logins_max, _descriptors_max() // 2),
            settings.open_logins_per_address_max,
        )
        self.audit = AuditLog()
        self.cancel_limit = RateLimit(settings.cancel_rate, settings.cancel_burst)
        self.cancel_keys = CancelKeys(layout.relay_cancel_key)
        self.placement = self._make_placement_client(layout)
        self.splices = Splices()
        self.copies = Copies()
        self._layout = layout
        self._agents: dict[str, AgentClient | LinkedAgentClient] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._entry_version = (0, 0)
        self.entry_context = self._make_entry_context()

    def _make_placement_client(self, layout: Layout) -> PlacementClient:
        at = self.settings.placement_at
        where = layout.socket("placement") if at is None else Remote(at, layout.link)
        return PlacementClient(where, self.cancel_keys.make)

    def agent(self, address: str) -> AgentClient | LinkedAgentClient:
        """Return the connection to the agent that placement has called so."""
        client = self._agents.get(address)
        if client is None:
            if self.settings.placement_at is None:
                client = AgentClient(address)
            else:
                client = LinkedAgentClient(Remote(address_of(address), self._layout.link))
            self._agents[address] = client
        return client

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run `work` beside everything else, and keep it from being collected."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def housekeep(self) -> None:
        """Drop what is not needed any more, and notice a renewed certificate of the relay."""
        now = time.monotonic()
        for forgetful in (self.cancel_limit, self.audit):
            forgetful.forget_full(now)
        if self._entry_version != self._certificate_version():
            self.entry_context = self._make_entry_context()

    async def close(self) -> None:
        """Drop what is copied and close the connections to the neighbours."""
        self.splices.abort()
        self.copies.abort()
        for client in (self.placement, *self._agents.values()):
            await client.close()

    def _make_entry_context(self) -> SSL.Context:
        layout, version = self._layout, self._certificate_version()
        context = make_entry_context(
            layout.relay_certificate, layout.relay_key, self._context_of_server_name
        )
        self._entry_version = version
        return context

    def _certificate_version(self) -> tuple[int, int]:
        status = self._layout.relay_certificate.stat()
        return status.st_ino, status.st_mtime_ns

    def _context_of_server_name(self, server_name: str) -> SSL.Context | None:
        identifier = cluster_of_server_name(server_name)
        cluster = self.clusters.find(identifier) if identifier else None
        return cluster.context if cluster is not None else None


def _descriptors_max() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
