"""`dsql down`: stop the supervisor of a data directory, and with it every role."""

from __future__ import annotations

import argparse
import os
import select
import signal

from dsql.cli.data_directory import holder
from dsql.cli.errors import CommandError
from dsql.cli.options import add_data_option
from dsql.control.layout import Layout

WAIT_SECONDS = 10.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dsql down`."""
    parser.epilog = "example:\n  dsql down --data .dsql"
    add_data_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Stop, and return when everything has ended. Not running is no failure."""
    process_id = holder(Layout(arguments.data))
    if process_id is None:
        print(f"nothing runs on {arguments.data}")
        return 0
    try:
        watch = os.pidfd_open(process_id)
        signal.pidfd_send_signal(watch, signal.SIGTERM)
    except ProcessLookupError:
        return 0
    except PermissionError:
        raise CommandError(f"process {process_id} belongs to another user") from None
    poll = select.poll()
    poll.register(watch, select.POLLIN)
    ended = poll.poll(WAIT_SECONDS * 1000)
    os.close(watch)
    if not ended:
        raise CommandError(f"process {process_id} still runs after {WAIT_SECONDS:g} s")
    return 0
