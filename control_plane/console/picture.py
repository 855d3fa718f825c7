"""What the console draws of one cluster: roles, what is wrong, and what was used so far. Pure.

Values are those of `dsql status` and `dsql usage`, under their names; other clusters' are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dsql.control.layout import ClusterRecord
from dsql.health.collect import RoleStatus, Values
from dsql.health.conditions import conditions, leader_of, severity

Picture = dict[str, Any]
# What a role says of a cluster has its identifier in front.
_OF_A_CLUSTER = re.compile(r"[a-z0-9]{26}\.")
_SHOWN_PLACEMENT = ("linked_relays",)  # the rest tells of all clusters


def draw(cluster: ClusterRecord, roles: Sequence[RoleStatus]) -> Picture:
    """Return the picture of a cluster, to be written as JSON."""
    found = conditions([cluster], roles)
    used = next((r.usage[cluster.identifier] for r in roles if cluster.identifier in r.usage), None)
    return {
        "severity": severity(found).name.lower(),
        "azs": cluster.azs,
        "leader": leader_of(cluster.identifier, roles),
        "roles": [_draw_role(role, cluster.identifier) for role in roles],
        "conditions": [
            msgspec.to_builtins(condition) | {"severity": condition.severity.name.lower()}
            for condition in found
        ],
        "usage": used,
    }


def _draw_role(role: RoleStatus, cluster: str) -> Picture:
    return {
        "role": role.role,
        "az": role.az,
        "pid": role.pid,
        "health": role.health,
        "values": _general(role),
        "cluster": role.of_cluster(cluster),
    }


def _general(role: RoleStatus) -> Mapping[str, object]:
    """Return what a role says of itself, and not of any cluster."""
    values: Values = {k: v for k, v in role.values.items() if not _OF_A_CLUSTER.match(k)}
    if role.role == "placement":
        return {key: values[key] for key in _SHOWN_PLACEMENT if key in values}
    return values
