"""`dsql recover`: what each zone has of a cluster; and the choice that only a person can make.

Damage and loss in one zone mend themselves. If most zones have lost their logs nobody can lead, since
acknowledged commits may be gone: either one of the folders comes back as it was, or somebody accepts that
and chooses the log to go on with.
"""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path

import msgspec

from dsql.cli.connecting import choose_cluster
from dsql.cli.data_directory import holder
from dsql.cli.errors import CommandError, reason
from dsql.cli.options import add_data_option, enter_data
from dsql.control.layout import ClusterRecord, Layout
from journal.refounding import LogReport, NotUsableError, inspect, refound
from storage.checkpoint import read_checkpoint
from storage.environment import ENVIRONMENT

_EPILOG = """examples:
  dsql recover                                         what each zone has
  dsql down && dsql recover --use us-east-1b --accept-loss
exit status: 0 if most logs are whole (or now are), 1 otherwise"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dsql recover`."""
    parser.epilog = _EPILOG
    add_data_option(parser)
    parser.add_argument("--cluster", default="", metavar="ID", help="needed if there are several")
    parser.add_argument(
        "--use", default="", metavar="AZ", help="found the cluster on this zone's log"
    )
    parser.add_argument(
        "--accept-loss", action="store_true", help="accept that what only other logs had is lost"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """List, or choose; return 0 if a leader can be elected."""
    if not arguments.data.is_dir():
        raise CommandError(f"there is nothing in {arguments.data}")
    enter_data(arguments.data)
    layout = Layout(Path())
    record = choose_cluster(layout, arguments.cluster)
    reports = _inspect(layout, record)
    if arguments.use:
        _choose(arguments, layout, record, reports)
        reports = _inspect(layout, record)
    stored = {az: _stored(layout, az, record.identifier) for az in record.azs}
    if arguments.json:
        logs = msgspec.to_builtins(reports)
        print(json.dumps({"cluster": record.identifier, "logs": logs, "stored": stored}, indent=2))
    else:
        print(table(record, reports, stored))
    return 0 if _electable(reports) else 1


def _inspect(layout: Layout, record: ClusterRecord) -> list[LogReport]:
    return [inspect(az, layout.journal(az, record.identifier)) for az in record.azs]


def _stored(layout: Layout, az: str, cluster: str) -> int:
    """Return the record up to which a zone's storage has a checkpoint, 0 without one."""
    checkpoint = read_checkpoint(layout.storage(az, cluster) / ENVIRONMENT)
    return checkpoint.position.sequence if checkpoint is not None else 0


def _electable(reports: list[LogReport]) -> bool:
    """Return whether most logs are whole, so that one of them can lead."""
    return sum(report.whole for report in reports) > len(reports) // 2


def _choose(
    arguments: argparse.Namespace, layout: Layout, record: ClusterRecord, reports: list[LogReport]
) -> None:
    """Found the cluster on one log. Raises CommandError where that must not be."""
    chosen = next((report for report in reports if report.az == arguments.use), None)
    if chosen is None:
        raise CommandError(f"the cluster's zones are {', '.join(record.azs)}", 2)
    if holder(layout) is not None:
        raise CommandError("the cluster runs; stop it first with `dsql down`")
    if _electable(reports):
        raise CommandError("most logs are whole: start the cluster, the others mend themselves")
    if not arguments.accept_loss:
        raise CommandError(f"{may_be_lost(chosen, reports)}; say --accept-loss to go on", 2)
    others = [az for az in record.azs if az != chosen.az]
    try:
        refound(
            layout.journal(chosen.az, record.identifier),
            [layout.journal(az, record.identifier) for az in others],
            1 + max(report.promised for report in reports),
        )
    except NotUsableError as error:
        raise CommandError(f"the log of {chosen.az} cannot be used: {error}") from None
    except BlockingIOError:
        raise CommandError("a zone still runs; stop it first") from None
    except OSError as error:
        raise CommandError(
            f"{reason(error)}; nothing counts that did not before, do it again"
        ) from None
    print(
        f"{record.identifier} goes on with the log of {chosen.az}; {may_be_lost(chosen, reports)}"
    )


def may_be_lost(chosen: LogReport, reports: list[LogReport]) -> str:
    """Return what may be lost by going on with a log, in a sentence."""
    further = [report for report in reports if report.last > chosen.last]
    known = ", ".join(f"{report.az} has records up to {report.last}" for report in further)
    behind = f" ({known})" if known else ""
    return f"what was committed after record {chosen.last}, {_moment(chosen)}, may be lost{behind}"


def table(record: ClusterRecord, reports: list[LogReport], stored: dict[str, int]) -> str:
    """Return what there is, for people; `stored` are the records of storage's checkpoints by zone."""
    lines = [
        f"cluster {record.identifier}",
        f"{'ZONE':<14} {'RECORDS':<22} {'EPOCH':>6} {'PROMISED':>8}  {'NEWEST':<20} {'STORED':>8}  LOG",
    ]
    for report in reports:
        span = f"{report.first} to {report.last}" if report.last else "none"
        state = "whole" if report.whole and not report.wrong else report.wrong
        lines.append(
            f"{report.az:<14} {span:<22} {report.epoch:>6} {report.promised:>8}  "
            f"{_moment(report):<20} {stored[report.az]:>8}  {state}"
        )
        lines += [f"{'':<14} set aside: {name}" for name in report.aside]
    if not _electable(reports):
        lines.append(
            "most logs are not whole, so nobody can lead. Put a folder back as it was; or, while the\n"
            "cluster is down, choose the log that reaches furthest: dsql recover --use ZONE --accept-loss"
        )
    return "\n".join(lines)


def _moment(report: LogReport) -> str:
    if not report.timestamp:
        return "-"
    moment = datetime.datetime.fromtimestamp(report.timestamp / 1_000_000, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
