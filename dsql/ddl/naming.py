"""Where a new object goes and what it is called, by PostgreSQL's rules."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from dsql.access.authorize import check
from dsql.access.privileges import RELATION_KINDS
from dsql.access.requirements import (
    NOBODY,
    Ownership,
    Requirement,
    TemporaryCreation,
    creation_in,
    owner_of,
    owner_of_index,
    usage_of,
)
from dsql.catalog.schema import (
    SYSTEM_COLUMN_NUMBERS,
    TEMPORARY_ALIAS,
    Column,
    Index,
    Schema,
    Table,
    is_temporary_schema,
)
from dsql.catalog.virtual import VirtualTable
from dsql.ddl.result import UtilityContext
from dsql.errors import SqlError, unsupported
from dsql.limits import IDENTIFIER_BYTES_MAX

Found = Table | VirtualTable | tuple[Table, Index]  # an index comes with its table
KIND_PLURALS = {
    "r": "tables",
    "v": "views",
    "m": "materialized views",
    "S": "sequences",
    "i": "indexes",
}
KIND_NAMES = {
    "r": "table",
    "v": "view",
    "m": "materialized view",
    "S": "sequence",
    "i": "index",
}


def schema_for(context: UtilityContext, names: Sequence[str]) -> Schema:
    """Return the schema that a new object of a written name goes to. See `creation_schema`."""
    return creation_schema(context, names[-2] if len(names) > 1 else "")


def creation_schema(context: UtilityContext, schema: str) -> Schema:
    """Return the schema a new object goes to; `schema` "" means the first of the search path.

    Raises 3F000 for a missing schema. Whether the user may create there is another question
    (`dsql.access.requirements.creation_in`).
    """
    if schema:
        found = require_schema(context, schema)
        if is_temporary_schema(found.name):
            raise unsupported("only tables can be temporary")
        return found
    path = [name for name in context.search_path if not is_temporary_schema(name)]
    if not path:
        raise SqlError("3F000", "no schema has been selected to create in")
    return context.catalog.schemas[path[0]]


def is_made_temporary(context: UtilityContext, relation: Any) -> bool:
    """Return whether what a RangeVar is to name is temporary, as it says or by its schema.

    Raises 42P16 for a temporary relation in another schema.
    """
    schema, own = relation.schemaname, context.catalog.temporary
    by_schema = context.profile != "dsql" and (
        schema == TEMPORARY_ALIAS or (own is not None and schema == own.name)
    )
    wanted = relation.relpersistence == "t"
    if wanted and schema and not by_schema:
        raise SqlError("42P16", "cannot create temporary relation in non-temporary schema")
    return wanted or by_schema


def relation_schema(context: UtilityContext, relation: Any) -> Schema:
    """Return the schema that a new relation goes to: see `creation_schema` and `is_made_temporary`."""
    if is_made_temporary(context, relation):
        return context.temporary_schema()
    return creation_schema(context, relation.schemaname)


def relation_creation(context: UtilityContext, relation: Any) -> Requirement:
    """Return the requirement of who makes a relation."""
    if is_made_temporary(context, relation):
        return TemporaryCreation(context.catalog.database)
    return creation_in(creation_schema(context, relation.schemaname))


def require_schema(context: UtilityContext, name: str) -> Schema:
    """Return a schema by its name. Raises 3F000."""
    schema = context.catalog.schemas.get(name)
    if schema is None:
        raise SqlError("3F000", f'schema "{name}" does not exist')
    return schema


def usable_schema(context: UtilityContext, name: str) -> Schema:
    """Return a schema in which the user may look things up. Raises 3F000, 42501."""
    schema = require_schema(context, name)
    check(usage_of(schema), context.authority)
    return schema


def schemas_to_search(context: UtilityContext, schema: str) -> tuple[str, ...]:
    """Return the schemas in which a name is looked up; `schema` "" means that it is not qualified.

    Raises 3F000 for a missing schema, 42501 for one that the user may not use.
    """
    return (usable_schema(context, schema).name,) if schema else context.search_path


def find_relation(
    context: UtilityContext, relation: Any, *, missing_ok: bool = False
) -> Table | VirtualTable | None:
    """Look a RangeVar up. Raises 42501 for a schema the user may not use, 3F000 unless `missing_ok`."""
    if missing_ok and relation.schemaname and relation.schemaname not in context.catalog.schemas:
        return None
    schemas_to_search(context, relation.schemaname)
    return context.catalog.find_relation(
        relation.schemaname or None, relation.relname, context.search_path
    )


def find_index(context: UtilityContext, schema: str, name: str) -> tuple[Table, Index] | None:
    """Return an index and its table by the index's (possibly qualified) name. Raises 3F000, 42501."""
    for candidate in schemas_to_search(context, schema):
        for table in context.catalog.tables.values():
            if table.schema == candidate:
                for index in table.indexes:
                    if index.name == name:
                        return table, index
    return None


