"""Lines of the roles' logs as people read them: told apart, put in order, chosen and printed.

A line is JSON as `dsql.cli.logs.JsonFormatter` writes it, or whatever else a role has written: stacks,
words of the C library. Such a line belongs to the one before it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

_SHOWN = ("time", "level", "role", "message", "exception")
_OF_NO_INTEREST = (
    *("process", "logger"),
    *("eventVersion", "eventTime", "eventSource", "eventType", "eventCategory", "eventID"),
    *("managementEvent", "readOnly", "awsRegion", "recipientAccountId", "resources"),
)
_COLOURS = {"warning": "33", "error": "31", "critical": "31"}


class LogLine(NamedTuple):
    """One line. `time` is ISO 8601 in UTC; `fields` is empty if the line is not one of ours."""

    time: str
    text: str
    fields: dict[str, Any]


class Choice(NamedTuple):
    """Which lines are wanted. `level` is a number of `logging`; `connection` 0 stands for all."""

    level: int
    connection: int = 0

    def has(self, line: LogLine) -> bool:
        """Tell whether a line is wanted. One that is not ours is an accident, and always is."""
        if not line.fields:
            return not self.connection
        names = logging.getLevelNamesMapping()
        level = names.get(str(line.fields.get("level", "")).upper(), logging.CRITICAL)
        connection = line.fields.get("connection")
        return level >= self.level and self.connection in (0, connection)


def parse(lines: Iterable[bytes]) -> Iterator[LogLine]:
    """Yield one file's lines."""
    time = ""
    for line in lines:
        text = line.decode(errors="replace").rstrip()
        try:
            fields = json.loads(text)
        except ValueError:
            fields = {}
        if not isinstance(fields, dict) or not isinstance(fields.get("time"), str):
            fields = {}
        time = fields.get("time", time)
        yield LogLine(time, text, fields)


def render(line: LogLine, colours: bool) -> str:
    """Return a line for people: time, level, role, message, and what else there is as name=value.

    >>> render(LogLine("T", "", {"time": "T", "level": "info", "role": "a", "message": "m", "n": 1}), False)
    'T info    a            m  n=1'
    """
    fields = line.fields
    if not fields:
        return f"{line.time} {printable(line.text)}".strip()
    level = printable(str(fields.get("level", "")))
    painted = f"{level:<7}"
    if colours and level in _COLOURS:
        painted = f"\x1b[{_COLOURS[level]}m{painted}\x1b[0m"
    rest = "".join(
        f"  {printable(name)}={printable(str(value))}"
        for name, value in fields.items()
        if name not in _SHOWN and name not in _OF_NO_INTEREST
    )
    role, message = (printable(str(fields.get(name, ""))) for name in ("role", "message"))
    stack = "".join(
        f"\n    {printable(part)}" for part in str(fields.get("exception", "")).splitlines()
    )
    return f"{printable(line.time)} {painted} {role:<12} {message}{rest}{stack}"


def printable(text: str) -> str:
    r"""Return a text that does nothing to a terminal: clients choose some of what is logged.

    >>> printable("a\x1b[2J")
    'a\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text
    )
