"""`dsql down`: stop the supervisor of a data directory, and with it every role."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import time

from dsql.cli.data_directory import holder
from dsql.cli.errors import CommandError
from dsql.cli.options import add_data_option
from dsql.control.layout import Layout

# A supervisor takes 5 s at most, and more where it hardly gets a processor.
WAIT_SECONDS = 60.0
_AGAIN_SECONDS = 0.05


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dsql down`."""
    parser.epilog = "example:\n  dsql down --data .dsql"
    add_data_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Stop, and return when everything has ended. Not running is no failure."""
    layout, deadline = Layout(arguments.data), time.monotonic() + WAIT_SECONDS
    process_id = holder(layout)
    if process_id is None:
        print(f"nothing runs on {arguments.data}")
    # Who has just taken the lock may not have written its number: the one before it stands there, or none.
    while process_id is not None:
        if not _end(process_id, deadline - time.monotonic()):
            time.sleep(_AGAIN_SECONDS)
        if time.monotonic() > deadline:
            raise CommandError(f"process {process_id} still runs after {WAIT_SECONDS:g} s")
        process_id = holder(layout)
    return 0


def _end(process_id: int, seconds: float) -> bool:
    """Ask a process to end, and wait for that so long; return whether there was one.

    Raises CommandError if it is another user's.
    """
    if process_id <= 0:
        return False
    try:
        watch = os.pidfd_open(process_id)
    except ProcessLookupError:
        return False
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(watch, signal.SIGTERM)
            signal.pidfd_send_signal(
                watch, signal.SIGCONT
            )  # one that was stopped would hear nothing
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        poll.poll(max(0.0, seconds) * 1000)
    except PermissionError:
        raise CommandError(f"process {process_id} belongs to another user") from None
    finally:
        os.close(watch)
    return True