def missing_relation(relation: Any) -> SqlError:
    """Return the error (42P01) of a RangeVar that names nothing."""
    name = ".".join(part for part in (relation.schemaname, relation.relname) if part)
    return SqlError("42P01", f'relation "{name}" does not exist')


def require_table(context: UtilityContext, relation: Any, kinds: str = "r") -> Table:
    """Return the user table a RangeVar names.

    Raises 42P01 or 3F000 if there is none, 42809 if it is something else, 42501 for a system table, or for
    a schema that the user may not use.
    """
    found = find_relation(context, relation)
    if found is None:
        if find_index(context, relation.schemaname, relation.relname):
            raise SqlError("42809", f'"{relation.relname}" is not a {KIND_NAMES[kinds[0]]}')
        raise missing_relation(relation)
    if isinstance(found, VirtualTable):
        raise system_catalog(found)
    if found.kind not in kinds:
        raise SqlError("42809", f'"{found.name}" is not a {KIND_NAMES[kinds[0]]}')
    return found


def refuse_kinds(context: UtilityContext, relation: Any, verb: str, kinds: str = "i") -> None:
    """Raise SqlError 42809 if a RangeVar names an index (or one of `kinds`), where `verb` needs rows."""
    found = find_any(context, relation, missing_ok=True)
    kind = "i" if isinstance(found, tuple) else found.kind if found is not None else ""
    if kind and kind in kinds:
        raise SqlError(
            "42809",
            f'cannot {verb} relation "{relation.relname}"',
            detail=f"This operation is not supported for {KIND_PLURALS[kind]}.",
        )


def wrong_kind(name: str, wanted: str, word: str) -> SqlError:
    """Return the error (42809) of a DROP of a `wanted` that is a `word`."""
    article = "an" if wanted[0] in "aeiou" else "a"
    return SqlError(
        "42809",
        f'"{name}" is not {article} {wanted}',
        hint=f"Use DROP {word.upper()} to remove {'an' if word == 'index' else 'a'} {word}.",
    )


def system_catalog(table: VirtualTable) -> SqlError:
    """Return the error (42501) of a statement that would change a system table."""
    return SqlError("42501", f'permission denied: "{table.name}" is a system catalog')


def find_any(context: UtilityContext, relation: Any, *, missing_ok: bool = False) -> Found | None:
    """Look a RangeVar up as `find_relation` does, among indexes as well."""
    found = find_relation(context, relation, missing_ok=missing_ok)
    if found is not None or (
        relation.schemaname and relation.schemaname not in context.catalog.schemas
    ):
        return found
    return find_index(context, relation.schemaname, relation.relname)


def is_missing(context: UtilityContext, statement: Any) -> bool:
    """Tell whether what an ALTER ... IF EXISTS is about does not exist."""
    return statement.missing_ok and find_any(context, statement.relation, missing_ok=True) is None


def missing_text(relation: Any) -> str:
    """Return the notice about that."""
    return f'relation "{relation.relname}" does not exist, skipping'


def schema_of(context: UtilityContext, found: Found) -> Schema:
    """Return the schema that a relation is in."""
    relation = found[0] if isinstance(found, tuple) else found
    return context.catalog.schemas[relation.schema]


def ownership(found: Found) -> Ownership:
    """Return the requirement of who changes a relation. The system's belong to nobody who logs in."""
    if isinstance(found, VirtualTable):
        return Ownership(RELATION_KINDS[found.kind], found.name, NOBODY)
    return owner_of_index(*found) if isinstance(found, tuple) else owner_of(found)


