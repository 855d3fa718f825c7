"""Asking every role that should be there how it is.

Roles are found by their sockets, so it shows what answers, whoever started it. All are asked at once, each
by a thread of its own, so that any number of silent ones cost ANSWER_SECONDS together.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from dsql.control.layout import ClusterRecord, Layout
from dsql.control.running import RoleProcess, read_processes, relay_names
from dsql.errors import FatalError
from dsql.rpc import packets
from dsql.rpc.client import ask_status, connect_blocking
from placement.client import AgentClient

ANSWER_SECONDS = 2.0
OK = "ok"
ZONE_ROLES = ("journal", "adjudicator", "storage")
_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid

Values = dict[str, object]
_Asking = Callable[[], "RoleStatus"]


class RoleStatus(msgspec.Struct):
    """A role: its zone and process, OK or why it does not answer, and what it says of itself.

    `usage`: what an agent has metered, by cluster (`placement.metering`).
    """

    role: str
    az: str
    pid: int
    health: str
    values: Values
    usage: dict[str, Values] = msgspec.field(default_factory=dict)

    def of_cluster(self, cluster: str) -> Values:
        """Return what it says of a cluster, by name."""
        prefix = f"{cluster}."
        values = self.values.items()
        return {key.removeprefix(prefix): v for key, v in values if key.startswith(prefix)}


def is_relay(role: RoleStatus) -> bool:
    """Return whether it is one of the relays, which share a port."""
    return role.role.startswith("relay-")


def collect(layout: Layout, clusters: list[ClusterRecord]) -> list[RoleStatus]:
    """Ask every role that should be there."""
    processes = read_processes(layout)
    packet_roles = ["placement", "agent", *(relay_names(layout) or ["relay-1"])]
    asking: list[_Asking] = [lambda name=name: _packet_role(layout, name) for name in packet_roles]  # type: ignore[misc]
    if layout.socket("control").exists():
        asking.append(lambda: _zone_role(layout, "", "control"))
    for az in sorted({az for cluster in clusters for az in cluster.azs}):
        asking += [lambda az=az, role=role: _zone_role(layout, az, role) for role in ZONE_ROLES]  # type: ignore[misc]
    with ThreadPoolExecutor(len(asking)) as threads:
        roles = list(threads.map(lambda ask: ask(), asking))
    # A seed listens to one agent only, and a keeper to agents, so the agent knows best.
    for name, value in (("seed", "code"), ("keeper", "kept")):
        said = {value: found} if (found := roles[1].values.pop(value, "")) != "" else {}
        health = OK if said else "down"
        roles.insert(2, RoleStatus(name, "", _process_id(processes, name), health, said))
    _note_restarts(roles, processes)
    return roles


def _process_id(processes: dict[str, RoleProcess], name: str) -> int:
    return processes[name].process_id if name in processes else 0


def _note_restarts(roles: list[RoleStatus], processes: dict[str, RoleProcess]) -> None:
    """Tell of each role whose process was started again how often, and how often because it hung."""
    supervised = {process.process_id: process for process in processes.values()}
    for role in roles:
        process = supervised.get(role.pid)
        if process is not None and process.restarts:
            role.values |= {"restarts": process.restarts, "hangs": process.hangs}


def _zone_role(layout: Layout, az: str, role: str) -> RoleStatus:
    path = layout.socket(f"{az}.{role}" if az else role)
    return RoleStatus(role, az, *_asked(path, socket.SOCK_STREAM, lambda: _zone_values(path)))


def _zone_values(path: Path) -> Values:
    values: Values = dict(ask_status(path, ANSWER_SECONDS).values)
    return {key: value for key, value in values.items() if key not in ("role", "az")}


def _packet_role(layout: Layout, name: str) -> RoleStatus:
    path = layout.socket(name)

    async def ask() -> Values:
        client = AgentClient(path)
        try:
            return await asyncio.wait_for(client.status(), ANSWER_SECONDS)
        finally:
            await client.close()

    process_id, health, values = _asked(path, socket.SOCK_SEQPACKET, lambda: asyncio.run(ask()))
    usage = values.pop("usage", {})
    assert isinstance(usage, dict), "it is an agent's"
    return RoleStatus(name, str(values.pop("az", "")), process_id, health, values, usage)


def _asked(path: Path, kind: int, ask: Callable[[], Values]) -> tuple[int, str, Values]:
    """Return (process id, health, values) of the role behind a socket."""
    process_id, health = _knock(path, kind)
    if health == OK:
        try:
            return process_id, OK, ask()
        except (TimeoutError, FatalError):
            health = "no answer"
        except OSError as error:
            health = _reason(error)
    return process_id, health, {}


def _knock(path: Path, kind: int) -> tuple[int, str]:
    """Return who listens (the process that called listen), and whether somebody does."""
    try:
        connection = (
            packets.connect(path)
            if kind == socket.SOCK_SEQPACKET
            else connect_blocking(path, ANSWER_SECONDS)
        )
    except FileNotFoundError:
        return 0, "down"
    except OSError as error:
        return 0, _reason(error)
    with connection:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        return _PEER.unpack(raw)[0], OK


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
