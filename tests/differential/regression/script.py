"""Cuts psql scripts into statements, with the data of their COPY FROM STDIN."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PART = re.compile(
    r"""(?P<skip>--[^\n]*|/\*)
    |(?P<quoted>[eE]'(?:\\.|''|[^'\\])*'|'(?:''|[^'])*'|"(?:""|[^"])*")
    |(?P<dollar>\$(?:[A-Za-z_]\w*)?\$)
    |(?P<word>[A-Za-z_]\w*)
    |(?P<command>\\[^\n]*)
    |(?P<end>;)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_FILE_COPY = re.compile(r"copy\s+(.*?)\s+from\s+:'(\w+)'(.*)", re.IGNORECASE | re.DOTALL)
_STDIN_COPY = re.compile(r"copy\s.*\sfrom\s+stdin", re.IGNORECASE | re.DOTALL)
_SET = re.compile(r"\\set\s+(\w+)\s+:abs_srcdir\s+'([^']*)'")


@dataclass(frozen=True)
class Statement:
    """One statement; `data`: the lines that its COPY takes, None if it takes none."""

    text: str
    data: bytes | None = None


def statements(path: Path) -> Iterator[Statement]:
    """Yield the statements of a script beside a directory `data`. psql's own commands are left out."""
    text = path.read_text("utf-8", "replace")
    variables: dict[str, Path] = {}
    at, start, depth, words = 0, 0, 0, list[str]()
    while at < len(text):
        found = _PART.match(text, at)
        assert found is not None
        at = found.end()
        if found["skip"] == "/*":
            at = _behind_comment(text, at)
        elif found["dollar"]:
            end = text.find(found["dollar"], at)
            at = len(text) if end < 0 else end + len(found["dollar"])
        elif found["word"]:
            words.append(found["word"].lower())
            depth += _nesting(words)
        elif found["command"]:
            if setting := _SET.match(found["command"]):
                variables[setting[1]] = path.parent.parent / setting[2].lstrip("/")
            body = text[start : found.start()]
            if found["command"].startswith(("\\g", "\\crosstab")) and body.strip():
                yield Statement(body.strip())
            if found["command"].startswith("\\c "):  # a new connection, as who has begun
                yield Statement("RESET SESSION AUTHORIZATION")
            start, depth, words = at, 0, []
        elif found["end"] and not depth:
            body = text[start:at].strip()
            statement, at = _statement(body, text, at, variables)
            yield statement
            start, words = at, []


def _nesting(words: list[str]) -> int:
    """Return how a word changes the depth of BEGIN ATOMIC bodies, inside which semicolons end nothing."""
    if words[:1] != ["create"]:
        return 0
    if words[-2:] == ["begin", "atomic"]:
        return 1
    inside = "atomic" in words
    return (1 if words[-1] == "case" else -1 if words[-1] == "end" else 0) if inside else 0


def _behind_comment(text: str, at: int) -> int:
    depth = 1
    for found in re.compile(r"/\*|\*/").finditer(text, at):
        depth += 1 if found[0] == "/*" else -1
        if not depth:
            return found.end()
    return len(text)


def _statement(body: str, text: str, at: int, variables: dict[str, Path]) -> tuple[Statement, int]:
    """Return a statement and where the next one begins."""
    plain = re.sub(r"^(\s*(--[^\n]*\n|/\*.*?\*/))*\s*", "", body, flags=re.DOTALL)
    if copied := _FILE_COPY.fullmatch(plain):
        data = variables[copied[2]].read_bytes() if copied[2] in variables else b""
        return Statement(f"copy {copied[1]} from stdin{copied[3]}", data), at
    if not _STDIN_COPY.match(plain):
        return Statement(body), at
    begin = text.find("\n", at) + 1
    end = re.compile(r"^\\\.$", re.MULTILINE).search(text, begin)
    stop = end.start() if end else begin
    return Statement(body, text[begin:stop].encode()), end.end() if end else at
