"""Joins PostgreSQL's own catalog rows with our implementations.

`data/pg_proc.tsv`, `pg_operator.tsv` and `pg_cast.tsv` hold, for what is implemented here, the OIDs, names,
signatures, strictness and volatility that PostgreSQL 16 has. A family module calls `define`,
`define_aggregate` or `define_window` with keys: a function's name if it has one signature ("int4pl"), else
name and argument types ("substr(text,int4)"); several keys are separated by spaces. Importing
`dsql.functions.builtin` runs all of them and then adds the operators and casts whose function is defined.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import dsql.types.builtin  # noqa: F401  (signatures name the built-in types)
from dsql.catalog.schema import Acl
from dsql.functions import registry
from dsql.functions.function import Aggregate, Columns, Function, Operator, WindowFunction
from dsql.types import registry as types

Implementation = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of pg_proc.tsv. `flags`: kind, strict, volatility, set, variadic, aggregate kind."""

    oid: int
    name: str
    argument_types: tuple[int, ...]
    return_type: int
    flags: str
    direct_arguments: int
    columns: tuple[tuple[str, int], ...]
    argument_names: tuple[str, ...]

    @property
    def key(self) -> str:
        """What `define` calls it."""
        return f"{self.name}({','.join(types.get(oid).name for oid in self.argument_types)})"


def type_oid(name: str) -> int:
    """Return the OID of a typname; 0 for the empty one."""
    if not name:
        return 0
    found = types.find(name)
    assert found is not None, name
    return found.oid


def read(name: str) -> list[list[str]]:
    """Return the lines of a data file, cut into their fields."""
    text = resources.files("dsql.functions").joinpath("data", name).read_text()
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]


@cache
def _rows() -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    for oid, name, arguments, result, flags, direct, columns, names in read("pg_proc.tsv"):
        row = Row(
            int(oid),
            name,
            tuple(type_oid(part) for part in arguments.split(",") if part),
            type_oid(result),
            flags,
            int(direct),
            tuple(
                (column.partition(":")[0], type_oid(column.partition(":")[2]))
                for column in columns.split(",")
                if column
            ),
            tuple(names.split(",")) if names else (),
        )
        rows.setdefault(name, []).append(row)
        rows.setdefault(f"{name}({arguments})", []).append(row)
    return rows


@cache
def _rows_by_oid() -> dict[int, Row]:
    return {row.oid: row for rows in _rows().values() for row in rows}


def signatures(name: str) -> list[str]:
    """Return the keys of every function of a name."""
    prefix = f"{name}("
    return [key for key in _rows() if key.startswith(prefix)]


def rows_named(pattern: re.Pattern[str]) -> list[Row]:
    """Return the functions whose names match a pattern as a whole, in OID order."""
    named = (row for row in _rows_by_oid().values() if pattern.fullmatch(row.name))
    return sorted(named, key=lambda row: row.oid)


def rows_of_result(oids: Collection[int]) -> list[Row]:
    """Return the functions that return one of these types, in OID order."""
    returning = (row for row in _rows_by_oid().values() if row.return_type in oids)
    return sorted(returning, key=lambda row: row.oid)


def row_by_oid(oid: int) -> Row:
    """Return the line of pg_proc.tsv with this OID."""
    return _rows_by_oid()[oid]


def row_of(key: str) -> Row:
    """Return the one line of pg_proc.tsv with this key."""
    found = _rows().get(key, [])
    assert len(found) == 1, f"{key}: {len(found)} rows of pg_proc"
    return found[0]


