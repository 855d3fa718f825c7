"""Enums: a value is the place of its label, a float as pg_enum.enumsortorder.

So values compare, hash and lie in keys as floats do, whatever the labels are called, and a new label
between two others takes a place between theirs. Labels are known to the type, of which a catalog makes
one anew whenever they change (`dsql.catalog.user_types`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dsql.errors import SqlError
from dsql.types.pg_type import array_of
from dsql.types.string import decode_utf8
from dsql.types.type import Type


def enum_types(
    oid: int, array_oid: int, name: tuple[str, str], sql_name: str, labels: Mapping[float, str]
) -> tuple[Type, Type]:
    """Return the type of an enum's values and that of their arrays. `name`: its schema and name."""
    texts = {place: label.encode() for place, label in labels.items()}
    places = {label: place for place, label in texts.items()}

    def encode(value: float) -> bytes:
        return texts[value]

    def decode(data: bytes) -> float:
        place = places.get(bytes(data))
        if place is None:
            message = f'invalid input value for enum {sql_name}: "{decode_utf8(data)}"'
            raise SqlError("22P02", message)
        return place

    made = Type(
        oid=oid,
        name=name[1],
        sql_name=sql_name,
        size=4,
        category="E",
        preferred=False,
        by_value=True,
        align="i",
        delimiter=",",
        text_encoder=lambda _settings: encode,
        text_decoder=lambda _settings: decode,
        binary_encode=encode,
        binary_decode=decode,
        array_oid=array_oid,
        kind="e",
        column_allowed=False,
        column_of_postgres=True,
        schema=name[0],
        values=tuple(sorted(labels)),
    )
    return made, replace(array_of(made), schema=name[0])
