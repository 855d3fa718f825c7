"""Literals that name catalog objects: 'public.t'::regclass and its kin."""

from __future__ import annotations

from dsql.errors import SqlError
from dsql.sql.binding import Binding
from dsql.types import oids

OBJECT_TYPES = frozenset({oids.REGCLASS, oids.REGTYPE, oids.REGNAMESPACE, oids.REGROLE})


def object_oid(binding: Binding, text: str, type_oid: int, position: int) -> int:
    """Return the OID a name means. Raises SqlError 42P01, 42704 or 3F000 for an unknown one."""
    if text == "-":
        return 0
    if type_oid == oids.REGCLASS:
        return _relation_oid(binding, text, position)
    if type_oid == oids.REGTYPE:
        return _type_oid(text)
    name = split_name(text)[-1]
    if type_oid == oids.REGNAMESPACE:
        schema = binding.catalog.schemas.get(name)
        if schema is None:
            raise SqlError("3F000", f'schema "{name}" does not exist', position=position)
        return schema.oid
    role = binding.catalog.roles.get(name)
    if role is None:
        raise SqlError("42704", f'role "{name}" does not exist', position=position)
    return role.oid


def split_name(text: str) -> list[str]:
    """Return the parts of a qualified name as written in a string, unquoted parts in lower case."""
    parts: list[str] = []
    rest = text.strip()
    while True:
        if rest.startswith('"'):
            end = 1
            while True:
                end = rest.find('"', end)
                if end < 0:
                    raise SqlError("42602", "invalid name syntax")
                if rest[end : end + 2] != '""':
                    break
                end += 2
            parts.append(rest[1:end].replace('""', '"'))
            rest = rest[end + 1 :].lstrip()
        else:
            word, dot, tail = rest.partition(".")
            if not word.strip():
                raise SqlError("42602", "invalid name syntax")
            parts.append(word.strip().lower())
            rest = dot + tail
        if not rest:
            return parts
        if not rest.startswith("."):
            raise SqlError("42602", "invalid name syntax")
        rest = rest[1:].lstrip()


def _relation_oid(binding: Binding, text: str, position: int) -> int:
    parts = split_name(text)
    name = parts[-1]
    schema = parts[-2] if len(parts) > 1 else None
    found = binding.catalog.find_relation(schema, name, binding.search_path)
    if found is not None:
        return found.oid
    index = _index_oid(binding, schema, name)
    if index is not None:
        return index
    shown = ".".join(parts)
    raise SqlError("42P01", f'relation "{shown}" does not exist', position=position)


def _index_oid(binding: Binding, schema: str | None, name: str) -> int | None:
    schemas = (schema,) if schema is not None else binding.search_path
    for table in binding.catalog.tables.values():
        if table.schema in schemas:
            for index in table.indexes:
                if index.name == name:
                    return index.oid
    return None


def _type_oid(text: str) -> int:
    from dsql.sql.gate import parse_statement
    from dsql.sql.tree import TreeBuilder
    from dsql.sql.type_names import resolve_type

    statement = parse_statement(f"SELECT NULL::{text}")
    cast = statement.node.target_list[0].res_target.val
    tree = TreeBuilder(statement).expression(cast)
    return resolve_type(tree.args["to"])[0]
