"""The installation's health as Prometheus reads it (text format 0.0.4). Pure.

dsql_severity                                0 fine, 1 degraded, 2 down
dsql_condition{word, cluster, az, role}      1 for each thing that is wrong
dsql_role_up{role, az}                       1 if the role answers
dsql_compiled{role}                          1 if query processors run compiled modules
dsql_role_NAME{role, az}                     every number that a role says of itself
dsql_ROLE_NAME{cluster, az}                  every number that a role says of a cluster
dsql_TOTAL{cluster}                          what a cluster has used (`dsql usage`); dpu{kind} too
dsql_commit_latency_seconds{cluster}         a histogram
dsql_relay_NAME{relay}                       every number that a relay says; refused{sqlstate} too
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dsql.control.layout import ClusterRecord
from dsql.health.collect import OK, RoleStatus, Values, is_relay
from dsql.health.conditions import Condition, severity

# what only rises while a role lives; the rest goes up and down
COUNTERS = frozenset(
    {"repaired", "parkings", "wakes", "sheds", "moves"}
    | {"committed", "gathering_seconds", "journal_seconds"}
    | {"requests", "restarts", "hangs"}
)
# of a relay the rest rises
RELAY_GAUGES = frozenset({"open_logins", "splices", "copies", "restarts", "hangs"})
_USED = (
    *("transactions", "read_only_transactions", "occ_conflicts", "query_timeouts"),
    *("bytes_read", "bytes_written", "compute_seconds"),
)
_LATENCY = "dsql_commit_latency_seconds"


def exposition(
    clusters: Sequence[ClusterRecord], roles: Sequence[RoleStatus], found: Sequence[Condition]
) -> str:
    """Return every value as a line, those of one name together under their type."""
    families: dict[str, list[str]] = {"dsql_severity": [f"dsql_severity {severity(found):d}"]}
    for condition in found:
        labels = {
            "word": condition.word,
            "cluster": condition.cluster,
            "az": condition.az,
            "role": condition.role,
        }
        _add(families, "dsql_condition", labels, 1)
    for role in roles:
        _add(families, "dsql_role_up", {"role": role.role, "az": role.az}, int(role.health == OK))
        if is_relay(role):
            _add_relay(families, role)
        else:
            _add_role(families, role)
        if "code" in role.values:
            compiled = role.values["code"] == "compiled"
            _add(families, "dsql_compiled", {"role": role.role}, int(compiled))
        for identifier, used in role.usage.items():
            _add_usage(families, identifier, used)
        for cluster in clusters:
            labels = {"cluster": cluster.identifier, "az": role.az}
            for name, value in role.of_cluster(cluster.identifier).items():
                if isinstance(value, int | float):
                    _add(families, f"dsql_{role.role}_{name}{_suffix(name)}", labels, value)
    lines = []
    for name, samples in families.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        kind = "histogram" if name == _LATENCY else kind
        lines += [f"# TYPE {name} {kind}", *samples]
    return "\n".join(lines) + "\n"


def _add_role(families: dict[str, list[str]], role: RoleStatus) -> None:
    """Add what a role says of itself; what it says of a cluster has a dot in its name."""
    labels = {"role": role.role, "az": role.az}
    for name, value in role.values.items():
        if isinstance(value, int | float) and "." not in name:
            _add(families, f"dsql_role_{name}{_suffix(name)}", labels, value)


def _suffix(name: str) -> str:
    return "_total" if name in COUNTERS else ""


def _add_relay(families: dict[str, list[str]], role: RoleStatus) -> None:
    for key, value in role.values.items():
        name, _, sqlstate = key.partition(".")
        if isinstance(value, int):
            suffix = "" if name in RELAY_GAUGES else "_total"
            labels = {"relay": role.role} | ({"sqlstate": sqlstate} if sqlstate else {})
            _add(families, f"dsql_relay_{name}{suffix}", labels, value)


def _add_usage(families: dict[str, list[str]], cluster: str, used: Values) -> None:
    labels = {"cluster": cluster}
    for name in _USED:
        _add(families, f"dsql_{name}_total", labels, _number(used[name]))
    for kind in ("compute", "read", "write"):
        _add(families, "dsql_dpu_total", labels | {"kind": kind}, _number(used[f"{kind}_dpu"]))
    samples = families.setdefault(_LATENCY, [])
    counts = used["commit_seconds"]
    assert isinstance(counts, dict), "counts by their upper bounds"
    reached = 0
    for bound, count in counts.items():
        reached += count
        samples.append(f'{_LATENCY}_bucket{{cluster="{cluster}",le="{bound}"}} {reached}')
    samples.append(f'{_LATENCY}_sum{{cluster="{cluster}"}} {used["commit_seconds_sum"]}')
    samples.append(f'{_LATENCY}_count{{cluster="{cluster}"}} {reached}')


def _number(value: object) -> float:
    assert isinstance(value, int | float), "a count"
    return value


def _add(
    families: dict[str, list[str]], name: str, labels: Mapping[str, str], value: float
) -> None:
    shown = ",".join(f'{label}="{text}"' for label, text in labels.items())
    families.setdefault(name, []).append(f"{name}{{{shown}}} {value}")
