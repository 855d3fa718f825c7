"""`dsql token`: print a token, to be used as the password of any PostgreSQL client."""

from __future__ import annotations

import argparse

from dsql.cli.connecting import choose_cluster, make_token
from dsql.cli.options import add_data_option, add_expires_in_option
from dsql.client.auth_token import ADMIN_USER, DEFAULT_EXPIRES_SECONDS
from dsql.control.layout import Layout


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = "examples:\n  dsql token\n  PGPASSWORD=$(dsql token --user app) psql ..."
    add_data_option(parser)
    parser.add_argument("--cluster", default="", metavar="ID", help="needed if there are several")
    parser.add_argument("--user", default=ADMIN_USER, help=f"default: {ADMIN_USER}")
    add_expires_in_option(parser, DEFAULT_EXPIRES_SECONDS)


def run(arguments: argparse.Namespace) -> int:
    """Print the token."""
    layout = Layout(arguments.data)
    record = choose_cluster(layout, arguments.cluster)
    print(make_token(layout, record, arguments.user, arguments.expires_in))
    return 0
