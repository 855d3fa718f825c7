"""`dsql logs`: what the roles of a data directory have logged, in order of time; -f: and what comes."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from dsql.cli.errors import CommandError
from dsql.cli.log_lines import Choice, LogLine, parse, render
from dsql.cli.options import add_data_option
from dsql.control.layout import Layout

LINES = 50
LOOK_SECONDS = 0.2
_TAIL_BYTES = 1024 * 1024  # of each file; more than LINES of the longest usual lines
_LEVELS = ("debug", "info", "warning", "error")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = (
        "examples:\n  dsql logs -f\n  dsql logs relay-1 host --level warning\n"
        "  dsql logs -f --connection 4711   # as psql's %p, or PQbackendPID\n"
        "  dsql logs --json -n 1000 | jq .message"
    )
    add_data_option(parser)
    parser.add_argument("roles", nargs="*", metavar="ROLE", help="e.g. relay-1 (default: all)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument(
        "-n", "--lines", type=int, default=LINES, help="the last so many (default: %(default)s)"
    )
    parser.add_argument("--level", choices=_LEVELS, default="debug", help="this and worse ones")
    parser.add_argument("--connection", type=int, default=0, metavar="N", help="of this one only")
    parser.add_argument("--json", action="store_true", help="print lines as they are in the files")


def run(arguments: argparse.Namespace) -> int:
    """Print the lines; with -f until Ctrl-C."""
    layout = Layout(arguments.data)
    logs = {path.stem for path in _paths(layout, ())}
    if unknown := sorted(set(arguments.roles) - logs):
        known = ", ".join(sorted(logs)) or "none"
        raise CommandError(f"there is no log of {unknown[0]}; there are: {known}")
    if not logs and not arguments.follow:
        raise CommandError(f"there are no logs in {layout.root}")
    choice = Choice(logging.getLevelNamesMapping()[arguments.level.upper()], arguments.connection)
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def show(lines: Iterable[LogLine]) -> None:
        for line in lines:
            print(line.text if arguments.json else render(line, colours))
        sys.stdout.flush()

    follower = Follower(lambda: _paths(layout, arguments.roles), choice)
    lines = follower.read_new(_TAIL_BYTES)
    show(lines[max(0, len(lines) - arguments.lines) :])
    while arguments.follow:
        time.sleep(LOOK_SECONDS)
        show(follower.read_new())
    follower.close()
    return 0


class Follower:
    """Reads what is new in some files, which may be renamed for younger ones, and become more."""

    def __init__(self, paths: Callable[[], Iterable[Path]], choice: Choice) -> None:
        self._paths = paths
        self._choice = choice
        self._files: dict[Path, _OpenLog] = {}

    def read_new(self, tail_bytes: int = 0) -> list[LogLine]:
        """Return the wanted lines that have come, in the order of time.

        `tail_bytes`: of a file that is new to us no more than its end; 0: all of it.
        """
        found: list[LogLine] = []
        for path in self._paths():
            log = self._files.get(path)
            if log is not None and log.was_renamed():
                found += log.lines()  # which nobody adds to any more
                log.close()
                log = None
            if log is None:
                self._files[path] = log = _OpenLog(path, tail_bytes)
            found += log.lines()
        return sorted(filter(self._choice.has, found), key=lambda line: line.time)

    def close(self) -> None:
        """Close the files."""
        for log in self._files.values():
            log.close()


class _OpenLog:
    """One log file, read up to the end of its last whole line."""

    def __init__(self, path: Path, tail_bytes: int) -> None:
        self._path = path
        self._file: BinaryIO = path.open("rb")
        self._rest = b""
        size = os.fstat(self._file.fileno()).st_size
        if tail_bytes and size > tail_bytes:
            self._file.seek(size - tail_bytes)
            self._file.readline()  # a part of one

    def was_renamed(self) -> bool:
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False  # between two renamings

    def lines(self) -> list[LogLine]:
        whole, newline, self._rest = (self._rest + self._file.read()).rpartition(b"\n")
        return list(parse(whole.split(b"\n"))) if newline else []

    def close(self) -> None:
        self._file.close()


def _paths(layout: Layout, roles: Sequence[str]) -> list[Path]:
    """Return the newest log file of each of these roles; of all if none is named."""
    folder = layout.log("x").parent
    found = sorted(folder.glob("*.log"))
    return [path for path in found if not roles or path.stem in roles]
