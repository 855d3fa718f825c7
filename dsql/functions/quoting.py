"""Quoting, format() and identifiers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dsql.errors import SqlError
from dsql.functions.definition import define
from dsql.functions.function import Context
from dsql.functions.text import as_text
from dsql.types.identifier import quote_identifier
from dsql.types.pieces import in_pieces
from dsql.types.size import check_size

_SPECIFIER = re.compile(r"%(?:(\d+)\$)?(-)?(\d+|\*(?:(\d+)\$)?)?(.)?", re.DOTALL)


def quote_literal(text: str) -> str:
    """Return the text as an SQL literal; with backslashes as an E'' string."""
    check_size(len(text) + text.count("'") + text.count("\\") + len("E''"), text)
    if "\\" not in text:
        return in_pieces(lambda piece: piece.replace("'", "''"), text, "'", "'")
    return in_pieces(lambda piece: piece.replace("'", "''").replace("\\", "\\\\"), text, "E'", "'")


def parse_ident(text: str, strict: bool = True) -> list[str]:
    """Split a qualified identifier into its names. Raises SqlError 22023."""
    pattern = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^\W\d][\w$]*))\s*')
    names, at = [], 0
    while True:
        found = pattern.match(text, at)
        if found is None:
            raise SqlError("22023", f'string is not a valid identifier: "{text}"')
        names.append(found[1].replace('""', '"') if found[1] else found[2].lower())
        at = found.end()
        if text[at : at + 1] != ".":
            break
        at += 1
    if strict and at != len(text):
        raise SqlError("22023", f'string is not a valid identifier: "{text}"')
    return names


class _Formatter:
    """One run of format(): keeps which argument comes next."""

    def __init__(self, context: Context, oids: tuple[int, ...], values: tuple[Any, ...]) -> None:
        self.context = context
        self.oids = oids
        self.values = values
        self.next = 0
        self.size = 0  # characters made so far

    def argument(self, number: str | None) -> int:
        at = int(number) - 1 if number else self.next
        if at < 0:
            raise SqlError(
                "22023", "format specifies argument 0, but arguments are numbered from 1"
            )
        if at >= len(self.values):
            raise SqlError("22023", "too few arguments for format()")
        self.next = at + 1
        return at

    def specifier(self, found: re.Match[str]) -> str:
        number, minus, width, width_number, kind = found.groups()
        if kind == "%" and found[0] == "%%":
            return "%"
        if kind is None:
            raise SqlError(
                "22023", "unterminated format() type specifier", hint='For a single "%" use "%%".'
            )
        if kind not in "sIL":
            raise SqlError(
                "22023",
                f'unrecognized format() type specifier "{kind}"',
                hint='For a single "%" use "%%".',
            )
        size = 0
        if width and width.startswith("*"):
            size = int(self.values[self.argument(width_number)] or 0)
        elif width:
            size = int(width)
        check_size(abs(size))
        text = self.convert(kind, self.argument(number))
        self.size += max(len(text), abs(size))
        check_size(self.size, text)
        return text.ljust(-size) if size < 0 else text.ljust(size) if minus else text.rjust(size)

    def convert(self, kind: str, at: int) -> str:
        value = self.values[at]
        if value is None:
            if kind == "I":
                raise SqlError("22004", "null values cannot be formatted as an SQL identifier")
            return "NULL" if kind == "L" else ""
        text = as_text(self.context, self.oids[at], value)
        return (
            text if kind == "s" else quote_identifier(text) if kind == "I" else quote_literal(text)
        )


def _format(*oids: int) -> Callable[..., str | None]:
    def call(context: Context, template: str | None, *values: Any) -> str | None:
        if template is None:
            return None
        return _SPECIFIER.sub(_Formatter(context, oids[1:], values).specifier, template)

    return call


def _quote_any(oid: int) -> Callable[..., str]:
    return lambda context, value: quote_literal(as_text(context, oid, value))


def _quote_nullable_any(oid: int) -> Callable[..., str]:
    return lambda context, value: (
        "NULL" if value is None else quote_literal(as_text(context, oid, value))
    )


define("quote_ident", quote_identifier)
define("quote_literal(text)", quote_literal)
define("quote_nullable(text)", lambda text: "NULL" if text is None else quote_literal(text))
define("quote_literal(anyelement)", typed=_quote_any, needs_context=True)
define("quote_nullable(anyelement)", typed=_quote_nullable_any, needs_context=True)
define("parse_ident", parse_ident, defaults=(True,))
define("format(text,any)", typed=_format, needs_context=True)
define("format(text)", typed=_format, needs_context=True)
