"""Domains in queries: values are of the type underneath, and are checked where they become a domain's.

So operators, functions, storage and the wire know nothing of domains. A cast to one, and every new row of a
table with a column of one, goes through a `DomainCoercion`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlglot import exp

from dsql.access.authorize import check
from dsql.access.requirements import usage_of
from dsql.catalog.catalog import Catalog
from dsql.catalog.domain_text import domain_name
from dsql.catalog.schema import Column, Domain, SqlFunction, SqlParameter, Table
from dsql.errors import SqlError, unsupported
from dsql.functions.function import Function
from dsql.sql.binding import Binding
from dsql.sql.bound import Call, ColumnRef, Expression
from dsql.sql.bound_query import Query, SubqueryEntry, TableEntry
from dsql.sql.libpg_query import scan
from dsql.sql.sql_functions import SqlCall
from dsql.types import oids, registry
from dsql.types.array import map_leaves

VALUE = "value"  # what a check calls the value that it is about


@dataclass(frozen=True, slots=True)
class DomainCoercion:
    """Checks a value: the implementation of a coercion to a domain.

    `constraints` are the names of what `call` computes for a value; None: the domain has none.
    `of_elements`: the values are arrays, of the domain's values.
    """

    name: str
    not_null: bool
    constraints: tuple[str, ...]
    call: SqlCall | None
    of_elements: bool = False

    def __call__(self, context: Any, value: Any) -> Any:
        """Return the value. Raises SqlError 23502, 23514."""
        if not self.of_elements:
            return self._checked(context, value)
        if value is not None:
            map_leaves(lambda each: self._checked(context, each), value)
        return value

    def _checked(self, context: Any, value: Any) -> Any:
        if value is None and self.not_null:
            message = f"domain {self.name} does not allow null values"
            raise SqlError("23502", message, datatype=self.name)
        if self.call is not None:
            for name, holds in zip(
                self.constraints, context.call_sql_function(self.call, (value,)), strict=True
            ):
                if holds is False:
                    raise violation(self.name, name)
        return value


def violation(domain: str, constraint: str) -> SqlError:
    """Return the error (23514) of a value that a domain's constraint forbids."""
    message = f'value for domain {domain} violates check constraint "{constraint}"'
    return SqlError("23514", message, datatype=domain, constraint=constraint)


def lineage(domain: Domain, catalog: Catalog) -> list[Domain]:
    """Return the domains that a domain is over, the first one first, and itself."""
    found = [domain]
    while found[0].base:
        found.insert(0, catalog.domains_by_oid[found[0].base])
    return found


def coercion_of(
    domain: Domain, catalog: Catalog, search_path: Sequence[str], *, of_elements: bool = False
) -> DomainCoercion:
    """Return what checks the values of a domain, by its own constraints and those of what it is over."""
    domains = lineage(domain, catalog)
    checks = tuple(
        (check.name, check.expression)
        for each in domains
        for check in sorted(each.checks, key=lambda check: check.name)
    )
    return DomainCoercion(
        domain_name(domain, catalog, search_path),
        any(each.not_null for each in domains),
        tuple(name for name, _ in checks),
        _check_call(domain.oid, domain.type_oid, checks) if checks else None,
        of_elements,
    )


@lru_cache(1024)
def _check_call(oid: int, type_oid: int, checks: tuple[tuple[str, str], ...]) -> SqlCall:
    """Return what computes a domain's checks: a row of booleans."""
    function = SqlFunction(
        oid=oid,
        schema="pg_catalog",
        name="",
        owner_oid=0,
        parameters=(SqlParameter(VALUE, type_oid),),
        return_type=oids.RECORD,
        body="SELECT " + ", ".join(f"({expression})" for _, expression in checks),
        form="a",
        volatility="s",
    )
    columns = tuple((name, oids.BOOL) for name, _ in checks)
    return SqlCall(function, (type_oid,), oids.RECORD, columns)


def coerce_to_domain(
    binding: Binding, value: Expression, domain: Domain, *, of_elements: bool, position: int = 0
) -> Call:
    """Return a value of a domain's base type (or an array of such) checked as one of the domain."""
    binding.tables.add(domain.oid)
    checks = coercion_of(domain, binding.catalog, binding.search_path, of_elements=of_elements)
    return _call(checks, domain, value, value.type_oid, position)


def _call(
    checks: DomainCoercion, domain: Domain, value: Expression, result: int, position: int
) -> Call:
    function = Function(
        oid=domain.oid,
        name=domain.name,
        argument_types=(value.type_oid,),
        return_type=result,
        implementation=checks,
        strict=False,
        volatility="i",  # as PostgreSQL takes it for indexes
        needs_context=True,
        schema=domain.schema,
    )
    return Call(
        type_oid=result,
        typmod=value.typmod,
        position=position or value.position,
        function=function,
        arguments=[value],
        cast=True,
    )


