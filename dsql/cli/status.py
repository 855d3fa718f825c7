"""`dsql status`: every role of a data directory, what is wrong and what to do, as a table or as JSON.

Its exit status is that of a monitoring plugin: 0 fine, 1 degraded, 2 down, 3 unknown.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import msgspec

from dsql.cli.errors import CommandError
from dsql.cli.options import add_data_option, enter_data
from dsql.control.clusters import list_clusters
from dsql.control.layout import ClusterRecord, Layout
from dsql.health.collect import RoleStatus, Values, collect
from dsql.health.conditions import Condition, conditions, is_at_rest, severity

UNKNOWN = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dsql status`."""
    parser.epilog = (
        "exit status: 0 fine, 1 degraded, 2 down, 3 unknown\n"
        "examples:\n  dsql status\n  dsql status --json | jq '.conditions[] | .text'"
    )
    add_data_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Print the status; return the severity of what is wrong."""
    if not arguments.data.is_dir():
        raise CommandError(f"there is nothing in {arguments.data}", UNKNOWN)
    enter_data(arguments.data)
    layout = Layout(Path())
    clusters = list_clusters(layout)
    roles = collect(layout, clusters)
    found = conditions(clusters, roles)
    print(as_json(clusters, roles, found) if arguments.json else table(clusters, roles, found))
    return severity(found)


def as_json(clusters: list[ClusterRecord], roles: list[RoleStatus], found: list[Condition]) -> str:
    """Return the status for programs."""
    status = {
        "status": severity(found).name.lower(),
        "clusters": [
            _describe(cluster) | {"at_rest": is_at_rest(cluster.identifier, roles)}
            for cluster in clusters
        ],
        "roles": msgspec.to_builtins(roles),
        "conditions": [
            msgspec.to_builtins(condition) | {"severity": condition.severity.name.lower()}
            for condition in found
        ],
    }
    return json.dumps(status, indent=2)


def table(clusters: list[ClusterRecord], roles: list[RoleStatus], found: list[Condition]) -> str:
    """Return the status for people: the clusters, the roles, and what is wrong."""
    lines = [
        f"cluster {cluster.identifier}  {cluster.endpoint}  {cluster.profile}{_rest(cluster, roles)}"
        for cluster in clusters
    ]
    lines.append(f"{'ROLE':<12} {'ZONE':<14} {'PID':>7}  {'HEALTH':<12} DETAILS")
    for role in roles:
        details = " ".join(f"{_short(key, clusters)}={v}" for key, v in role.values.items())
        lines.append(
            f"{role.role:<12} {role.az:<14} {role.pid or '-':>7}  {role.health:<12} {details}"
        )
    for condition in found:
        where = " ".join(filter(None, (condition.cluster, condition.az, condition.role)))
        lines.append(
            f"{condition.severity.name} {condition.word}: {where}: {condition.text}\n"
            f"    to do: {condition.advice}"
        )
    lines.append(f"status: {severity(found).name.lower()}")
    return "\n".join(lines)


def _rest(cluster: ClusterRecord, roles: list[RoleStatus]) -> str:
    return "  at rest" if is_at_rest(cluster.identifier, roles) else ""


def _short(key: str, clusters: list[ClusterRecord]) -> str:
    """Leave a value's cluster out where there is only one, else shorten it."""
    cluster, dot, name = key.rpartition(".")
    if not dot:
        return key
    return name if len(clusters) == 1 else f"{cluster[:6]}.{name}"


def _describe(cluster: ClusterRecord) -> Values:
    return {
        "identifier": cluster.identifier,
        "endpoint": cluster.endpoint,
        "profile": cluster.profile,
        "region": cluster.region,
        "azs": cluster.azs,
    }
