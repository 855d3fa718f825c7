"""DROP of every kind of object that there is: what the names mean, and who may drop that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from dsql.access.requirements import (
    Ownership,
    Requirement,
    Told,
    owner_of_index,
    owner_of_schema,
)
from dsql.catalog.dependencies import PG_CLASS, PG_NAMESPACE, PG_TYPE, Address
from dsql.catalog.schema import FIRST_USER_OID, Domain, Index, Schema, Table, UserType
from dsql.catalog.store import CatalogWriter
from dsql.catalog.user_types import user_type_name
from dsql.catalog.virtual import VirtualTable
from dsql.ddl import nodes
from dsql.ddl.cascade import all_dropped
from dsql.ddl.domain_names import find_domain, own_domain
from dsql.ddl.drop_function import (
    DROPPED_BY_SIGNATURE,
    drop_function,
    drop_function_requires,
)
from dsql.ddl.lacking import drop_of_nothing
from dsql.ddl.naming import (
    KIND_NAMES,
    find_index,
    ownership,
    schemas_to_search,
    wrong_kind,
)
from dsql.ddl.removal import remove
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.statistics import STATISTICS, address, look_up, own_to_drop
from dsql.ddl.user_types import find_user_type, own_type
from dsql.errors import SqlError, unsupported
from dsql.sql.gate import ParsedStatement


class _Target(NamedTuple):
    """A kind of object that can be dropped.

    `find` looks one up by the parts of its name, None: there is none; `need` is what dropping it takes.
    """

    word: str
    missing: str  # SQLSTATE
    find: Callable[[UtilityContext, list[str]], Any]
    need: Callable[[UtilityContext, Any], Requirement]
    address: Callable[[Any], Address]


def drop_requires(parsed: ParsedStatement, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what a DropStmt needs. Raises what is wrong with a name, and 3F000 for its schema."""
    statement = parsed.node
    if nodes.enum_name(statement, "remove_type") in DROPPED_BY_SIGNATURE:
        yield from drop_function_requires(statement, context)
    target = _target(statement, context)
    if target is None:
        return
    if statement.concurrent:
        raise unsupported("CONCURRENTLY not supported for DROP INDEX")
    result = UtilityResult("")
    for names in map(_name_parts, statement.objects):
        with result.told():
            found = _find(target, names, context, missing_ok=statement.missing_ok)
        if found is not None:
            need = target.need(context, found)
            if target.word == "STATISTICS" and isinstance(need, Ownership):
                need = replace(need, name=".".join(names))
            yield Told(need, result.notices)
        else:
            _skip(target, names, context, result)