def define(
    keys: str,
    implementation: Implementation | None = None,
    *,
    template: str = "",
    needs_context: bool = False,
    defaults: tuple[Any, ...] = (),
    typed: Callable[..., Implementation] | None = None,
    strict: bool | None = None,
    shape: Callable[[Columns], Implementation] | None = None,
    acl: Acl | None = None,
) -> None:
    """Register the functions with these keys. `shape`, `acl`: see `Function`.

    `template` may stand alone: the implementation is then compiled from it. `typed(*argument_oids)`
    makes the implementation for the actual types of a call, for polymorphic functions.
    """
    for key in keys.split():
        row = row_of(key)
        base = implementation or (compile_template(template, row) if template else _untyped)

        def build(
            row: Row = row, base: Implementation = base, actual: tuple[int, ...] | None = None
        ) -> Function:
            arguments = row.argument_types if actual is None else actual
            return Function(
                oid=row.oid,
                name=row.name,
                argument_types=row.argument_types,
                return_type=row.return_type,
                implementation=typed(*arguments) if typed and actual is not None else base,
                template=template,
                strict=row.flags[1] == "t" if strict is None else strict,
                volatility=row.flags[2],
                returns_set=row.flags[3] == "t",
                needs_context=needs_context,
                variadic=row.flags[4] == "t",
                default_arguments=defaults,
                argument_names=row.argument_names,
                columns=row.columns,
                shape=shape,
                acl=acl,
            )

        specializer = None
        if typed is not None:
            specializer = lambda actual, build=build: build(actual=actual)  # noqa: E731
        registry.register_function(build(), specializer)


def _untyped(*_arguments: Any) -> Any:
    raise AssertionError("a polymorphic function must be specialized before it is called")


def compile_template(template: str, row: Row) -> Implementation:
    """Return the template as a function of the row's arguments."""
    from dsql.functions.templates import NAMES

    names = [f"a{number}" for number in range(len(row.argument_types))]
    source = f"lambda {', '.join(names)}: {template.format(*names)}"
    return eval(source, NAMES)  # type: ignore[no-any-return]


def define_aggregate(
    keys: str,
    initial: Callable[..., Any],
    step: Callable[..., Any],
    final: Callable[..., Any] = lambda accumulator: accumulator,
    *,
    step_template: str = "",
    keeps_nulls: bool = False,
    gathers: bool = False,
    any_order: bool = False,
    typed: Callable[..., Mapping[str, Any]] | None = None,
) -> None:
    """Register the aggregates with these keys.

    `typed(*argument_oids)` makes the fields that depend on the actual types, for polymorphic aggregates.
    """
    for key in keys.split():
        row = row_of(key)

        def build(row: Row = row, actual: tuple[int, ...] | None = None) -> Aggregate:
            aggregate = Aggregate(
                oid=row.oid,
                name=row.name,
                argument_types=row.argument_types,
                return_type=row.return_type,
                initial=initial,
                step=step,
                final=final,
                step_template=step_template,
                keeps_nulls=keeps_nulls,
                variadic=row.flags[4] == "t",
                direct_arguments=row.direct_arguments,
                ordered_set=row.flags[5] in "oh",
                gathers=gathers,
                any_order=any_order,
            )
            return replace(aggregate, **typed(*actual)) if typed and actual else aggregate

        specializer = None
        if typed is not None:
            specializer = lambda actual, build=build: build(actual=actual)  # noqa: E731
        registry.register_aggregate(build(), specializer)


def define_window(keys: str, compute: Callable[[Any], Any]) -> None:
    """Register the window functions with these keys."""
    for key in keys.split():
        row = row_of(key)
        registry.register_window_function(
            WindowFunction(row.oid, row.name, row.argument_types, row.return_type, compute)
        )


def operator_rows() -> list[list[str]]:
    """Return the fields of pg_operator.tsv."""
    return read("pg_operator.tsv")


def define_operators() -> None:
    """Register every operator of pg_operator.tsv whose function is defined."""
    for oid, name, left, right, code, commutator, negator, strategy, hashable in operator_rows():
        function = registry.by_oid(int(code))
        if not isinstance(function, Function):
            continue
        registry.register_operator(
            Operator(
                oid=int(oid),
                name=name,
                left_type=type_oid(left),
                right_type=type_oid(right),
                function=function,
                commutator=commutator,
                negator=negator,
                strategy=strategy,
                hashable=hashable == "t",
            )
        )


def define_casts() -> None:
    """Register every cast of pg_cast.tsv that needs no function or whose function is defined."""
    for source, target, code, context, method in read("pg_cast.tsv"):
        function = registry.by_oid(int(code))
        if code == "0" or isinstance(function, Function):
            registry.register_cast(
                type_oid(source),
                type_oid(target),
                context,
                function if isinstance(function, Function) else None,
                via_text=method == "i",
            )
