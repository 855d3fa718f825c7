"""Records of JSON objects: json[b]_to_record(set), json[b]_populate_record(set).

Which fields there are is known from the column definitions of FROM, or from the record that is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dsql.errors import SqlError
from dsql.functions import json_text
from dsql.functions.definition import define
from dsql.functions.function import Columns, Context
from dsql.types import oids, registry
from dsql.types.json import normalize, quote
from dsql.types.record import Record, record_class
from dsql.types.type import FormatSettings
from dsql.types.typmod import enforcer, input_decoder

Reader = Callable[[str, str], Any]  # of a JSON text under a key


def reader(type_oid: int, typmod: int, settings: FormatSettings) -> Reader:
    """Return what reads a JSON value as a type. It raises SqlError 22P02 and what input does."""
    element = registry.get(type_oid).element_oid
    if type_oid in (oids.JSON, oids.JSONB):
        return lambda text, _key: _as_json(type_oid, text)
    decode = _input(type_oid, typmod, settings)
    if not element:
        return lambda text, _key: _scalar(decode, text)
    read_element = reader(element, typmod, settings)

    def read(text: str, key: str) -> Any:
        if json_text.kind(text) in ("array", "null"):
            return _ArrayReader(read_element, key).read(text)
        if json_text.kind(text) == "string":
            return _scalar(decode, text)
        raise _no_array(key, [])

    return read


def _input(type_oid: int, typmod: int, settings: FormatSettings) -> Callable[[str], Any]:
    """Return the type's input: unlike a cast it refuses what is too long."""
    decode = input_decoder(type_oid, -1, settings)
    enforce = enforcer(type_oid, typmod, explicit=False)
    if enforce is None or type_oid == oids.INTERVAL:
        return input_decoder(type_oid, typmod, settings)
    return lambda text: enforce(decode(text))


def _as_json(type_oid: int, text: str) -> str | None:
    if json_text.kind(text) == "null":
        return None
    if json_text.kind(text) == "string":
        text = quote(json_text.as_text(text) or "")
    return normalize(text) if type_oid == oids.JSONB else text.strip(" \t\n\r")


def _scalar(decode: Callable[[str], Any], text: str) -> Any:
    found = json_text.as_text(text)
    return None if found is None else decode(found)


class _ArrayReader:
    """Reads arrays of arrays; the first leaf tells how many dimensions there are."""

    def __init__(self, read_element: Reader, key: str) -> None:
        self.read_element = read_element
        self.key = key
        self.dimensions = 0
        self.sizes: dict[int, int] = {}
        self.place: list[int] = []

    def read(self, text: str) -> list[Any] | None:
        if json_text.kind(text) == "null":
            return None
        made = self.level(text, 1)
        return [] if 0 in self.sizes.values() else made

    def level(self, text: str, depth: int) -> list[Any]:
        if json_text.kind(text) != "array":
            raise _no_array(self.key, self.place)
        items = json_text.elements(text)
        if not self.dimensions and (not items or json_text.kind(items[0]) != "array"):
            self.dimensions = depth
        self.place.append(0)
        made = []
        for number, item in enumerate(items):
            self.place[-1] = number
            is_leaf = 0 < self.dimensions <= depth
            made.append(self.read_element(item, "") if is_leaf else self.level(item, depth + 1))
        self.place.pop()
        if self.sizes.setdefault(depth, len(made)) != len(made):
            raise SqlError(
                "22P02",
                "malformed JSON array",
                detail="Multidimensional arrays must have sub-arrays with matching dimensions.",
            )
        return made


def _no_array(key: str, place: list[int]) -> SqlError:
    if place:
        indexes = "".join(f"[{index}]" for index in place)
        hint = f"See the array element {indexes}" + (f' of key "{key}".' if key else ".")
    else:
        hint = f'See the value of key "{key}".' if key else ""
    return SqlError("22P02", "expected JSON array", hint=hint)


class _Filler:
    """Makes records of objects. `columns`: name, type OID and typmod of each field."""

    def __init__(self, columns: Columns, settings: FormatSettings) -> None:
        self.names = [name for name, _, _ in columns]
        self.readers = [reader(oid, typmod, settings) for _, oid, typmod in columns]
        self.make = record_class(tuple(self.names), tuple(oid for _, oid, _ in columns))

    def fill(self, text: str, base: tuple[Any, ...] | None) -> Record | tuple[Any, ...]:
        """Return the record of an object; what it lacks is as in `base`, or NULL."""
        members = dict(json_text.members(text))
        if not members and base is not None:
            return base
        values = base or (None,) * len(self.names)
        return self.make(
            value if members.get(name) is None else read(members[name], name)
            for name, read, value in zip(self.names, self.readers, values, strict=True)
        )


