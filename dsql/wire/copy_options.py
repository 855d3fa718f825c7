"""The options of COPY, checked as PostgreSQL checks them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from dsql.errors import SqlError

_NOT_A_TEXT_DELIMITER = "\\.abcdefghijklmnopqrstuvwxyz0123456789"


class CopyOptions(msgspec.Struct, frozen=True):
    """Options with their defaults filled in.

    `header` is off, on or match. The force lists hold column names; None means every column (`*`).
    """

    format: str = "text"
    delimiter: bytes = b"\t"
    null: bytes = b"\\N"
    header: str = "off"
    quote: bytes = b'"'
    escape: bytes = b'"'
    force_quote: tuple[str, ...] | None = ()
    force_not_null: tuple[str, ...] | None = ()
    force_null: tuple[str, ...] | None = ()
    encoding: str | None = None  # as it was written


OptionValue = str | bool | int | float | list[str] | None


def parse_options(pairs: Iterable[tuple[str, OptionValue]], *, reading: bool) -> CopyOptions:
    """Build the options of `COPY ... WITH (...)` from (name, argument) pairs.

    An argument is None where none is written; `reading` is COPY FROM. Raises SqlError.
    """
    given: dict[str, Any] = {}
    for name, value in pairs:
        reader = _READERS.get(name)
        if reader is None:
            raise SqlError("42601", f'option "{name}" not recognized')
        if name in given:
            raise SqlError("42601", "conflicting or redundant options")
        given[name] = reader(name, value)
    given.pop("freeze", None)
    return _with_defaults(given, reading)


def _with_defaults(given: dict[str, Any], reading: bool) -> CopyOptions:
    form = given.setdefault("format", "text")
    if form == "binary":
        for name in ("delimiter", "null"):
            if name in given:
                raise SqlError("42601", f"cannot specify {name.upper()} in BINARY mode")
        if given.get("header", "off") != "off":
            raise SqlError("42601", "cannot specify HEADER in BINARY mode")
    if form == "csv":
        given.setdefault("delimiter", b",")
        given.setdefault("null", b"")
        given.setdefault("escape", given.get("quote", b'"'))
    elif form == "text" and given.get("header") == "match" and not reading:
        raise SqlError("0A000", 'cannot use "match" with HEADER in COPY TO')
    _check_csv_only(given, reading)
    options = CopyOptions(**given)
    if form != "binary":
        _check_characters(options)
    return options


def _check_csv_only(given: dict[str, Any], reading: bool) -> None:
    csv = given["format"] == "csv"
    for name in ("quote", "escape"):
        if name in given and not csv:
            raise SqlError("0A000", f"COPY {name} available only in CSV mode")
    for name, for_reading in (
        ("force_quote", False),
        ("force_not_null", True),
        ("force_null", True),
    ):
        if given.get(name) in ((), []) or name not in given:
            continue
        words = name.replace("_", " ")
        if not csv:
            raise SqlError("0A000", f"COPY {words} available only in CSV mode")
        if reading != for_reading:
            direction = "FROM" if for_reading else "TO"
            raise SqlError("0A000", f"COPY {words} only available using COPY {direction}")


def _check_characters(options: CopyOptions) -> None:
    csv = options.format == "csv"
    if len(options.delimiter) != 1:
        raise SqlError("0A000", "COPY delimiter must be a single one-byte character")
    if options.delimiter in (b"\n", b"\r"):
        raise SqlError("22023", "COPY delimiter cannot be newline or carriage return")
    if b"\n" in options.null or b"\r" in options.null:
        raise SqlError("22023", "COPY null representation cannot use newline or carriage return")
    if not csv and options.delimiter.decode("latin-1") in _NOT_A_TEXT_DELIMITER:
        raise SqlError("22023", f'COPY delimiter cannot be "{options.delimiter.decode()}"')
    if csv:
        if len(options.quote) != 1:
            raise SqlError("0A000", "COPY quote must be a single one-byte character")
        if options.delimiter == options.quote:
            raise SqlError("22023", "COPY delimiter and quote must be different")
        if len(options.escape) != 1:
            raise SqlError("0A000", "COPY escape must be a single one-byte character")
    if options.delimiter in options.null:
        raise SqlError("0A000", "COPY delimiter must not appear in the NULL specification")
    if csv and options.quote in options.null:
        raise SqlError("0A000", "CSV quote character must not appear in the NULL specification")


def _read_format(_name: str, value: OptionValue) -> str:
    text = _text("format", value)
    if text not in ("text", "csv", "binary"):
        raise SqlError("22023", f'COPY format "{text}" not recognized')
    return text


def _text(name: str, value: OptionValue) -> str:
    if value is None:
        raise SqlError("42601", f"{name} requires a parameter")
    return str(value)


def _read_bytes(name: str, value: OptionValue) -> bytes:
    return _text(name, value).encode()


def read_boolean(name: str, value: OptionValue) -> bool:
    """Return a DefElem's Boolean as PostgreSQL's defGetBoolean does; no argument means true."""
    if value is None:
        return True
    if isinstance(value, int | str):
        text = str(value).lower()
        if text in ("true", "on", "1"):
            return True
        if text in ("false", "off", "0"):
            return False
    raise SqlError("42601", f"{name} requires a Boolean value")


def _read_header(name: str, value: OptionValue) -> str:
    if isinstance(value, str) and value.lower() == "match":
        return "match"
    try:
        return "on" if read_boolean(name, value) else "off"
    except SqlError:
        raise SqlError("42601", f'{name} requires a Boolean value or "match"') from None


def _read_columns(name: str, value: OptionValue) -> tuple[str, ...] | None:
    if value == "*":
        return None
    if not isinstance(value, list):
        raise SqlError("22023", f'argument to option "{name}" must be a list of column names')
    return tuple(value)


_READERS: dict[str, Callable[[str, OptionValue], Any]] = {
    "format": _read_format,
    "freeze": read_boolean,
    "delimiter": _read_bytes,
    "null": _read_bytes,
    "header": _read_header,
    "quote": _read_bytes,
    "escape": _read_bytes,
    "force_quote": _read_columns,
    "force_not_null": _read_columns,
    "force_null": _read_columns,
    "encoding": _text,
}
