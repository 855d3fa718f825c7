"""Reads the .test files of SQLite's sqllogictest and of DuckDB into the statements that they send.

What a file says of the answers is left aside, since a real PostgreSQL answers beside us. Records that a
file does not give to postgresql are skipped, and loops are unrolled (at most `_UNROLLED_MAX` statements).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tests.differential.regression.script import Statement

_UNROLLED_MAX = 2_000
_RANGE = re.compile(r"(?:concurrent)?loop\s+(\w+)\s+(-?\d+)\s+(-?\d+)")
_EACH = re.compile(r"(?:concurrent)?foreach\s+(\w+)\s+(.*)", re.DOTALL)


def statements(path: Path, every: int = 1) -> Iterator[Statement]:
    """Yield the statements of a file, and of its queries each `every`-th."""
    blocks = re.split(r"\n[ \t]*\n", path.read_text("utf-8", "replace"))
    queries = 0
    for block in islice(_unrolled([block.strip("\n") for block in blocks]), _UNROLLED_MAX * every):
        head, text = _record(block)
        if head.startswith("query"):
            queries += 1
            if (queries - 1) % every:
                continue
        if text:
            yield Statement(text)


def _unrolled(blocks: list[str]) -> Iterator[str]:
    """Yield blocks with loops written out; loops may stand in loops."""
    at = 0
    while at < len(blocks):
        block = blocks[at]
        at += 1
        if (values := _loop(block)) is None:
            yield block
            continue
        end = _end(blocks, at)
        name, texts = values
        for text in texts:
            yield from _unrolled([_substituted(inner, name, text) for inner in blocks[at:end]])
        at = end + 1


def _substituted(block: str, name: str, text: str) -> str:
    return block.replace("${" + name + "}", text).replace("{" + name + "}", text)


def _loop(block: str) -> tuple[str, list[str]] | None:
    line = "\n".join(line for line in block.splitlines() if not line.startswith("#"))
    if found := _RANGE.fullmatch(line.strip()):
        return found[1], [str(number) for number in range(int(found[2]), int(found[3]))]
    if found := _EACH.fullmatch(line.strip()):
        return found[1], found[2].split()
    return None


def _end(blocks: list[str], at: int) -> int:
    """Return where the loop ends whose body begins at `at`."""
    depth = 1
    for position in range(at, len(blocks)):
        if _loop(blocks[position]) is not None:
            depth += 1
        elif blocks[position].strip() == "endloop":
            depth -= 1
            if not depth:
                return position
    return len(blocks)


def _record(block: str) -> tuple[str, str]:
    """Return a record's first line and the SQL below it; ("", "") if it is none, or another system's."""
    lines = [line for line in block.splitlines() if not line.startswith("#")]
    while lines and lines[0].startswith(("onlyif", "skipif")):
        condition, _, system = lines.pop(0).partition(" ")
        ours = system.split("#")[0].strip() in ("postgresql", "postgres")
        if ours != (condition == "onlyif"):
            return "", ""
    if not lines or not lines[0].startswith(("statement", "query")):
        return "", ""
    body = lines[1:]
    end = body.index("----") if "----" in body else len(body)
    return lines[0], "\n".join(body[:end]).strip()
