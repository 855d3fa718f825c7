"""Golden scripts: statements with the answers psql would show, over sessions on a store in memory.

    > select 1 as one;          what a session is sent; "two> ..." names another session
    one                         what comes back, up to an empty line: column names, rows, tag, notices,
    1                           or ERROR sqlstate: message (DETAIL, HINT)
    SELECT 1

A line starting with # is a comment; `# profile: postgres` at the top chooses the profile. With
DSQL_ACCEPT_SCRIPTS=1 the scripts are rewritten with the answers as they are now: read the difference.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from memory_server import Peer, Server

from dsql.wire import client

SCRIPTS = sorted((Path(__file__).parent / "sql").glob("*.test"))
_STATEMENT = re.compile(r"(\w*)> (.*)", re.DOTALL)
_JOB = re.compile(r"^[a-z2-7]{26}$", re.MULTILINE)


def answer_of(messages: list[tuple[str, bytes]]) -> Iterator[str]:
    """Yield the lines of an answer."""
    for letter, body in messages:
        if letter == "T":
            yield " | ".join(client.column_names(body))
        elif letter == "D":
            values = client.row_values(body)
            yield " | ".join("NULL" if v is None else v.decode() for v in values)
        elif letter == "C":
            yield body.rstrip(b"\0").decode()
        elif letter in ("E", "N"):
            fields = client.error_fields(body)
            yield f"{fields['S']} {fields['C']}: {fields['M']}"
            for key, name in (("D", "DETAIL"), ("H", "HINT")):
                if key in fields:
                    yield f"{name}: {fields[key]}"


def run_script(text: str, server: Server) -> str:
    """Return the script with the answers it gets."""
    sessions: dict[str, Peer] = {}
    blocks = []
    for block in text.strip().split("\n\n"):
        lines = block.split("\n")
        written = [line for line in lines if line.startswith("#")]
        statement_lines = [line for line in lines if not line.startswith("#")]
        if not statement_lines:
            blocks.append(block)
            continue
        found = _STATEMENT.match(_statement(statement_lines))
        assert found, block
        name, statement = found.groups()
        if name not in sessions:
            sessions[name] = server.connect()
        answer = list(answer_of(sessions[name].query(statement)))
        shown = _JOB.sub("JOB", "\n".join(answer))
        blocks.append("\n".join([*written, _statement(statement_lines), shown]).rstrip())
    return "\n\n".join(blocks) + "\n"


def _statement(lines: list[str]) -> str:
    """Return the lines up to the one that ends with a semicolon."""
    taken = []
    for line in lines:
        taken.append(line)
        if line.endswith(";"):
            break
    return "\n".join(taken)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_answers_as_written(path: Path) -> None:
    text = path.read_text()
    server = Server("postgres" if "# profile: postgres" in text else "dsql")
    try:
        seen = run_script(text, server)
    finally:
        server.stop()
    if os.environ.get("DSQL_ACCEPT_SCRIPTS") == "1":
        path.write_text(seen)
    assert seen == text
