"""`dsql doctor`: does this host have what a cluster needs? Says what is missing and what to do about it.

Its exit status is that of a monitoring plugin: 0 fine, 1 a cluster can do without what is missing, 2 it
cannot run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from dsql.cli.host_checks import CHECKS, Finding, Host, Severity
from dsql.cli.log_lines import printable
from dsql.cli.options import add_data_option, parse_listen

_MARKS = {Severity.FINE: "ok", Severity.LACKING: "lacking", Severity.BROKEN: "BROKEN"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = (
        "exit status: 0 fine, 1 a cluster runs, with less, 2 it cannot run\n"
        "examples:\n  dsql doctor\n  dsql doctor --data /var/lib/dsql --listen 0.0.0.0:5432 --json"
    )
    add_data_option(parser)
    parser.add_argument(
        "--listen",
        type=parse_listen,
        default="127.0.0.1:5432",
        metavar="HOST:PORT",
        help="where clients are to connect (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Look at everything; return the worst severity."""
    host = Host(arguments.data.absolute(), arguments.listen)
    findings = [finding for check in CHECKS for finding in check(host)]
    print(as_json(findings) if arguments.json else table(findings))
    return max(finding.severity for finding in findings)


def as_json(findings: Sequence[Finding]) -> str:
    """Return the findings for programs."""
    return json.dumps(
        [finding._asdict() | {"severity": finding.severity.name.lower()} for finding in findings],
        indent=2,
    )


def table(findings: Sequence[Finding]) -> str:
    """Return the findings for people, with what to do about what is lacking."""
    lines = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.severity]:<8} {finding.what:<20} {printable(finding.text)}")
        if finding.advice and finding.severity is not Severity.FINE:
            lines.append(f"{'':<29} to do: {finding.advice}")
    worst = max(finding.severity for finding in findings)
    lines.append(f"doctor: {_MARKS[worst].lower()}")
    return "\n".join(lines)
