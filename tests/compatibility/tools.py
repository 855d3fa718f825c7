"""psql's backslash commands and pg_dump, on one database of many kinds of objects (`objects.sql`)."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
from pathlib import Path

from compatibility.results import Results
from compatibility.servers import Variables

HERE = Path(__file__).parent
FORMATS = ("custom", "directory", "tar")
_SECONDS_MAX = 120
_SPACE, _RULE = re.compile(r"\s+"), re.compile(r"-{3,}")
_OF_ITS_RUN = re.compile(r"^(\\(un)?restrict .*|-- Dumped from .*)$", re.MULTILINE)


def _client(variables: Variables, *command: str) -> str:
    done = subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True,
        timeout=_SECONDS_MAX, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def make_objects(variables: Variables) -> None:
    """Make the objects of `objects.sql`."""
    _client(variables, "psql", "-qX", "-f", str(HERE / "objects.sql"))


class BackslashCommands:
    """Each command is a test, which passes if its answer is PostgreSQL's, but for widths and the owner."""

    def __init__(self) -> None:
        self._expected: dict[str, list[str]] = {}

    def run(self, variables: Variables, side: str) -> Results:
        """Ask all of them."""
        make_objects(variables)
        answers = {
            command: _normalized(_client(variables, "psql", "-X", "-c", command), variables)
            for command in (HERE / "psql_commands.txt").read_text().splitlines()
        }
        if side == "postgresql":
            self._expected = answers
        return {
            command: None if lines == self._expected[command] else self._difference(command, lines)
            for command, lines in answers.items()
        }

    def _difference(self, command: str, lines: list[str]) -> str:
        found = difflib.unified_diff(self._expected[command], lines, lineterm="", n=0)
        return "\n".join(line for line in found if line[:3] not in ("---", "+++", "@@ "))


def _normalized(text: str, variables: Variables) -> list[str]:
    lines = text.replace(variables["PGUSER"], "OWNER").splitlines()
    return [_SPACE.sub(" ", _RULE.sub("--", line)).strip() for line in lines]


def dump_and_restore(variables: Variables, directory: Path, schema: str) -> Results:
    """Dump a schema in each format, drop it, restore it, and dump it again: both are to be the same."""

    def dumped() -> str:
        return _OF_ITS_RUN.sub("", _client(variables, "pg_dump", "--schema", schema))

    def empty() -> None:
        _client(variables, "psql", "-qXc", f"DROP SCHEMA {schema} CASCADE")

    def difference(before: str) -> str | None:
        found = difflib.unified_diff(before.splitlines(), dumped().splitlines(), lineterm="", n=0)
        return "\n".join(found) or None

    before = dumped()
    plain = directory / "dump.sql"
    plain.write_text(before)
    results: Results = {}
    for format_name in FORMATS:
        path = str(directory / f"dump.{format_name}")
        options = ("--schema", schema, "--format", format_name, "--file", path)
        _client(variables, "pg_dump", *options)
        empty()
        _client(variables, "pg_restore", "--dbname", "postgres", path)
        results[format_name] = difference(before)
    empty()
    _client(variables, "psql", "-qX", "-f", str(plain))
    return results | {"plain": difference(before)}


def dumps(variables: Variables, directory: Path) -> Results:
    """Run `dump_and_restore` on the objects."""
    make_objects(variables)
    return dump_and_restore(variables, directory, "shop")
