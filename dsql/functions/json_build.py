"""Making json and jsonb of SQL values, and of each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from dsql.errors import SqlError
from dsql.functions.definition import define
from dsql.functions.function import Context
from dsql.functions.polymorphism import is_array
from dsql.functions.text import as_text
from dsql.types import array, oids, registry
from dsql.types.datetime_format import format_iso_date, format_iso_timestamp, timestamptz_formatter
from dsql.types.json import normalize, quote
from dsql.types.record import Record
from dsql.types.size import join
from dsql.types.type import FormatSettings

Writer = Callable[[Any], str]

_INTEGERS = frozenset((oids.INT2, oids.INT4, oids.INT8))


def writer(oid: int, context: Context) -> Writer:
    """Return the function that writes non-NULL values of a type as json text."""
    known = registry.get(oid)
    if is_array(oid):
        return array_writer(oid, context, ",")
    if oid in _INTEGERS:
        return str
    if oid in (oids.JSON, oids.JSONB):
        return lambda value: str(value)
    if oid == oids.BOOL:
        return lambda value: "true" if value else "false"
    if registry.is_composite(oid):
        return lambda value: record_text(context, value, ",")
    if oid in (oids.FLOAT4, oids.FLOAT8, oids.NUMERIC):
        encode = known.text_encoder(context.settings)
        return lambda value: _number(value, encode(value).decode())
    if oid == oids.DATE:
        return lambda value: quote(format_iso_date(value))
    if oid == oids.TIMESTAMP:
        return lambda value: quote(_iso_8601(format_iso_timestamp(value)))
    if oid == oids.TIMESTAMPTZ:
        format_value = timestamptz_formatter(FormatSettings(time_zone=context.settings.time_zone))
        return lambda value: quote(_iso_8601(_with_minutes(format_value(value))))
    encode_text = known.text_encoder(context.settings)
    return lambda value: quote(encode_text(value).decode())


def _iso_8601(text: str) -> str:
    return text.replace(" ", "T", 1)


def _with_minutes(text: str) -> str:
    """Write the zone's minutes, as JSON readers expect: +00:00."""
    bare = text.removesuffix(" BC")
    if bare[-3:-2] in ("+", "-"):
        return bare + ":00" + text[len(bare) :]
    return text


def _number(value: Any, text: str) -> str:
    return text if math.isfinite(value) else quote(text)


def array_writer(oid: int, context: Context, separator: str) -> Writer:
    """Return the writer of arrays, with `separator` between the outermost elements."""
    write = writer(registry.get(oid).element_oid, context)

    def item(value: Any, between: str = ",") -> str:
        if value is None:
            return "null"
        if isinstance(value, list):
            return "[" + join(between, map(item, value)) + "]"
        return write(value)

    return lambda value: item(list(value), separator)


def record_text(context: Context, value: tuple[Any, ...], separator: str) -> str:
    """Return a record as a json object."""
    shaped = isinstance(value, Record) and bool(value.names)

    def member(at: int, item: Any) -> str:
        name = value.names[at] if shaped else f"f{at + 1}"  # type: ignore[attr-defined]
        oid = value.oids[at] if shaped else _guessed(item)  # type: ignore[attr-defined]
        text = "null" if item is None else writer(oid, context)(item)
        return f"{quote(name)}:{text}"

    return "{" + join(separator, (member(at, item) for at, item in enumerate(value))) + "}"


def _guessed(value: Any) -> int:
    """Return a type for a field of a record without a shape."""
    kinds = {
        bool: oids.BOOL,
        int: oids.INT8,
        float: oids.FLOAT8,
        str: oids.TEXT,
        tuple: oids.RECORD,
    }
    return kinds.get(type(value), oids.TEXT if isinstance(value, str) else oids.NUMERIC)


def _to_json(oid: int) -> Callable[..., str]:
    return lambda context, value: writer(oid, context)(value)


def _to_jsonb(oid: int) -> Callable[..., str]:
    if oid == oids.JSONB:
        return lambda _context, value: str(value)
    return lambda context, value: normalize(writer(oid, context)(value))


def key_text(context: Context, oid: int, value: Any, number: int) -> str:
    """Return an object key. Raises SqlError 22023 for NULL, arrays, records and json."""
    if value is None:
        raise SqlError("22023", f"argument {number}: key must not be null")
    known = registry.get(oid)
    if oid in (oids.JSON, oids.JSONB) or known.category == "A" or registry.is_composite(oid):
        raise SqlError("22023", "key value must be scalar, not array, composite, or json")
    return as_text(context, oid, value)


