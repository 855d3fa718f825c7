"""What the console is told of a cluster: all that concerns it, and nothing of another one."""

from __future__ import annotations

import json

from control_plane.console.picture import draw
from dsql.control.layout import ClusterRecord
from dsql.health.collect import RoleStatus

OURS, OTHER = "a" * 26, "b" * 26


def test_what_roles_say_of_other_clusters_is_left_out() -> None:
    cluster = ClusterRecord(OURS, "us-east-1", "e", "1", "dsql", ["z1"], 0.0)
    agent = RoleStatus(
        "agent",
        "z1",
        7,
        "ok",
        {"warm": 2, f"{OURS}.sessions": 3, f"{OTHER}.sessions": 4},
        {OURS: {"transactions": 5}, OTHER: {"transactions": 6}},
    )
    placement = RoleStatus("placement", "", 8, "ok", {"agents": {OTHER: 1}, "linked_relays": 0})
    picture = draw(cluster, [agent, placement])
    assert OTHER not in json.dumps(picture)
    first, second = picture["roles"]
    assert (first["values"], first["cluster"]) == ({"warm": 2}, {"sessions": 3})
    assert second["values"] == {"linked_relays": 0}
    assert picture["usage"] == {"transactions": 5}
    assert picture["severity"] == "down"  # there is no zone at all
