"""`dsql psql`: become psql, connected to a cluster with a fresh token and a verified certificate."""

from __future__ import annotations

import argparse
import os

from dsql.cli.connecting import choose_cluster, open_access
from dsql.cli.errors import CommandError
from dsql.cli.options import add_cluster_argument, add_data_option
from dsql.client.auth_token import ADMIN_USER
from dsql.control.layout import Layout

PASSES_ON = "psql"  # whose the words after -- are
_TOKEN_SECONDS = 12 * 3600  # psql sends the same password again when it reconnects


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options; what follows `--` is psql's."""
    parser.epilog = (
        "examples:\n  dsql psql\n  dsql psql -c 'select 1'\n  dsql psql -- -At -f script.sql"
    )
    add_data_option(parser)
    add_cluster_argument(parser)
    parser.add_argument("--user", default=ADMIN_USER, help=f"default: {ADMIN_USER}")
    parser.add_argument("-c", dest="commands", action="append", default=[], help="as psql's -c")
    parser.add_argument("-f", dest="files", action="append", default=[], help="as psql's -f")


def run(arguments: argparse.Namespace) -> int:
    """Replace this process by psql. Raises CommandError if there is no psql."""
    layout = Layout(arguments.data)
    record = choose_cluster(layout, arguments.cluster)
    access = open_access(layout, record, arguments.user, _TOKEN_SECONDS)
    words = ["psql", *arguments.passed_on]
    for command in arguments.commands:
        words += ["-c", command]
    for file in arguments.files:
        words += ["-f", file]
    try:
        os.execvpe("psql", words, os.environ | access.libpq_variables())
    except FileNotFoundError:
        raise CommandError(
            "psql is not installed; any PostgreSQL client does, see `dsql token`"
        ) from None
