"""What depends on what, as pg_depend lists it, and what goes along with an object that is dropped.

Dependencies are derived from the catalog's values and have no rows of their own, so the two never disagree.
Kinds are PostgreSQL's: n, the dependent keeps what it depends on from being dropped without CASCADE; a, it
goes along; i, it goes along and cannot be dropped by itself. The closure is that of PostgreSQL's
dependency.c (findDependentObjects), and so is its order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dsql.catalog.catalog import Catalog
from dsql.catalog.extension import membership_rows
from dsql.catalog.schema import (
    FIRST_USER_OID,
    CompositeType,
    Domain,
    Index,
    RangeType,
    SqlFunction,
    Table,
    Use,
    UserType,
    type_oids,
)
from dsql.catalog.virtual import provides

PG_CLASS, PG_NAMESPACE, PG_PROC, PG_TYPE = 1259, 2615, 1255, 1247
PG_CONSTRAINT, PG_ATTRDEF, PG_REWRITE, PG_STATISTIC_EXT = 2606, 2604, 2618, 3381

_DERIVED_OIDS = 0x8000_0000  # of what has no OID of its own: above all real ones
_PARTS_MAX = 2048  # of a relation that get one


class Address(NamedTuple):
    """An object: the catalog that has its row, its OID there, and a column's number or 0."""

    class_oid: int
    oid: int
    column: int = 0


class Dependency(NamedTuple):
    """`dependent` needs `on`; `kind` is n, a or i."""

    dependent: Address
    on: Address
    kind: str


def default_address(table: Table, column_number: int) -> Address:
    """Return the address of a column's default, whose OID is derived from its table's."""
    return Address(PG_ATTRDEF, _derived_oid(table) + column_number)


def rule_address(view: Table) -> Address:
    """Return the address of a view's rule, which is where PostgreSQL keeps its query."""
    return Address(PG_REWRITE, _derived_oid(view))


def _derived_oid(table: Table) -> int:
    return _DERIVED_OIDS + table.oid * _PARTS_MAX % 0x7FFF_0000


def _age(address: Address) -> tuple[int, int, int]:
    """Sort objects by when they were made; what has a derived OID is as old as its relation."""
    oid = address.oid
    if oid >= _DERIVED_OIDS:
        oid = (oid - _DERIVED_OIDS) // _PARTS_MAX
    return oid, -address.class_oid, -address.column


# ---------------------------------------------------------------- the edges


def dependencies(catalog: Catalog) -> Iterator[Dependency]:
    """Yield every dependency among users' objects."""
    for table in catalog.tables.values():
        yield from _of_relation(table, catalog)
        yield from _of_columns(table, catalog)
        for index in table.indexes:
            yield from _of_index(index, table)
        yield from _of_constraints(table)
        yield from _of_statistics(table)
    for function in catalog.functions.values():
        yield from _of_function(function, catalog)
    for domain in catalog.domains.values():
        yield from _of_domain(domain, catalog)
    for user_type in catalog.user_types.values():
        yield from _of_user_type(user_type, catalog)


def _of_user_type(user_type: UserType, catalog: Catalog) -> Iterator[Dependency]:
    address = Address(PG_TYPE, user_type.oid)
    yield Dependency(address, Address(PG_NAMESPACE, catalog.schemas[user_type.schema].oid), "n")
    for oid in type_oids(user_type)[1:]:
        yield Dependency(Address(PG_TYPE, oid), address, "i")
    if isinstance(user_type, CompositeType):
        relation = Address(PG_CLASS, user_type.relation_oid)
        yield Dependency(relation, address, "i")
        for each in user_type.live_attributes:
            attribute = Address(PG_CLASS, user_type.relation_oid, each.number)
            yield from _on_type(attribute, each.type_oid, catalog)
    elif isinstance(user_type, RangeType):
        for oid in user_type.function_oids:
            yield Dependency(Address(PG_PROC, oid), address, "i")
        yield from _on_type(address, user_type.subtype_oid, catalog)


def _on_type(address: Address, type_oid: int, catalog: Catalog) -> Iterator[Dependency]:
    """Yield what depends on a type of a user's, or on a row type, since it has values of it."""
    if type_oid < FIRST_USER_OID:
        return
    table = catalog.table_of_row_type(type_oid)
    if table is not None:
        row_type = Address(PG_TYPE, type_oid)
        yield Dependency(row_type, Address(PG_CLASS, table.oid), "i")
    if table is not None or catalog.user_type_of(type_oid) is not None:
        yield Dependency(address, Address(PG_TYPE, type_oid), "n")


