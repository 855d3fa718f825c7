"""`dsql env`: print all that a program needs to connect, a token included, for a shell to read."""

from __future__ import annotations

import argparse
import json

from dsql.cli.connecting import choose_cluster, open_access
from dsql.cli.identity import parse_name
from dsql.cli.options import add_cluster_argument, add_data_option, add_expires_in_option
from dsql.client.auth_token import ADMIN_USER
from dsql.control.layout import Layout

_TOKEN_SECONDS = 12 * 3600  # a day's work in one shell


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = (
        'examples:\n  eval "$(dsql env)" && psql\n  dsql env | source   # fish\n'
        "  dsql env --json | jq -r .DSQL_ENDPOINT\n"
        '  eval "$(dsql env --role writer --user app)"\n'
        "It prints secrets: an access key, and a token that is good for --expires-in seconds."
    )
    add_data_option(parser)
    add_cluster_argument(parser)
    parser.add_argument("--user", default=ADMIN_USER, help=f"default: {ADMIN_USER}")
    parser.add_argument("--role", type=parse_name, metavar="NAME", help="as a session of this role")
    add_expires_in_option(parser, _TOKEN_SECONDS)
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print the variables."""
    layout = Layout(arguments.data)
    record = choose_cluster(layout, arguments.cluster)
    access = open_access(layout, record, arguments.user, arguments.expires_in, arguments.role or "")
    if arguments.json:
        print(json.dumps(access.variables(), indent=2))
    else:
        print(access.shell_lines(), end="")
    return 0