def owned_relation(context: UtilityContext, statement: Any) -> Iterator[Requirement]:
    """Yield what every statement needs that changes the relation it is about: to own it.

    Raises 42P01 or 3F000 for none, unless that is no fault (IF EXISTS).
    """
    missing_ok = getattr(statement, "missing_ok", False)
    found = find_any(context, statement.relation, missing_ok=missing_ok)
    if found is not None:
        yield ownership(found)
    elif not missing_ok:
        raise missing_relation(statement.relation)


def find_column(table: Table, name: str) -> Column | None:
    """Return a live column by its name."""
    return next((column for column in table.live_columns if column.name == name), None)


def require_column(table: Table, name: str) -> Column:
    """Return a live column by its name. Raises 42703."""
    found = find_column(table, name)
    if found is None:
        raise no_column(table.name, name)
    return found


def changeable_column(table: Table, name: str) -> Column:
    """Return a live column that ALTER may change. Raises 42703, 0A000 for a system column."""
    refuse_system_column(table, name, f'cannot alter system column "{name}"')
    return require_column(table, name)


def refuse_system_column(table: Table, name: str, message: str) -> None:
    """Raise SqlError 0A000 if a name is that of a system column of the table."""
    if name in SYSTEM_COLUMN_NUMBERS and find_column(table, name) is None:
        raise SqlError("0A000", message)


def refuse_system_name(name: str) -> None:
    """Raise SqlError 42701 if no column can have a name, because a system column has it."""
    if name in SYSTEM_COLUMN_NUMBERS:
        message = f'column name "{name}" conflicts with a system column name'
        raise SqlError("42701", message)


def no_column(relation: str, name: str) -> SqlError:
    """Return the error (42703) of a column that a relation does not have."""
    return SqlError("42703", f'column "{name}" of relation "{relation}" does not exist')


def column_names(written: list[str], found: Sequence[str]) -> list[str]:
    """Return a query's column names, the first ones as written. Raises SqlError 42601."""
    if len(written) > len(found):
        raise SqlError("42601", "too many column names were specified")
    return [*written, *found[len(written) :]]


def is_taken(context: UtilityContext, relation: Any) -> bool:
    """Return whether something has the name of a new relation already, where that is to go."""
    return relation.relname in taken_names(context, relation_schema(context, relation).name)


def taken_names(context: UtilityContext, schema: str) -> set[str]:
    """Return the names of all relations of a schema, indexes included: they share one name space."""
    taken = set()
    for (owner, name), table in context.catalog.tables.items():
        if owner == schema:
            taken.add(name)
            taken.update(index.name for index in table.indexes)
    taken.update(each.name for each in context.catalog.composites() if each.schema == schema)
    return taken


def object_name(first: str, second: str, label: str) -> str:
    """Join name parts as PostgreSQL's makeObjectName: cut the longer part until 63 bytes suffice."""
    overhead = len(label) + 1 + (1 if second else 0)
    one, two = first.encode(), second.encode()
    while len(one) + len(two) + overhead > IDENTIFIER_BYTES_MAX:
        if len(one) > len(two):
            one = one[:-1]
        else:
            two = two[:-1]
    parts = [part.decode(errors="ignore") for part in (one, two) if part]
    return "_".join([*parts, label])


def refuse_type_name(name: str, schema: str, context: UtilityContext) -> None:
    """Raise SqlError 42710 if a relation's row type would have the name of another type."""
    catalog, key = context.catalog, (schema, name)
    if key in catalog.user_types or key in catalog.domains or key in catalog.multiranges:
        raise SqlError(
            "42710",
            f'type "{name}" already exists',
            hint="A relation has an associated type of the same name, so you must use a name that"
            " doesn't conflict with any existing type.",
        )


def unique_name(first: str, second: str, label: str, taken: Collection[str]) -> str:
    """Return `object_name` with the first number behind the label that makes it unused."""
    name = object_name(first, second, label)
    number = 0
    while name in taken:
        number += 1
        name = object_name(first, second, f"{label}{number}")
    return name