def _of_domain(domain: Domain, catalog: Catalog) -> Iterator[Dependency]:
    address = Address(PG_TYPE, domain.oid)
    yield Dependency(address, Address(PG_NAMESPACE, catalog.schemas[domain.schema].oid), "n")
    if domain.base:
        yield Dependency(address, Address(PG_TYPE, domain.base), "n")
    yield from _on_type(address, domain.type_oid, catalog)
    yield from _uses(address, domain.uses, "n")
    for check in domain.checks:
        constraint = Address(PG_CONSTRAINT, check.oid)
        yield Dependency(constraint, address, "a")
        yield from _uses(constraint, check.uses, "n")


def _of_function(function: SqlFunction, catalog: Catalog) -> Iterator[Dependency]:
    """A body in a string depends on nothing: its names are looked up when it runs."""
    address = Address(PG_PROC, function.oid)
    yield Dependency(address, Address(PG_NAMESPACE, catalog.schemas[function.schema].oid), "n")
    yield from _uses(address, function.uses, "n")
    for parameter in function.parameters:
        yield from _uses(address, parameter.uses, "n")
    for type_oid in {function.domain, *(each.domain for each in function.parameters)}:
        domain = catalog.domain_of(type_oid) if type_oid else None
        if domain is not None:
            yield Dependency(address, Address(PG_TYPE, domain.oid), "n")
    for type_oid in {function.return_type, *(each.type_oid for each in function.parameters)}:
        yield from _on_type(address, type_oid, catalog)


def _of_relation(table: Table, catalog: Catalog) -> Iterator[Dependency]:
    relation = Address(PG_CLASS, table.oid)
    yield Dependency(relation, Address(PG_NAMESPACE, catalog.schemas[table.schema].oid), "n")
    if table.kind in "vm":
        rule = rule_address(table)
        yield Dependency(rule, relation, "i")
        yield Dependency(rule, relation, "n")
        yield from _uses(rule, table.uses, "n")
    if table.sequence is not None and table.sequence.owner is not None:
        owner = Address(PG_CLASS, *table.sequence.owner)
        yield Dependency(relation, owner, "i" if table.sequence.is_identity else "a")


def _of_columns(table: Table, catalog: Catalog) -> Iterator[Dependency]:
    for column in table.live_columns:
        yield from _on_type(Address(PG_CLASS, table.oid, column.number), column.type_oid, catalog)
        domain = catalog.domain_of(column.domain) if column.domain else None
        if domain is not None:
            own = Address(PG_CLASS, table.oid, column.number)
            yield Dependency(own, Address(PG_TYPE, domain.oid), "n")
        if column.default is not None:
            default = default_address(table, column.number)
            own = Address(PG_CLASS, table.oid, column.number)
            yield Dependency(default, own, "i" if column.generated else "a")
            yield from _uses(default, column.uses, "n")


def _of_index(index: Index, table: Table) -> Iterator[Dependency]:
    address = Address(PG_CLASS, index.oid)
    numbers = [part.column_number for part in index.columns if part.column_number]
    if (
        numbers and not index.primary
    ):  # the rows are in a primary key: it can do without one of them
        numbers += index.include
    if index.constraint:
        constraint = Address(PG_CONSTRAINT, index.constraint_oid)
        yield Dependency(address, constraint, "i")
        yield from _on_columns(constraint, table, numbers, "a")
        return
    yield from _on_columns(address, table, numbers or [0], "a")
    for use in index.uses:
        of_table = use.class_oid == PG_CLASS and use.oid == table.oid
        yield from _uses(address, [use], "a" if of_table else "n")


def _of_constraints(table: Table) -> Iterator[Dependency]:
    for check in table.checks:
        address = Address(PG_CONSTRAINT, check.oid)
        numbers = [use.column for use in check.uses if use.oid == table.oid]
        yield from _on_columns(address, table, numbers or [0], "a")
        yield from _uses(address, check.uses, "n")
    for key in table.foreign_keys:
        address = Address(PG_CONSTRAINT, key.oid)
        yield from _on_columns(address, table, key.columns, "a")
        yield from _uses(address, [Use(key.table_oid, number) for number in key.referenced], "n")
        yield from _uses(address, [Use(key.index_oid)], "n")


def _of_statistics(table: Table) -> Iterator[Dependency]:
    for statistics in table.statistics:
        address = Address(PG_STATISTIC_EXT, statistics.oid)
        yield Dependency(address, Address(PG_NAMESPACE, statistics.schema_oid), "n")
        yield from _on_columns(address, table, statistics.columns or [0], "a")
        for use in statistics.uses:
            yield from _uses(address, [use], "a" if use.class_oid == PG_CLASS else "n")


