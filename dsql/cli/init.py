"""`dsql init`: make a data directory and its first cluster, for roles that are not started by `dsql up`.

It changes nothing that is there, so that it can come before every start. Somebody has to renew certificates
then: with --renew it stays and does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal

from dsql.cli.errors import CommandError, reason
from dsql.cli.options import add_data_option
from dsql.cli.up import add_new_cluster_options, prepare, renew_certificates
from dsql.control.layout import Layout


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = (
        "examples:\n  dsql init --data /var/lib/dsql --region eu-west-1\n"
        "  dsql init --data /var/lib/dsql --renew   # beside the roles"
    )
    add_data_option(parser)
    add_new_cluster_options(parser)
    parser.add_argument("--renew", action="store_true", help="stay, and renew certificates")
    parser.set_defaults(chaos=False)


def run(arguments: argparse.Namespace) -> int:
    """Make what is not there, and print the cluster's endpoint."""
    layout = Layout(arguments.data.absolute())
    try:
        for folder in (layout.root, layout.root / "run"):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"cannot write to {layout.root}: {reason(error)}") from error
    record, _ = prepare(arguments, layout)
    print(record.endpoint, flush=True)
    if arguments.renew:
        asyncio.run(_renew_until_stopped(layout))
    return 0


async def _renew_until_stopped(layout: Layout) -> None:
    renewing = asyncio.ensure_future(renew_certificates(layout))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, renewing.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await renewing
