"""CREATE TYPE ... AS ENUM, and ALTER TYPE of its labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from dsql.access.default_acls import initial_acl
from dsql.access.privileges import Kind
from dsql.access.requirements import Requirement, creation_in
from dsql.catalog.domain_text import domain_name
from dsql.catalog.schema import EnumLabel, EnumType, Schema
from dsql.catalog.store import CatalogWriter
from dsql.catalog.user_types import user_type_name
from dsql.ddl import nodes
from dsql.ddl.domains import refuse_taken_type
from dsql.ddl.following import put_all
from dsql.ddl.lacking_statements import check_altered_enum
from dsql.ddl.naming import schema_for
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.user_types import find_user_type, own_type
from dsql.errors import SqlError
from dsql.limits import IDENTIFIER_BYTES_MAX
from dsql.sql.gate import ParsedStatement

_TAG = "ALTER TYPE"


def create_enum_requires(parsed: ParsedStatement, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what a CreateEnumStmt needs: a place in the schema."""
    yield creation_in(_schema(parsed.node, context))


def _schema(statement: Any, context: UtilityContext) -> Schema:
    names = nodes.strings(statement.type_name)
    return schema_for(context, names)


def create_enum(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run a CreateEnumStmt. Raises SqlError 42710, 42602, 23505."""
    schema, name = _schema(parsed.node, context), nodes.strings(parsed.node.type_name)[-1]
    refuse_taken_type(name, schema.name, context)
    writer = CatalogWriter(context.transaction)
    oid, array_oid = writer.allocate_oid(), writer.allocate_oid()
    names = nodes.strings(parsed.node.vals)
    for number, label in enumerate(names):
        _check_label(label)
        if label in names[:number]:
            raise SqlError(
                "23505",
                'duplicate key value violates unique constraint "pg_enum_typid_label_index"',
                detail=f"Key (enumtypid, enumlabel)=({oid}, {label}) already exists.",
                schema="pg_catalog",
                table="pg_enum",
                constraint="pg_enum_typid_label_index",
            )
    labels = (EnumLabel(writer.allocate_oid(), float(n), name) for n, name in enumerate(names, 1))
    acl = initial_acl(context.catalog, Kind.TYPE, context.user.oid, schema.oid)
    writer.put_user_type(
        EnumType(oid, schema.name, name, context.user.oid, tuple(labels), array_oid, acl)
    )
    return UtilityResult("CREATE TYPE")


def _check_label(label: str) -> None:
    if len(label.encode()) > IDENTIFIER_BYTES_MAX:
        raise SqlError(
            "42602",
            f'invalid enum label "{label}"',
            detail=f"Labels must be {IDENTIFIER_BYTES_MAX} bytes or less.",
        )


# ---------------------------------------------------------------- ALTER TYPE


def _find_enum(context: UtilityContext, names: Sequence[str]) -> EnumType | None:
    found = find_user_type(context, names)
    if found is not None and not isinstance(found, EnumType):
        name = user_type_name(found, context.catalog, context.search_path)
        raise SqlError("42809", f"{name} is not an enum")
    return found


def alter_enum_requires(parsed: ParsedStatement, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what an AlterEnumStmt needs: to own the enum. Raises SqlError 42704, 42809."""
    names = nodes.strings(parsed.node.type_name)
    enum = _find_enum(context, names)
    if enum is not None:
        yield own_type(context, enum)
        return
    domain = context.catalog.find_domain(
        names[-2] if len(names) > 1 else None, names[-1], context.search_path
    )
    if domain is not None:
        name = domain_name(domain, context.catalog, context.search_path)
        raise SqlError("42809", f"{name} is not an enum")
    check_altered_enum(parsed.node, context)


def alter_enum(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run an AlterEnumStmt: ADD VALUE or RENAME VALUE. Raises SqlError 42602, 42710, 22023."""
    node, result = parsed.node, UtilityResult(_TAG)
    enum = _find_enum(context, nodes.strings(node.type_name))
    assert enum is not None, "it was found before"
    _check_label(node.new_val)
    if node.old_val:
        _renamed_label(enum, node.old_val, node.new_val, context)
        return result
    if any(label.name == node.new_val for label in enum.labels):
        message = f'enum label "{node.new_val}" already exists'
        if not node.skip_if_new_val_exists:
            raise SqlError("42710", message)
        result.notice("42710", f"{message}, skipping")
        return result
    writer = CatalogWriter(context.transaction)
    place = _place(enum, node.new_val_neighbor, after=node.new_val_is_after)
    added = EnumLabel(writer.allocate_oid(), place, node.new_val)
    labels = sorted((*enum.labels, added), key=lambda label: label.place)
    writer.put_user_type(replace(enum, labels=tuple(labels)))
    return result


def _label(enum: EnumType, name: str) -> EnumLabel:
    for label in enum.labels:
        if label.name == name:
            return label
    raise SqlError("22023", f'"{name}" is not an existing enum label')


def _place(enum: EnumType, neighbor: str, *, after: bool) -> float:
    """Return the place of a new label: at the end, or beside another one.

    Raises SqlError 54000 where floats have none left, after some fifty new labels in one gap.
    """
    places = [label.place for label in enum.labels]
    if not neighbor:
        return places[-1] + 1 if places else 1.0
    at = enum.labels.index(_label(enum, neighbor)) + after
    if at in (0, len(places)):
        return places[-1] + 1 if at else places[0] - 1
    place = (places[at - 1] + places[at]) / 2
    if place in places:
        raise SqlError("54000", f'there is no place left beside enum label "{neighbor}"')
    return place


def _renamed_label(enum: EnumType, old: str, new: str, context: UtilityContext) -> None:
    found = _label(enum, old)
    if any(label.name == new for label in enum.labels):
        raise SqlError("42710", f'enum label "{new}" already exists')
    labels = (replace(label, name=new) if label is found else label for label in enum.labels)
    changed = replace(enum, labels=tuple(labels))
    put_all(context.catalog, [changed], CatalogWriter(context.transaction))
