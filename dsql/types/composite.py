"""Composite types: what users make, and the row types of their tables. A value is a `Record`.

What a row holds of a value is a list of its attributes by their numbers, so that it can be read when some
have been added (NULL) or dropped since.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from dsql.errors import SqlError
from dsql.types import registry
from dsql.types.binary_input import wrong_length
from dsql.types.quoted_text import field_text, skipped
from dsql.types.record import Record, record_class
from dsql.types.string import decode_utf8
from dsql.types.system import record_binary_encoder, record_text_encoder
from dsql.types.type import Decode, FormatSettings, Type
from dsql.types.typmod import enforcer, input_decoder

Find = Callable[[int], Type]
_COUNT = struct.Struct("!i")
_HEAD = struct.Struct("!Ii")


class Attribute(NamedTuple):
    """An attribute that has not been dropped; `number` from 1 is its place in what rows hold."""

    name: str
    number: int
    type_oid: int
    typmod: int = -1


class CompositeNames(NamedTuple):
    """What a composite type is called: OIDs (of arrays: 0 for none), schema, name, its name in SQL."""

    oid: int
    array_oid: int
    schema: str
    name: str
    sql_name: str
    relation_oid: int


def composite_type(names: CompositeNames, attributes: Sequence[Attribute], find: Find) -> Type:
    """Return a composite type. `find` gives the types of its attributes."""
    oids = tuple(each.type_oid for each in attributes)
    make = record_class(tuple(each.name for each in attributes), oids)
    kinds = [find(oid) for oid in oids]
    return Type(
        oid=names.oid,
        name=names.name,
        sql_name=names.sql_name,
        size=-1,
        category="C",
        preferred=False,
        by_value=False,
        align="d",
        delimiter=",",
        text_encoder=lambda settings: record_text_encoder(oids, settings),
        text_decoder=lambda settings: _text_decoder(make, attributes, settings),
        binary_encode=lambda value: record_binary_encoder(oids)(value),
        binary_decode=lambda data: _decode_binary(data, make),
        store_template=_store_template(attributes, find),
        load_template=_load_template(attributes, find),
        sort_key=_key([kind.sort_key for kind in kinds]),
        hash_key=_key([kind.hash_key for kind in kinds]),
        array_oid=names.array_oid,
        kind="c",
        column_allowed=False,
        column_of_postgres=True,
        key_allowed=False,
        schema=names.schema,
        relation_oid=names.relation_oid,
        attribute_numbers=tuple(each.number for each in attributes),
        fields=tuple((each.name, each.type_oid, each.typmod) for each in attributes),
    )


def _key(keys: Sequence[Callable[[Any], Any] | None]) -> Callable[[Any], Any]:
    """Return the sort or hash key, given those of the fields: NULL equals itself and comes last."""

    def record_key(value: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(
            (1, 0) if item is None else (0, item if key is None else key(item))
            for key, item in zip(keys, value, strict=True)
        )

    return record_key


def _ways(templates: Sequence[str]) -> str:
    """Return the text of the functions that turn each field."""
    written = (f"lambda field: {each.format('field')}" if each else "None" for each in templates)
    return f"({''.join(f'({each}), ' for each in written)})"


def _store_template(attributes: Sequence[Attribute], find: Find) -> str:
    places = tuple(each.number - 1 for each in attributes)
    ways = _ways([find(each.type_oid).store_template for each in attributes])
    return f"store_record({{0}}, {places}, {_escaped(ways)})"


def _load_template(attributes: Sequence[Attribute], find: Find) -> str:
    places = tuple(each.number - 1 for each in attributes)
    ways = _ways([find(each.type_oid).load_template for each in attributes])
    names = tuple(each.name for each in attributes)
    oids = tuple(each.type_oid for each in attributes)
    return f"load_record({{0}}, {places}, {_escaped(ways)}, {_escaped(repr(names))}, {oids})"


def _escaped(text: str) -> str:
    """Keep the braces of a text out of `str.format`."""
    return text.replace("{", "{{").replace("}", "}}")


def _text_decoder(
    make: type[Record], attributes: Sequence[Attribute], settings: FormatSettings
) -> Decode:
    """Return the decoder of a record's text. It raises SqlError 22P02 and what the fields' decoders do."""
    decoders = [_reader(each, settings) for each in attributes]

    def decode(data: bytes) -> Record:
        texts = _field_texts(decode_utf8(data), len(decoders))
        pairs = zip(decoders, texts, strict=True)
        return make([None if text is None else read(text) for read, text in pairs])

    return decode


def _reader(attribute: Attribute, settings: FormatSettings) -> Callable[[str], Any]:
    """Return the function that reads an attribute; what is too long for its type is refused."""
    enforce = enforcer(attribute.type_oid, attribute.typmod, explicit=False)
    decode = input_decoder(attribute.type_oid, -1, settings)
    if enforce is None:
        return decode
    apply = enforce
    return lambda text: apply(decode(text))


def _field_texts(text: str, count: int) -> list[str | None]:
    at = skipped(text, 0)
    if text[at : at + 1] != "(":
        raise _malformed(text, "Missing left parenthesis.")
    at += 1
    found: list[str | None] = []
    for number in range(count):
        if number:
            if text[at] != ",":
                raise _malformed(text, "Too few columns.")
            at += 1
        field, at = field_text(text, at)
        if text[at : at + 1] not in (",", ")"):
            raise _malformed(text, "Unexpected end of input.")
        found.append(field)
    if text[at : at + 1] != ")":
        raise _malformed(text, "Too many columns.")
    if skipped(text, at + 1) < len(text):
        raise _malformed(text, "Junk after right parenthesis.")
    return found


def _malformed(text: str, detail: str) -> SqlError:
    return SqlError("22P02", f'malformed record literal: "{text}"', detail=detail)


def _decode_binary(data: bytes, make: type[Record]) -> Record:
    """Read a record's binary format (record_recv). Raises SqlError 42804, 08P01, 22P03."""
    if len(data) < _COUNT.size:
        raise wrong_length(data, _COUNT.size)
    (count,) = _COUNT.unpack_from(data)
    if count != len(make.oids):
        raise SqlError("42804", f"wrong number of columns: {count}, expected {len(make.oids)}")
    position = _COUNT.size
    items: list[Any] = []
    for number, oid in enumerate(make.oids, 1):
        if position + _HEAD.size > len(data):
            raise SqlError("08P01", "insufficient data left in message")
        sent, size = _HEAD.unpack_from(data, position)
        position += _HEAD.size
        if sent != oid:
            raise _other_type(sent, oid, number)
        if size < 0:
            items.append(None)
            continue
        if position + size > len(data):
            raise SqlError("08P01", "insufficient data left in message")
        items.append(registry.get(oid).binary_decode(data[position : position + size]))
        position += size
    if position != len(data):
        raise wrong_length(data, position)
    return make(items)


def _other_type(sent: int, oid: int, number: int) -> SqlError:
    known = registry.find_by_oid(sent)
    name = "???" if known is None else known.sql_name
    message = (
        f"binary data has type {sent} ({name}) instead of expected {oid}"
        f" ({registry.get(oid).sql_name}) in record column {number}"
    )
    return SqlError("42804", message)