def _on_columns(
    address: Address, table: Table, numbers: Iterable[int], kind: str
) -> Iterator[Dependency]:
    for number in numbers:
        yield Dependency(address, Address(PG_CLASS, table.oid, number), kind)


def _uses(address: Address, uses: Iterable[Use], kind: str) -> Iterator[Dependency]:
    """Yield what a stored text depends on: nothing of the system's, which nobody drops."""
    for use in uses:
        if use.oid >= FIRST_USER_OID:
            yield Dependency(address, Address(use.class_oid, use.oid, use.column), kind)


# ---------------------------------------------------------------- the closure


@dataclass(slots=True)
class Dropped:
    """An object that goes, since it was named or because of `by`.

    `kinds` are those of the dependencies through which it was reached; "" if it was named, "part" if the
    relation goes that it is a column of.
    """

    address: Address
    by: Address | None
    kinds: set[str] = field(default_factory=set)

    @property
    def is_told(self) -> bool:
        """Whether it needs CASCADE, and a notice: whether nothing else says that it goes."""
        return self.kinds == {"n"}


class RequiredError(Exception):
    """`needed` cannot be dropped by itself, because `by` requires it."""

    def __init__(self, needed: Address, by: Address) -> None:
        self.needed = needed
        self.by = by


def closure(catalog: Catalog, targets: Sequence[Address]) -> list[Dropped]:
    """Return all that goes if `targets` are dropped, in the order in which PostgreSQL tells it.

    Raises RequiredError for a target that belongs to something that stays, RecursionError for views over
    views without end.
    """
    search = _Search(dependencies(catalog), targets)
    for target in targets:
        search.visit(target, "", ())
    return list(reversed(search.found.values()))


class _Search:
    """Depth first, dependents before what they depend on, the newest first."""

    def __init__(self, edges: Iterable[Dependency], targets: Collection[Address]) -> None:
        self.found: dict[Address, Dropped] = {}
        self._targets = targets
        self._dependents: dict[tuple[int, int], list[Dependency]] = defaultdict(list)
        self._owners: dict[Address, Address] = {}
        for edge in edges:
            self._dependents[edge.on[:2]].append(edge)
            if edge.kind == "i":
                self._owners[edge.dependent] = edge.on

    def visit(self, address: Address, kind: str, path: tuple[Dropped, ...]) -> None:
        """Add an object, reached by a dependency of a kind from the last one of `path`."""
        known = {dropped.address: dropped for dropped in path}
        if self._is_among(address, kind, known) or self._is_among(address, kind, self.found):
            return
        owner = self._owners.get(address)
        if owner is not None and not _covers(known, owner):
            if path:
                # As if the dependency had led to the owner, which takes this along.
                self.visit(owner, "n", path)
                self.found[address].kinds.add(kind)
                return
            if owner in self._targets:
                return
            raise RequiredError(address, owner)
        dropped = Dropped(address, path[-1].address if path else None, {kind})
        for dependent, kinds in self._dependents_of(address):
            for each in kinds:
                self.visit(dependent, each, (*path, dropped))
        self.found[address] = dropped

    def _dependents_of(self, address: Address) -> list[tuple[Address, set[str]]]:
        kinds: dict[Address, set[str]] = defaultdict(set)
        for edge in self._dependents[address[:2]]:
            of_it = address.column in (0, edge.on.column)
            if of_it and edge.dependent[:2] != address[:2]:
                kinds[edge.dependent].add(edge.kind)
        return sorted(kinds.items(), key=lambda item: _age(item[0]), reverse=True)

    @staticmethod
    def _is_among(address: Address, kind: str, known: Mapping[Address, Dropped]) -> bool:
        if address in known:
            known[address].kinds.add(kind)
            return True
        if not address.column:
            for other in known.values():
                if other.address[:2] == address[:2]:
                    other.kinds |= {kind, "part"}
        return _covers(known, address)


def _covers(known: Mapping[Address, Dropped], address: Address) -> bool:
    """Tell whether an object is known, or the relation that it is a column of."""
    return address in known or Address(address.class_oid, address.oid) in known


@provides("pg_catalog", "pg_depend")
def _pg_depend(context: Any) -> Iterator[Mapping[str, Any]]:
    for edge in dependencies(context.catalog):
        yield {
            "classid": edge.dependent.class_oid,
            "objid": edge.dependent.oid,
            "objsubid": edge.dependent.column,
            "refclassid": edge.on.class_oid,
            "refobjid": edge.on.oid,
            "refobjsubid": edge.on.column,
            "deptype": edge.kind,
        }
    yield from membership_rows(context)
