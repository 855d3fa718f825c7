"""`dsql usage`: what clusters have used on this host, by the names of Aurora DSQL's CloudWatch metrics.

The counts go on over restarts, since the date that is shown; a server that is down shows what it saved.
Times and units: see `dsql.transaction.usage`.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from dsql.cli.errors import CommandError
from dsql.cli.options import add_data_option, enter_data
from dsql.control.clusters import list_clusters
from dsql.control.layout import Layout
from dsql.health.collect import Values, collect
from placement.metering import saved

# metric -> (name in the agent's account, what one of its units is in the metric's, digits, unit)
_METRICS = {
    "TotalTransactions": ("transactions", 1, 0, "Count"),
    "ReadOnlyTransactions": ("read_only_transactions", 1, 0, "Count"),
    "OccConflicts": ("occ_conflicts", 1, 0, "Count"),
    "QueryTimeouts": ("query_timeouts", 1, 0, "Count"),
    "CommitLatency": ("commit_seconds_median", 1_000, 0, "Milliseconds"),
    "BytesRead": ("bytes_read", 1, 0, "Bytes"),
    "BytesWritten": ("bytes_written", 1, 0, "Bytes"),
    "ComputeTime": ("compute_seconds", 1_000, 0, "Milliseconds"),
    "ComputeDPU": ("compute_dpu", 1, 5, "DPU"),
    "ReadDPU": ("read_dpu", 1, 5, "DPU"),
    "WriteDPU": ("write_dpu", 1, 5, "DPU"),
    "TotalDPU": ("total_dpu", 1, 5, "DPU"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dsql usage`."""
    parser.epilog = (
        "examples:\n"
        "  dsql usage\n"
        "  dsql usage --cluster ID --json | jq '.[].metrics.TotalDPU'\n"
        "The same as counters, for rates and alarms: the relay's /metrics (docs/OPERATIONS.md)."
    )
    add_data_option(parser)
    parser.add_argument("--cluster", default="", metavar="ID", help="only this one")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Print the usage of each cluster."""
    enter_data(arguments.data)
    layout = Layout(Path())
    clusters = list_clusters(layout)
    if arguments.cluster:
        clusters = [one for one in clusters if one.identifier == arguments.cluster]
        if not clusters:
            raise CommandError(f"there is no cluster {arguments.cluster}")
    told = {key: used for role in collect(layout, clusters) for key, used in role.usage.items()}
    found = {}
    for identifier in (cluster.identifier for cluster in clusters):
        used = told.get(identifier) or saved(layout, identifier)
        if used is not None:
            found[identifier] = used
    print(as_json(found) if arguments.json else table(found))
    return 0


def as_json(found: dict[str, Values]) -> str:
    """Return the usage for programs: cluster -> since (seconds since 1970) and metrics."""
    clusters = {
        cluster: {"since": used["since"], "metrics": metrics(used)}
        for cluster, used in found.items()
    }
    return json.dumps(clusters, indent=2)


def table(found: dict[str, Values]) -> str:
    """Return the usage for people."""
    lines = []
    for cluster, used in found.items():
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(_number(used["since"])))
        lines.append(f"cluster {cluster} since {since} UTC")
        for metric, value in metrics(used).items():
            _, _, digits, unit = _METRICS[metric]
            lines.append(f"  {metric:<22} {value:>20,.{digits}f}  {unit}")
    return "\n".join(lines) or "nothing was used yet"


def metrics(used: Values) -> dict[str, float]:
    """Return an agent's account of a cluster by the names of its metrics. CommitLatency is a median."""
    total = sum(_number(used[f"{kind}_dpu"]) for kind in ("compute", "read", "write"))
    values = {**used, "total_dpu": total}
    return {
        metric: round(_number(values[name]) * factor, digits or None)
        for metric, (name, factor, digits, _) in _METRICS.items()
    }


def _number(value: object) -> float:
    assert isinstance(value, int | float), "a count"
    return value
