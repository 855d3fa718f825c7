"""The functions that make values of the range types of users: textrange('a', 'b'), textmultirange(...)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import RangeType
from dsql.functions.function import Function
from dsql.functions.multiranges import multirange_constructor
from dsql.functions.ranges import range_constructor
from dsql.types import oids
from dsql.types.range import of_range


def constructors(catalog: Catalog, name: str | None = None) -> Iterator[Function]:
    """Yield the constructors of a name, all for None."""
    for made in catalog.ranges():
        if name in (None, made.name):
            yield from _of_range(made)
        if name in (None, made.multirange_name):
            yield from _of_multirange(made)


def _of_range(made: RangeType) -> Iterator[Function]:
    bounds = (made.subtype_oid, made.subtype_oid)
    for oid, types in zip(made.function_oids, (bounds, (*bounds, oids.TEXT)), strict=False):
        yield Function(
            oid=oid,
            name=made.name,
            argument_types=types,
            return_type=made.oid,
            implementation=range_constructor(made.oid),
            strict=False,
            schema=made.schema,
        )


def _of_multirange(made: RangeType) -> Iterator[Function]:
    forms: tuple[tuple[tuple[int, ...], Callable[..., Any], bool], ...] = (
        ((), tuple, False),
        ((made.oid,), of_range, False),
        ((made.array_oid,), multirange_constructor(made.multirange_oid), True),
    )
    for oid, (types, implementation, variadic) in zip(made.function_oids[2:], forms, strict=True):
        yield Function(
            oid=oid,
            name=made.multirange_name,
            argument_types=types,
            return_type=made.multirange_oid,
            implementation=implementation,
            variadic=variadic,
            schema=made.schema,
        )