def column_check(binding: Binding, column: Column, value: Expression) -> Expression | None:
    """Return what a new value of a column has to pass, None if it is of no domain."""
    domain = binding.catalog.domain_of(column.domain) if column.domain else None
    if domain is None:
        return None
    of_elements = column.domain == domain.array_oid
    checks = coercion_of(domain, binding.catalog, binding.search_path, of_elements=of_elements)

    def passes(context: Any, given: Any) -> bool:
        checks(context, given)
        return True

    binding.tables.add(domain.oid)
    call = _call(checks, domain, value, oids.BOOL, 0)
    function = call.function
    call.function = Function(
        oid=function.oid,
        name=function.name,
        argument_types=function.argument_types,
        return_type=oids.BOOL,
        implementation=passes,
        strict=False,
        volatility="s",
        needs_context=True,
    )
    return call


def column_default(column: Column, catalog: Catalog) -> str | None:
    """Return the text of a column's default, its domain's where it has none of its own."""
    if column.default is not None or not column.domain:
        return column.default
    domain = catalog.domains_by_oid.get(column.domain)
    if domain is None:
        return None
    found = (each.default for each in reversed(lineage(domain, catalog)))
    return next((default for default in found if default is not None), None)


def array_over(domain: Domain) -> int:
    """Return the OID of the type of arrays of a domain's values.

    Raises SqlError 0A000 for a domain over arrays.
    """
    found = registry.get(domain.type_oid).array_oid
    if not found:
        raise unsupported(
            f"arrays of the domain {domain.name}, which is over arrays, are not supported"
        )
    return found


def checked_as(binding: Binding, value: Expression, domain_oid: int) -> Expression:
    """Return a value checked as one of a domain, or as an array of such; itself for OID 0."""
    domain = binding.catalog.domain_of(domain_oid) if domain_oid else None
    if domain is None:
        return value
    of_elements = domain_oid == domain.array_oid
    return coerce_to_domain(binding, value, domain, of_elements=of_elements)


def written_domain(binding: Binding, tree: exp.DataType) -> tuple[Domain, int, bool] | None:
    """Return the domain that a DataType names, its base type's OID or that of an array, and which.

    None for another type. Raises SqlError 42601 for a modifier, 42501 without USAGE of the schema.
    """
    names = tree.args["names"]
    schema = names[-2] if len(names) > 1 else None
    if schema in binding.catalog.schemas and binding.authority is not None:
        check(usage_of(binding.catalog.schemas[schema]), binding.authority)
    domain = binding.catalog.find_domain(schema, names[-1], binding.search_path)
    if domain is None:
        return None
    if tree.expressions:
        message = f'type modifier is not allowed for type "{domain.name}"'
        raise SqlError("42601", message)
    of_elements = bool(tree.args["dimensions"])
    type_oid = array_over(domain) if of_elements else domain.type_oid
    return domain, type_oid, of_elements


def output_domains(query: Query, catalog: Catalog) -> Iterator[Domain]:
    """Yield the domains that a query's columns are of, as far as they are casts and columns."""
    for target in query.targets:
        found = _domain_of(target.expression, query, catalog)
        if found is not None and not target.junk:
            yield found


def _domain_of(value: Expression, query: Query, catalog: Catalog) -> Domain | None:
    if isinstance(value, Call) and isinstance(value.function.implementation, DomainCoercion):
        return catalog.domain_of(value.function.oid)
    if not isinstance(value, ColumnRef) or value.levels_up or query.set_operation is not None:
        return None
    entry = query.range_table[value.entry]
    if isinstance(entry, TableEntry):
        columns = entry.table.live_columns  # behind which are the system's
        own = columns[value.column].domain if 0 <= value.column < len(columns) else 0
        return catalog.domain_of(own)
    if isinstance(entry, SubqueryEntry):
        inner = entry.query.targets[value.column].expression
        return _domain_of(inner, entry.query, catalog)
    return None


def row_of_value(domain: Domain) -> Table:
    """Return the table whose only column is what a check calls VALUE."""
    column = Column(VALUE, 1, domain.type_oid, domain.typmod)
    return Table(oid=0, schema="", name="", owner_oid=0, columns=(column,))


def value_in_capitals(text: str) -> str:
    """Return an expression's text with the word VALUE as PostgreSQL prints it."""
    script, done, written = text.encode(), 0, b""
    for token in scan(text):
        if script[token.start : token.end] == VALUE.encode():
            written += script[done : token.start] + b"VALUE"
            done = token.end
    return (written + script[done:]).decode()
