"""What an agent gives a query processor of a cluster: a user id, replicas within reach, an adjudicator."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from dsql.control.layout import ClusterRecord, Layout
from dsql.rpc.boot import current_boot
from dsql.rpc.clock import ClockUnavailableError, PublishedClock
from dsql.rpc.framing import frame
from dsql.rpc.messages import Hello, encode
from dsql.rpc.packets import close_all
from dsql.session.control import Assign
from placement.replica_access import OpenReplicas
from storage.client import open_slot, report_crash

USER_IDS_FROM = 700_000
USER_IDS = 100_000


class Assigner:
    """Makes assignments for an agent that stands in `az`."""

    def __init__(self, layout: Layout, az: str, *, sandbox: bool, park_seconds: float) -> None:
        self._layout = layout
        self._az = az
        self._sandbox = sandbox
        self._park_seconds = park_seconds
        self._users: dict[str, int] = {}
        self._open: dict[str, OpenReplicas] = {}
        self._since = time.time_ns() // 1_000

    def assignment(self, cluster: str) -> Assign:
        """Return a new query processor's assignment. Raises LookupError for an unknown cluster."""
        record = self._record(cluster)
        known = cluster in self._users
        uid = self._user(cluster) if self._sandbox and os.geteuid() == 0 else None
        if not known:
            self._layout.clock(cluster).touch()  # what a sandbox names has to be there
            self.keep_open([cluster])  # from now on the agent's ticks do it
        return Assign(
            cluster=cluster,
            profile=record.profile,
            azs=sorted(record.azs, key=lambda az: az != self._az),
            uid=uid,
            profile_changes=record.profile_changes,
            park_seconds=self._park_seconds,
            since=self._since,
        )

    def zones(self, cluster: str) -> list[str]:
        """Return the zones of a cluster. Raises LookupError for an unknown one."""
        return self._record(cluster).azs

    def open_slots(self, assignment: Assign) -> list[int]:
        """Return what the query processor may write: two descriptors for each zone. Raises OSError."""
        opened: list[int] = []
        try:
            for az in assignment.azs:
                opened += open_slot(self._layout.storage(az, assignment.cluster))
        except OSError:
            close_all(opened)
            raise
        return opened

    def report_crash(self, cluster: str) -> None:
        """Tell the cluster's replicas that a query processor has crashed, perhaps by what it read there."""
        for az in self._record(cluster).azs:
            report_crash(self._layout.storage(az, cluster))

    def keep_open(self, clusters: Iterable[str]) -> None:
        """Let the query processors of these clusters reach replicas that were made anew meanwhile."""
        for cluster in clusters:
            if cluster in self._open:
                self._open[cluster].keep()

    def forget(self, cluster: str) -> None:
        """A cluster is no more: another one may have its user."""
        self._users.pop(cluster, None)
        self._open.pop(cluster, None)

    def connect_adjudicator(self, cluster: str, az: str) -> tuple[str, socket.socket] | None:
        """Return a zone and a connection to its adjudicator, bound to the cluster; None: no answer.

        `az` "" stands for the leader, as far as can be seen from here, or else any other.
        """
        record = self._layout.read_cluster(cluster)
        if record is None or (az and az not in record.azs):
            return None
        for zone in [az] if az else self._likely_leaders(record):
            connection = self._connect(cluster, zone)
            if connection is not None:
                return zone, connection
        return None

    def _likely_leaders(self, record: ClusterRecord) -> list[str]:
        """Return the cluster's zones: first that which has published last. The others know better."""
        try:
            with closing(
                PublishedClock(self._layout.clock(record.identifier), current_boot())
            ) as clock:
                published = record.azs[clock.zone]
        except (ClockUnavailableError, IndexError):
            return record.azs
        return sorted(record.azs, key=lambda az: az != published)

    def _connect(self, cluster: str, az: str) -> socket.socket | None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # A zone that does not accept has a full queue before it; the agent does not stand in it.
            connection.setblocking(False)
            connection.connect(str(self._layout.socket(f"{az}.adjudicator")))
            connection.sendall(frame(encode(Hello(cluster))))
            connection.setblocking(True)
        except OSError:
            connection.close()
            return None
        return connection

    def _record(self, cluster: str) -> ClusterRecord:
        record = self._layout.read_cluster(cluster)
        if record is None:
            raise LookupError(f"there is no cluster {cluster}")
        return record

    def _user(self, cluster: str) -> int:
        """Return the cluster's user id. The group of its storage directories remembers it."""
        if cluster not in self._users:
            azs = self._record(cluster).azs
            remembered = self._remembered(str(self._layout.storage(az, cluster)) for az in azs)
            user = next(remembered, 0) or self._free_user()
            self._users[cluster] = user
            self._open[cluster] = OpenReplicas(self._layout, cluster, user)
        return self._users[cluster]

    def _free_user(self) -> int:
        """Return a user id that no cluster has. Only a cluster's first use comes here: it asks for all."""
        used = {*self._users.values(), *self._remembered(_storages(self._layout.root))}
        return next(n for n in range(USER_IDS_FROM, USER_IDS_FROM + USER_IDS) if n not in used)

    @staticmethod
    def _remembered(storages: Iterable[str]) -> Iterator[int]:
        for group in map(_group, storages):
            if group is not None and USER_IDS_FROM <= group < USER_IDS_FROM + USER_IDS:
                yield group


def _storages(root: Path) -> Iterator[str]:
    """Yield where storage directories of any cluster may be: thousands, so these are no Paths."""
    for zone in root.iterdir():
        if zone.is_dir():
            with os.scandir(zone) as clusters:
                yield from [f"{cluster.path}/storage" for cluster in clusters]


def _group(path: str) -> int | None:
    try:
        return os.stat(path).st_gid
    except (FileNotFoundError, NotADirectoryError):
        return None
