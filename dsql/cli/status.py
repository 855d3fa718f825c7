"""`dsql status`: every role of a data directory, as a table or as JSON.

Roles are found by their sockets, so it shows what answers, whoever started it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from dsql.cli.connecting import relay_address
from dsql.cli.errors import CommandError, reason
from dsql.cli.options import add_data_option, enter_data
from dsql.cli.supervisor import RoleProcess, read_processes
from dsql.control.clusters import list_clusters
from dsql.control.layout import ClusterRecord, Layout
from dsql.rpc import packets
from dsql.rpc.client import ask_status, connect_blocking
from placement.client import AgentClient

ANSWER_SECONDS = 2.0
ZONE_ROLES = ("journal", "adjudicator", "storage")
_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid

Values = dict[str, object]


class RoleStatus(dict[str, object]):
    """One row: role, az, pid, health, and what the role says of itself under `values`."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dsql status`."""
    parser.epilog = "examples:\n  dsql status\n  dsql status --json | jq '.roles[] | .health'"
    add_data_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Print the status; 0 if every role answers, 3 if one does not."""
    if not arguments.data.is_dir():
        raise CommandError(f"there is nothing in {arguments.data}")
    enter_data(arguments.data)
    layout = Layout(Path())
    clusters = list_clusters(layout)
    roles = collect(layout, clusters)
    if arguments.json:
        print(json.dumps({"clusters": [_describe(c) for c in clusters], "roles": roles}, indent=2))
    else:
        print(table(clusters, roles))
    return 0 if all(role["health"] == "ok" for role in roles) else 3


def collect(layout: Layout, clusters: list[ClusterRecord]) -> list[RoleStatus]:
    """Ask every role that should be there."""
    processes = read_processes(layout)
    agent = _packet_role(layout, "agent")
    agent_values = agent["values"]
    assert isinstance(agent_values, dict)
    # A seed listens to one agent only, so its agent knows best.
    seed_health = "ok" if agent_values.pop("seed", False) else "down"
    roles = [
        _relay(layout, _process_id(processes, "relay")),
        _packet_role(layout, "placement"),
        agent,
        _row("seed", "", seed_health, _process_id(processes, "seed"), {}),
    ]
    for az in sorted({az for cluster in clusters for az in cluster.azs}):
        roles += [_zone_role(layout, az, role) for role in ZONE_ROLES]
    _note_restarts(roles, processes)
    return roles


def _process_id(processes: dict[str, RoleProcess], name: str) -> int:
    return processes[name].process_id if name in processes else 0


def _note_restarts(roles: list[RoleStatus], processes: dict[str, RoleProcess]) -> None:
    """Tell of each role whose process was started again how often, and how often because it hung."""
    supervised = {process.process_id: process for process in processes.values()}
    for role in roles:
        process = supervised.get(role["pid"])  # type: ignore[call-overload]
        if process is not None and process.restarts:
            values = role["values"]
            assert isinstance(values, dict)
            values |= {"restarts": process.restarts, "hangs": process.hangs}


def table(clusters: list[ClusterRecord], roles: list[RoleStatus]) -> str:
    """Return the status for people."""
    lines = [
        f"cluster {cluster.identifier}  {cluster.endpoint}  {cluster.profile}"
        for cluster in clusters
    ]
    lines.append(f"{'ROLE':<12} {'ZONE':<14} {'PID':>7}  {'HEALTH':<12} DETAILS")
    for role in roles:
        values = role["values"]
        assert isinstance(values, dict)
        details = " ".join(f"{_short(key, clusters)}={value}" for key, value in values.items())
        lines.append(
            f"{role['role']:<12} {role['az']:<14} {role['pid'] or '-':>7}  {role['health']:<12} {details}"
        )
    return "\n".join(lines)


def _short(key: str, clusters: list[ClusterRecord]) -> str:
    """Leave a value's cluster out where there is only one, else shorten it."""
    cluster, dot, name = key.rpartition(".")
    if not dot:
        return key
    return name if len(clusters) == 1 else f"{cluster[:6]}.{name}"


def _row(role: str, az: str, health: str, process_id: int, values: Values) -> RoleStatus:
    return RoleStatus(role=role, az=az, pid=process_id, health=health, values=values)


def _relay(layout: Layout, process_id: int) -> RoleStatus:
    host, port = relay_address(layout)
    values: Values = {"listen": f"{host}:{port}"}
    try:
        socket.create_connection((host, port), ANSWER_SECONDS).close()
    except OSError as error:
        return _row("relay", "", reason(error).lower(), 0, values)
    return _row("relay", "", "ok", process_id, values)


def _zone_role(layout: Layout, az: str, role: str) -> RoleStatus:
    path = layout.socket(f"{az}.{role}")
    return _row(role, az, *_asked(path, socket.SOCK_STREAM, lambda: dict(_zone_values(path))))


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

    health, process_id, values = _asked(path, socket.SOCK_SEQPACKET, lambda: asyncio.run(ask()))
    return _row(name, str(values.pop("az", "")), health, process_id, values)


def _asked(path: Path, kind: int, ask: Callable[[], Values]) -> tuple[str, int, Values]:
    """Return (health, process id, values) of the role behind a socket."""
    health, process_id, values = _knock(path, kind)
    if health == "ok":
        try:
            values = ask()
        except TimeoutError:
            health = "no answer"
        except OSError as error:
            health = reason(error).lower()
    return health, process_id, values


def _knock(path: Path, kind: int) -> tuple[str, int, Values]:
    """Return whether somebody listens, and who (the process that called listen)."""
    try:
        connection = (
            packets.connect(path) if kind == socket.SOCK_SEQPACKET else connect_blocking(path)
        )
    except FileNotFoundError:
        return "down", 0, {}
    except OSError as error:
        return reason(error).lower(), 0, {}
    with connection:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        return "ok", _PEER.unpack(raw)[0], {}


def _describe(cluster: ClusterRecord) -> Values:
    return {
        "identifier": cluster.identifier,
        "endpoint": cluster.endpoint,
        "profile": cluster.profile,
        "region": cluster.region,
        "azs": cluster.azs,
    }