def _one(filler: _Filler, text: str, base: tuple[Any, ...] | None) -> Any:
    kind = json_text.kind(text)
    if kind != "object":
        what = "an array" if kind == "array" else "a scalar"
        raise SqlError("22023", f"cannot call populate_composite on {what}")
    return filler.fill(text, base)


def _many(name: str, filler: _Filler, text: str, base: tuple[Any, ...] | None) -> Iterator[Any]:
    kind = json_text.kind(text)
    if kind != "array":
        what = "an object" if kind == "object" else "a scalar"
        is_jsonb = name.startswith("jsonb")
        raise SqlError("22023", f"cannot call {name} on {'a non-array' if is_jsonb else what}")
    for item in json_text.elements(text):
        if json_text.kind(item) != "object":
            raise SqlError("22023", f"argument of {name} must be an array of objects")
        yield filler.fill(item, base)


def _define_to(name: str, *, many: bool) -> None:
    def shape(columns: Columns) -> Callable[..., Any]:
        def call(context: Context, text: str) -> Any:
            filler = _Filler(columns, context.settings)
            return _many(name, filler, text, None) if many else _one(filler, text, None)

        return call

    def nowhere(_context: Context, _text: str) -> Any:
        raise SqlError(
            "0A000",
            f"could not determine row type for result of {name}",
            hint="Call the function in the FROM clause using a column definition list.",
        )

    define(name, nowhere, shape=shape, needs_context=True, strict=True)


def _define_populate(name: str, *, many: bool) -> None:
    def made(
        columns: Columns, context: Context, base: tuple[Any, ...] | None, text: str | None
    ) -> Any:
        if text is None:
            return () if many else base
        filler = _Filler(columns, context.settings)
        return _many(name, filler, text, base) if many else _one(filler, text, base)

    def shape(columns: Columns) -> Callable[..., Any]:
        def call(context: Context, base: Any, text: str | None, _as_text: bool = False) -> Any:
            _check_row(base, columns)
            fields = _fields(base) if isinstance(base, Record) else columns
            return made(fields, context, base, text)

        return call

    def call(context: Context, base: Any, text: str | None, _as_text: bool = False) -> Any:
        if not isinstance(base, Record):
            raise SqlError(
                "0A000",
                f"could not determine row type for result of {name}",
                hint="Provide a non-null record argument, or call the function in the FROM clause"
                " using a column definition list.",
            )
        return made(_fields(base), context, base, text)

    def typed(base_oid: int, *_rest: int) -> Callable[..., Any]:
        if base_oid == oids.RECORD:
            return call
        if not registry.is_composite(base_oid):
            raise SqlError("42804", f"first argument of {name} must be a row type")
        fields = registry.get(base_oid).fields

        def of_type(context: Context, base: Any, text: str | None, _as_text: bool = False) -> Any:
            return made(fields, context, base, text)

        return of_type

    defaults = () if name.startswith("jsonb") else (False,)
    define(name, typed=typed, shape=shape, needs_context=True, defaults=defaults)


def _fields(record: Record) -> Columns:
    return tuple((name, oid, -1) for name, oid in zip(record.names, record.oids, strict=True))


def _check_row(base: Any, columns: Columns) -> None:
    """Refuse a record whose fields are not those that FROM defines."""
    if not isinstance(base, Record):
        return
    found, wanted = len(base), len(columns)
    message = "function return row and query-specified return row do not match"
    if found != wanted:
        attributes = "attribute" if found == 1 else "attributes"
        raise SqlError(
            "42804",
            message,
            detail=f"Returned row contains {found} {attributes}, but query expects {wanted}.",
        )
    for number, (have, (_, want, _)) in enumerate(zip(base.oids, columns, strict=True), 1):
        if have != want:
            names = [registry.get(oid).sql_name for oid in (have, want)]
            raise SqlError(
                "42804",
                message,
                detail=f"Returned type {names[0]} at ordinal position {number},"
                f" but query expects {names[1]}.",
            )


for _prefix in ("json", "jsonb"):
    _define_to(f"{_prefix}_to_record", many=False)
    _define_to(f"{_prefix}_to_recordset", many=True)
    _define_populate(f"{_prefix}_populate_record", many=False)
    _define_populate(f"{_prefix}_populate_recordset", many=True)
