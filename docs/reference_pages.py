"""The pages of the reference that are made from the code, so that they say what it does."""

from __future__ import annotations

import ast
import csv
import inspect
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from dsql import limits
from dsql.cli.main import COMMANDS, make_parser
from dsql.health import exposition

PACKAGE = Path(limits.__file__).parent
ROOT = PACKAGE.parent
_SQLSTATE = re.compile("[0-9][0-9A-Z]{4}|(P0|XX)[0-9]{3}").fullmatch
SOURCES = ("dsql", "relay", "placement", "adjudicator", "storage")
_NO_ERRORS = ("00", "01")  # the classes of notices and warnings
_NOT_OURS_TO_SAY = {"wire", "cli", "chaos"}  # rooms without errors of statements


def commands() -> str:
    """Return the help of every command."""
    os.environ["COLUMNS"] = "100"
    parser = make_parser(COMMANDS)
    parts = ["# Commands", _text(parser.format_help())]
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for name, command in action.choices.items():
                parts += [f"## dsql {name}", _text(command.format_help())]
    return "\n\n".join(parts) + "\n"


def limits_page() -> str:
    """Return every limit with what the code says of it."""
    lines = (PACKAGE / "limits.py").read_text("utf-8").splitlines()
    rows = []
    for name, value in vars(limits).items():
        if name.isupper():
            line = next(line for line in lines if line.startswith(f"{name} ="))
            rows.append((f"`{name}`", f"{value:,}", _cell(line.partition("#")[2].strip())))
    about = (
        "The unit is in the name. They hold in both profiles unless PostgreSQL has no such limit and the "
        "architecture needs none; then the postgres profile lifts them."
    )
    return f"# Limits\n\n{about}\n\n{_table(('limit', 'value', ''), rows)}"


def errors() -> str:
    """Return every SQLSTATE with the messages that it comes with; {} stands for what varies."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in _modules():
        for sqlstate, message in _raised(ast.parse(path.read_text("utf-8"))):
            if not sqlstate.startswith(_NO_ERRORS):
                found[sqlstate].add(message)
    rows = [
        (f"`{state}`", "<br>".join(map(_cell, sorted(found[state])))) for state in sorted(found)
    ]
    about = (
        "What a statement, or a login, may be told. 40001 is the one to expect: run the transaction again. "
        "Messages that libpg_query itself gives (42601) are PostgreSQL's and not listed."
    )
    return f"# Errors\n\n{about}\n\n{_table(('SQLSTATE', 'messages'), rows)}"


def settings() -> str:
    """Return what SHOW and SET know."""
    with (PACKAGE / "session" / "parameters.tsv").open(encoding="utf-8") as file:
        parameters = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    rows = [
        (f"`{p['name']}`", p["type"], _cell(p["default"] or ""), _cell(p["description"] or ""))
        for p in parameters
    ]
    about = "`SHOW ALL` lists them, too. The dsql profile lets a session set what Aurora DSQL does."
    return f"# Settings\n\n{about}\n\n{_table(('parameter', 'type', 'default', ''), rows)}"


def metrics() -> str:
    """Return what Prometheus is told."""
    about = inspect.cleandoc(exposition.__doc__ or "")
    counters = ", ".join(f"`{name}`" for name in sorted(exposition.COUNTERS))
    return (
        f"# Metrics\n\n`dsql up --metrics HOST:PORT` serves them at `/metrics`.\n\n{_text(about)}\n\n"
        "What only rises ends in `_total`: every number of a relay but its gauges, and of the others "
        f"{counters}. "
        "[Operations](../OPERATIONS.md) says what each word of `dsql_condition` means and what to do.\n"
    )


def _modules() -> Iterator[Path]:
    for package in SOURCES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if not _NOT_OURS_TO_SAY.intersection(path.relative_to(ROOT).parts):
                yield path


def _raised(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield (SQLSTATE, message) of every error that a module makes with both in its text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and len(node.args) >= 2:
            state, message = node.args[:2]
            if isinstance(state, ast.Constant) and _is_sqlstate(state.value):
                text = _template(message)
                if text:
                    yield str(state.value), text


def _is_sqlstate(value: object) -> bool:
    return isinstance(value, str) and bool(_SQLSTATE(value))


def _template(node: ast.expr) -> str:
    """Return a literal text with {} for what is computed; nothing if all of it is."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_template(part) or "{}" for part in node.values)
    return ""


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _text(content: str) -> str:
    return f"```text\n{content.rstrip()}\n```"


def _cell(text: str) -> str:
    return text.translate(
        str.maketrans({"|": "\\|", "<": "&lt;", "*": "\\*", "_": "\\_", "\n": " "})
    )


PAGES: dict[str, Callable[[], str]] = {
    "commands": commands,
    "limits": limits_page,
    "errors": errors,
    "settings": settings,
    "metrics": metrics,
}
