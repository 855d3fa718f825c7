"""`dsql psql`: become psql, connected to a cluster with a fresh token and a verified certificate."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping

from dsql.cli.connecting import choose_cluster, make_token
from dsql.cli.errors import CommandError
from dsql.cli.options import add_data_option
from dsql.client.auth_token import ADMIN_USER
from dsql.control.layout import ClusterRecord, Layout
from dsql.control.running import relay_address

_TOKEN_SECONDS = 12 * 3600  # psql sends the same password again when it reconnects


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options; what follows `--` is psql's."""
    parser.epilog = (
        "examples:\n  dsql psql\n  dsql psql -c 'select 1'\n  dsql psql -- -At -f script.sql"
    )
    add_data_option(parser)
    parser.add_argument("--cluster", default="", metavar="ID", help="needed if there are several")
    parser.add_argument("--user", default=ADMIN_USER, help=f"default: {ADMIN_USER}")
    parser.add_argument("-c", dest="commands", action="append", default=[], help="as psql's -c")
    parser.add_argument("-f", dest="files", action="append", default=[], help="as psql's -f")
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="psql's, after --")


def run(arguments: argparse.Namespace) -> int:
    """Replace this process by psql. Raises CommandError if there is no psql."""
    layout = Layout(arguments.data)
    record = choose_cluster(layout, arguments.cluster)
    environment = os.environ | connection_environment(layout, record, arguments.user)
    words = ["psql", *arguments.arguments]
    for command in arguments.commands:
        words += ["-c", command]
    for file in arguments.files:
        words += ["-f", file]
    try:
        os.execvpe("psql", words, environment)
    except FileNotFoundError:
        raise CommandError(
            "psql is not installed; any PostgreSQL client does, see `dsql token`"
        ) from None


def connection_environment(layout: Layout, record: ClusterRecord, user: str) -> Mapping[str, str]:
    """Return the variables with which every libpq program connects to the cluster as `user`."""
    host, port = relay_address(layout)
    return {
        "PGHOST": record.endpoint,
        "PGHOSTADDR": host,
        "PGPORT": str(port),
        "PGUSER": user,
        "PGDATABASE": "postgres",
        "PGPASSWORD": make_token(layout, record, user, _TOKEN_SECONDS),
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": str(layout.ca_certificate.absolute()),
    }
