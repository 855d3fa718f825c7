"""Names of catalog objects: from text to OID and back, as reg* types and to_regclass need it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from dsql.catalog.catalog import Catalog
from dsql.catalog.definitions import quote_identifier
from dsql.catalog.schema import Index, Table
from dsql.catalog.virtual import virtual_tables
from dsql.errors import SqlError


def split_name(text: str) -> list[str]:
    """Split a name as it is written in SQL into one or two parts; unquoted ones fold to lower case."""
    parts, at = [], 0
    while at <= len(text):
        if text[at : at + 1] == '"':
            end = at + 1
            while end < len(text) and not (text[end] == '"' and text[end + 1 : end + 2] != '"'):
                end += 2 if text[end] == '"' else 1
            parts.append(text[at + 1 : end].replace('""', '"'))
            at = end + 2
        else:
            end = text.find(".", at)
            end = len(text) if end < 0 else end
            parts.append(text[at:end].strip().lower())
            at = end + 1
    if len(parts) > 2 or not all(parts):
        raise SqlError("42602", "invalid name syntax")
    return parts


def find_index(catalog: Catalog, oid: int) -> tuple[Table, Index] | None:
    """Return the index with this OID and its table."""
    for table in catalog.tables.values():
        for index in table.indexes:
            if index.oid == oid:
                return table, index
    return None


def relation_name(catalog: Catalog, oid: int) -> tuple[str, str] | None:
    """Return (schema, name) of a table, index or computed table."""
    table = catalog.tables_by_oid.get(oid)
    if table is not None:
        return table.schema, table.name
    found = find_index(catalog, oid)
    if found is not None:
        return found[0].schema, found[1].name
    return _virtual_names().get(oid)


@cache
def _virtual_names() -> dict[int, tuple[str, str]]:
    return {table.oid: key for key, table in virtual_tables().items()}


def relation_oid(catalog: Catalog, search_path: Sequence[str], text: str) -> int | None:
    """Return the OID of the relation (index included) that a regclass text names, None if there is none."""
    if text.isdigit():
        return int(text)
    *schema, name = split_name(text)
    found = catalog.find_relation(schema[0] if schema else None, name, search_path)
    if found is not None:
        return found.oid
    for candidate in schema or search_path:
        for table in catalog.tables.values():
            if table.schema == candidate:
                for index in table.indexes:
                    if index.name == name:
                        return index.oid
    return None


def is_visible(catalog: Catalog, search_path: Sequence[str], relation: tuple[str, str]) -> bool:
    """Return whether a relation is found by its bare name."""
    schema, name = relation
    for candidate in ("pg_catalog", *search_path):
        if candidate == schema:
            return True
        if (candidate, name) in catalog.tables or (candidate, name) in catalog.virtual:
            return False
    return False


class CatalogNames:
    """The `dsql.types.reg.NameResolver` of a session: `current` yields (catalog, search path)."""

    def __init__(self, current: Callable[[], tuple[Catalog, Sequence[str]]]) -> None:
        self._current = current

    def name_of(self, kind: str, oid: int) -> str | None:
        """Return an object's name, qualified where the search path does not find it."""
        catalog, search_path = self._current()
        if kind == "regnamespace":
            return _quoted(next((s.name for s in catalog.schemas.values() if s.oid == oid), None))
        if kind == "regrole":
            return _quoted(next((r.name for r in catalog.roles.values() if r.oid == oid), None))
        if kind != "regclass":
            return None
        relation = relation_name(catalog, oid)
        if relation is None:
            return None
        text = quote_identifier(relation[1])
        if is_visible(catalog, search_path, relation):
            return text
        return f"{quote_identifier(relation[0])}.{text}"

    def oid_of(self, kind: str, name: str) -> int:
        """Return an object's OID. Raises SqlError 42P01, 3F000 or 42704."""
        catalog, search_path = self._current()
        if kind == "regclass":
            oid = relation_oid(catalog, search_path, name)
            if oid is None:
                raise SqlError("42P01", f'relation "{name}" does not exist')
            return oid
        word = split_name(name)[-1]
        if kind == "regnamespace":
            if word not in catalog.schemas:
                raise SqlError("3F000", f'schema "{word}" does not exist')
            return catalog.schemas[word].oid
        if kind == "regrole":
            if word not in catalog.roles:
                raise SqlError("42704", f'role "{word}" does not exist')
            return catalog.roles[word].oid
        raise SqlError("42704", f'"{name}" does not exist')


def _quoted(name: str | None) -> str | None:
    return None if name is None else quote_identifier(name)