def drop(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a DropStmt."""
    if nodes.enum_name(statement, "remove_type") in DROPPED_BY_SIGNATURE:
        return drop_function(statement, context)
    target = _target(statement, context)
    if target is None:
        return drop_of_nothing(statement, context)
    result = UtilityResult(f"DROP {target.word}")
    cascade = nodes.enum_name(statement, "behavior") == "DROP_CASCADE"
    targets = []
    with result.told():
        for names in map(_name_parts, statement.objects):
            found = _find(target, names, context, missing_ok=True)
            if found is None:
                _skip(target, names, context, result)
            else:
                targets.append(found)
        addresses = [target.address(found) for found in targets]
        gone = all_dropped(addresses, context.catalog, context, result, cascade=cascade)
    remove(gone, context.catalog, context, CatalogWriter(context.transaction))
    return result


def _target(statement: Any, context: UtilityContext) -> _Target | None:
    kind = nodes.enum_name(statement, "remove_type")
    if kind == "OBJECT_TYPE" and any(_is_of_user(item, context) for item in statement.objects):
        return _TYPES
    return _TARGETS.get(kind)


def _is_of_user(item: Any, context: UtilityContext) -> bool:
    """Tell whether a TypeName is that of a domain or an enum."""
    names, catalog, path = _name_parts(item), context.catalog, context.search_path
    schema = names[-2] if len(names) > 1 else None
    found = (
        catalog.find_domain(schema, names[-1], path)
        or catalog.find_user_type(schema, names[-1], path)
        or catalog.find_multirange(schema, names[-1], path)
    )
    return found is not None


def _find_type(context: UtilityContext, names: list[str]) -> Domain | UserType | None:
    found = find_user_type(context, names)
    schema = names[-2] if len(names) > 1 else None
    of_range = context.catalog.find_multirange(schema, names[-1], context.search_path)
    if found is None and of_range is not None:
        name = user_type_name(of_range, context.catalog, context.search_path)
        raise SqlError(
            "2BP01",
            f"cannot drop type {names[-1]} because type {name} requires it",
            hint=f"You can drop type {name} instead.",
        )
    relation = context.catalog.find_relation(schema, names[-1], context.search_path)
    if found is None and isinstance(relation, Table) and relation.row_type_oid:
        word = f"{KIND_NAMES[relation.kind]} {names[-1]}"
        raise SqlError(
            "2BP01",
            f"cannot drop type {names[-1]} because {word} requires it",
            hint=f"You can drop {word} instead.",
        )
    return found or find_domain(context, names)


def _name_parts(item: Any) -> list[str]:
    if nodes.kind(item) == "list":
        return nodes.strings(item.list.items)
    if nodes.kind(item) == "type_name":
        return nodes.strings(item.type_name.names)
    return [nodes.inner(item).sval]


def _find(target: _Target, names: list[str], context: UtilityContext, *, missing_ok: bool) -> Any:
    """Return the object of a name, None if there is none and that is no fault."""
    known = len(names) < 2 or names[-2] in context.catalog.schemas
    found = target.find(context, names) if known else None
    if found is None and not missing_ok:
        code = target.missing if known else "3F000"
        raise SqlError(code, _missing_text(target, names, context))
    return found


def _skip(
    target: _Target, names: list[str], context: UtilityContext, result: UtilityResult
) -> None:
    result.notice("00000", f"{_missing_text(target, names, context)}, skipping")


def _missing_text(target: _Target, names: list[str], context: UtilityContext) -> str:
    if len(names) > 1 and names[-2] not in context.catalog.schemas:
        return f'schema "{names[-2]}" does not exist'
    if target.word in ("DOMAIN", "TYPE"):
        return f'type "{".".join(names)}" does not exist'
    if target.word == "STATISTICS":
        return f'statistics object "{".".join(names)}" does not exist'
    return f'{target.word.lower()} "{names[-1]}" does not exist'


def _qualified(names: list[str]) -> tuple[str, str]:
    """Return a relation's name as (schema or "", name)."""
    return names[-2] if len(names) > 1 else "", names[-1]


def _find_of_kind(
    wanted: str,
) -> Callable[[UtilityContext, list[str]], Table | VirtualTable | None]:
    """Return the function that finds relations of a kind, and raises SqlError 42809 for others."""

    def find(context: UtilityContext, names: list[str]) -> Table | VirtualTable | None:
        schema, name = _qualified(names)
        schemas_to_search(context, schema)
        found = context.catalog.find_relation(schema or None, name, context.search_path)
        kind = wanted if found is None else found.kind
        if found is None and find_index(context, schema, name):
            kind = "i"
        if kind != wanted:
            raise wrong_kind(name, KIND_NAMES[wanted], KIND_NAMES[kind])
        return found

    return find


def _find_index(context: UtilityContext, names: list[str]) -> tuple[Table, Index] | None:
    schema, name = _qualified(names)
    found = find_index(context, schema, name)
    if found is None:
        other = context.catalog.find_relation(schema or None, name, context.search_path)
        if other is not None:
            raise wrong_kind(name, "index", KIND_NAMES[other.kind])
    return found


def _find_schema(context: UtilityContext, names: list[str]) -> Schema | None:
    return context.catalog.schemas.get(names[-1])


def _own_table(context: UtilityContext, found: Table | VirtualTable) -> Requirement:
    own = ownership(found)
    return (
        own if isinstance(found, VirtualTable) else _or_owner_of_schema(context, own, found.schema)
    )


def _own_index(context: UtilityContext, found: tuple[Table, Index]) -> Requirement:
    return _or_owner_of_schema(context, owner_of_index(*found), found[0].schema)


def _own_domain(context: UtilityContext, found: Domain) -> Requirement:
    return own_domain(context, found, or_schema=True)


def _own_type(context: UtilityContext, found: Domain | UserType) -> Requirement:
    if isinstance(found, Domain):
        return own_domain(context, found, or_schema=True)
    return own_type(context, found, or_schema=True)


def _own_schema(context: UtilityContext, found: Schema) -> Requirement:
    del context
    return owner_of_schema(found)


def _or_owner_of_schema(context: UtilityContext, own: Ownership, schema: str) -> Ownership:
    """A schema's owner may drop what others have made in it."""
    return replace(own, others=(context.catalog.schemas[schema].owner_oid,))


def _table(found: Table | VirtualTable) -> Address:
    assert isinstance(found, Table), "nobody owns a table of the system"
    return Address(PG_CLASS, found.oid)


def _index(found: tuple[Table, Index]) -> Address:
    return Address(PG_CLASS, found[1].oid)


def _type(found: Domain | UserType) -> Address:
    return Address(PG_TYPE, found.oid)


def _schema(found: Schema) -> Address:
    if found.oid < FIRST_USER_OID:
        raise owner_of_schema(found).error()
    return Address(PG_NAMESPACE, found.oid)


_TARGETS = {
    "OBJECT_TABLE": _Target("TABLE", "42P01", _find_of_kind("r"), _own_table, _table),
    "OBJECT_VIEW": _Target("VIEW", "42P01", _find_of_kind("v"), _own_table, _table),
    "OBJECT_MATVIEW": _Target("MATERIALIZED VIEW", "42P01", _find_of_kind("m"), _own_table, _table),
    "OBJECT_SEQUENCE": _Target("SEQUENCE", "42P01", _find_of_kind("S"), _own_table, _table),
    "OBJECT_INDEX": _Target("INDEX", "42704", _find_index, _own_index, _index),
    "OBJECT_DOMAIN": _Target("DOMAIN", "42704", find_domain, _own_domain, _type),
    STATISTICS: _Target("STATISTICS", "42704", look_up, own_to_drop, address),
    "OBJECT_SCHEMA": _Target("SCHEMA", "3F000", _find_schema, _own_schema, _schema),
}
_TYPES = _Target("TYPE", "42704", _find_type, _own_type, _type)