def value_text(context: Context, oid: int, value: Any) -> str:
    """Return a value's json text, null for NULL."""
    return "null" if value is None else writer(oid, context)(value)


def object_text(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the json text of (key, value text) pairs as json_build_object spaces it."""
    return "{" + join(", ", (f"{quote(key)} : {text}" for key, text in pairs)) + "}"


def _build_object(name: str) -> Callable[..., Callable[..., str]]:
    def typed(*argument_oids: int) -> Callable[..., str]:
        def build(context: Context, *values: Any) -> str:
            if len(values) % 2:
                raise SqlError(
                    "22023",
                    "argument list must have even number of elements",
                    hint=f"The arguments of {name}() must consist of alternating keys and values.",
                )
            return object_text(
                (
                    key_text(context, argument_oids[at], values[at], at + 1),
                    value_text(context, argument_oids[at + 1], values[at + 1]),
                )
                for at in range(0, len(values), 2)
            )

        return build

    return typed


def _build_array(*argument_oids: int) -> Callable[..., str]:
    def build(context: Context, *values: Any) -> str:
        texts = (value_text(context, o, v) for o, v in zip(argument_oids, values, strict=True))
        return "[" + join(", ", texts) + "]"

    return build


def _normalized(typed: Callable[..., Callable[..., str]]) -> Callable[..., Callable[..., str]]:
    """Return the jsonb form of a function that makes json."""

    def make(*argument_oids: int) -> Callable[..., str]:
        build = typed(*argument_oids)
        return lambda context, *values: normalize(build(context, *values))

    return make


def _object_of_pairs(keys: list[Any], values: list[Any]) -> str:
    if any(key is None for key in keys):
        raise SqlError("22004", "null value not allowed for object key")
    texts = ("null" if value is None else quote(value) for value in values)
    return object_text(zip(keys, texts, strict=True))


def json_object(pairs: list[Any]) -> str:
    """Return the object of alternating keys and values, or of an array of pairs."""
    if pairs and isinstance(pairs[0], list):
        if len(array.dimensions(pairs)) > 2:
            raise SqlError("2202E", "wrong number of array subscripts")
        if len(pairs[0]) != 2:
            raise SqlError("2202E", "array must have two columns")
        return _object_of_pairs([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    if len(pairs) % 2:
        raise SqlError("2202E", "array must have even number of elements")
    return _object_of_pairs(pairs[::2], pairs[1::2])


def json_object_of(keys: list[Any], values: list[Any]) -> str:
    """Return the object of a keys array and a values array. Raises SqlError 2202E and 22004."""
    for part in (keys, values):
        if part and isinstance(part[0], list):
            raise SqlError("2202E", "wrong number of array subscripts")
    if len(keys) != len(values):
        raise SqlError("2202E", "mismatched array dimensions")
    return _object_of_pairs(keys, values)


def _array_to_json(oid: int, _pretty: int = 0) -> Callable[..., str]:
    def convert(context: Context, value: list[Any], pretty: bool = False) -> str:
        return array_writer(oid, context, ",\n " if pretty else ",")(value)

    return convert


def _row_to_json(context: Context, value: tuple[Any, ...], pretty: bool = False) -> str:
    return record_text(context, value, ",\n " if pretty else ",")


define("to_json", typed=_to_json, needs_context=True)
define("to_jsonb", typed=_to_jsonb, needs_context=True)
define("json_build_object(any)", typed=_build_object("json_build_object"), needs_context=True)
define("json_build_object()", lambda: "{}")
define("json_build_array(any)", typed=_build_array, needs_context=True)
define("json_build_array()", lambda: "[]")
define("jsonb_build_object(any)",
       typed=_normalized(_build_object("jsonb_build_object")), needs_context=True)  # fmt: skip
define("jsonb_build_object()", lambda: "{}")
define("jsonb_build_array(any)", typed=_normalized(_build_array), needs_context=True)
define("jsonb_build_array()", lambda: "[]")
define("json_object(_text)", json_object)
define("json_object(_text,_text)", json_object_of)
define("jsonb_object(_text)", lambda pairs: normalize(json_object(pairs)))
define("jsonb_object(_text,_text)", lambda keys, values: normalize(json_object_of(keys, values)))
define("array_to_json(anyarray)", typed=_array_to_json, needs_context=True)
define("array_to_json(anyarray,bool)", typed=_array_to_json, needs_context=True)
define("row_to_json(record) row_to_json(record,bool)", _row_to_json, needs_context=True)
