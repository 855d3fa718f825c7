"""Names of catalog objects: from text to OID and back, for reg* types and to_regclass."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from dsql.access.authority import Authority
from dsql.access.authorize import check
from dsql.access.requirements import usage_of
from dsql.catalog import operator_names
from dsql.catalog.catalog import POSTGRES, Catalog, searched
from dsql.catalog.domain_text import type_name
from dsql.catalog.function_text import function_name, function_signature
from dsql.catalog.schema import CompositeType, Index, SqlFunction, Table
from dsql.catalog.virtual import virtual_table
from dsql.errors import SqlError, unsupported
from dsql.functions.registry import Callee, by_oid, candidates
from dsql.types import registry
from dsql.types.identifier import quote_identifier, split_name

_TYPE_MODIFIER = re.compile(r"\([^()]*\)")


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
    composite = catalog.composite_of_relation(oid)
    if composite is not None:
        return composite.schema, composite.name
    virtual = virtual_table(oid)
    return (virtual.schema, virtual.name) if virtual else None


def relation_oid(catalog: Catalog, search_path: Sequence[str], text: str) -> int | None:
    """Return the OID of the relation (index included) that a regclass text names, None if there is none."""
    *schema, name = _relation_parts(catalog, text)
    found = catalog.find_relation(schema[0] if schema else None, name, search_path)
    if found is not None:
        return found.oid
    for candidate in schema or search_path:
        for table in catalog.tables.values():
            if table.schema == candidate:
                for index in table.indexes:
                    if index.name == name:
                        return index.oid
    composite = catalog.find_user_type(schema[0] if schema else None, name, search_path)
    return composite.relation_oid if isinstance(composite, CompositeType) else None


def is_visible(catalog: Catalog, search_path: Sequence[str], relation: tuple[str, str]) -> bool:
    """Return whether a relation is found by its bare name."""
    schema, name = relation
    for candidate in searched(search_path):
        if candidate == schema:
            return True
        if (candidate, name) in catalog.tables or (candidate, name) in catalog.virtual:
            return False
    return False


class View(NamedTuple):
    """Where names are looked up, and whose rights to look there count (None: nobody's are asked for)."""

    catalog: Catalog
    search_path: Sequence[str]
    authority: Authority | None


def view_of(context: Any) -> View:
    """Return where a running statement looks names up."""
    return View(context.catalog, context.search_path, context.authority)


class CatalogNames:
    """The `dsql.types.reg.NameResolver` of a session."""

    def __init__(self, current: Callable[[], View]) -> None:
        self._current = current

    def name_of(self, kind: str, oid: int) -> str | None:
        """Return an object's name, qualified where the search path does not find it."""
        find = _NAMES.get(kind)
        return None if find is None else find(*self._current()[:2], oid)

    def oid_of(self, kind: str, name: str) -> int:
        """Return an object's OID.

        Raises SqlError 42P01, 3F000, 42704, 42883, 42725 or 42602, and 42501 for a name in a schema that
        is closed to whoever looks.
        """
        find = _OIDS.get(kind)
        if find is None:
            raise unsupported(f"names of type {kind}")
        view = self._current()
        if kind in _IN_SCHEMAS:
            _check_usage(view, name)
        return find(view.catalog, view.search_path, name)


_IN_SCHEMAS = frozenset(("regclass", "regproc", "regprocedure", "regtype"))


def _check_usage(view: View, text: str) -> None:
    """Raise SqlError 42501 for a qualified name in a schema whose USAGE is missing."""
    name = _without_parentheses(text)
    if view.authority is None or "." not in name:
        return
    *database, schema, _name = ["", *split_name(name)]
    found = view.catalog.schemas.get(schema)
    if found is not None and database in ([], [""], ["", view.catalog.database.name]):
        check(usage_of(found), view.authority)


def _without_parentheses(text: str) -> str:
    """Return what stands before regprocedure's types or regtype's modifier; quotes hide a parenthesis."""
    parts = text.split('"')
    for number in range(0, len(parts), 2):
        if "(" in parts[number]:
            return '"'.join((*parts[:number], parts[number].partition("(")[0]))
    return text


# ---------------------------------------------------------------- kind by kind


def relation_text(catalog: Catalog, search_path: Sequence[str], oid: int) -> str | None:
    """Return a relation's name, quoted, and qualified where the search path does not find it."""
    relation = relation_name(catalog, oid)
    if relation is None:
        return None
    text = quote_identifier(relation[1])
    if is_visible(catalog, search_path, relation):
        return text
    return f"{quote_identifier(relation[0])}.{text}"


def _relation_of(catalog: Catalog, search_path: Sequence[str], text: str) -> int:
    oid = relation_oid(catalog, search_path, text)
    if oid is None:
        *schema, name = _relation_parts(catalog, text)
        _require_schema(catalog, schema)
        shown = ".".join((*schema, name))
        raise SqlError("42P01", f'relation "{shown}" does not exist')
    return oid


def _require_schema(catalog: Catalog, schema: list[str]) -> None:
    if schema and schema[0] not in catalog.schemas:
        raise SqlError("3F000", f'schema "{schema[0]}" does not exist')


def _function_text(catalog: Catalog, search_path: Sequence[str], oid: int) -> str | None:
    callee = catalog.functions.get(oid) or by_oid(oid)
    if isinstance(callee, SqlFunction):
        return function_name(callee, catalog, search_path)
    return None if callee is None else quote_identifier(callee.name)


def _function_of(catalog: Catalog, search_path: Sequence[str], text: str) -> int:
    found = _functions_named(catalog, search_path, text)
    if not found:
        raise SqlError("42883", f'function "{text}" does not exist')
    if len(found) > 1:
        raise SqlError("42725", f'more than one function named "{text}"')
    return found[0].oid


def _functions_named(
    catalog: Catalog, search_path: Sequence[str], text: str
) -> list[Callee | SqlFunction]:
    """Return the functions of a name, the nearest of each signature."""
    *schema, name = _qualified(text)
    _require_schema(catalog, schema)
    found: dict[tuple[int, ...], Callee | SqlFunction] = {}
    for candidate in schema or searched(search_path):
        if candidate == "pg_catalog":
            for callee in candidates(name):
                found.setdefault(callee.argument_types, callee)
        for function in catalog.functions_named(name):
            if function.schema == candidate:
                found.setdefault(function.argument_types, function)
    return list(found.values())


def _procedure_text(catalog: Catalog, search_path: Sequence[str], oid: int) -> str | None:
    function = catalog.functions.get(oid)
    if function is not None:
        return function_signature(function, catalog, search_path)
    callee = by_oid(oid)
    if callee is None:
        return None
    arguments = ",".join(registry.get(argument).sql_name for argument in callee.argument_types)
    return f"{quote_identifier(callee.name)}({arguments})"


def _procedure_of(catalog: Catalog, search_path: Sequence[str], text: str) -> int:
    """Read a name with the types of its arguments: `abs(integer)`."""
    name, parenthesis, rest = text.strip().partition("(")
    if not parenthesis:
        raise SqlError("22P02", "expected a left parenthesis")
    if not rest.endswith(")"):
        raise SqlError("22P02", "expected a right parenthesis")
    found = _functions_named(catalog, search_path, name)
    words = rest[:-1].split(",") if rest[:-1].strip() else []
    types = tuple(_type_of(catalog, search_path, word) for word in words)
    match = next((callee for callee in found if callee.argument_types == types), None)
    if match is None:
        raise SqlError("42883", f'function "{text}" does not exist')
    return match.oid


def _type_text(catalog: Catalog, search_path: Sequence[str], oid: int) -> str | None:
    """Return a user type's name; those of other types are known without a catalog."""
    enum = catalog.user_type_of(oid)
    if enum is not None or catalog.table_of_row_type(oid) is not None:
        return registry.get(oid).sql_name
    if catalog.domain_of(oid) is None:
        return None
    return type_name(oid, -1, catalog, search_path)


def _domain_of(catalog: Catalog, search_path: Sequence[str], name: str) -> int:
    """Return the OID of a domain, or of its array type, 0 for another type."""
    element = name.removesuffix("[]").strip()
    if not catalog.domains or (" " in element and '"' not in element):
        return 0
    *schema, bare = _qualified(element)
    domain = catalog.find_domain(schema[0] if schema else None, bare, search_path)
    if domain is None:
        return 0
    return domain.oid if element == name else domain.array_oid


def _user_type_of(catalog: Catalog, search_path: Sequence[str], name: str) -> int:
    """Return the OID of an enum, composite or range type, or of its arrays, 0 for another type."""
    if not catalog.user_types:
        return 0
    element = name.removesuffix("[]").strip()
    *parts, bare = _qualified(element)
    schema = parts[0] if parts else None
    found = catalog.find_user_type(schema, bare, search_path)
    if found is not None:
        return found.oid if element == name else found.array_oid
    of_range = catalog.find_multirange(schema, bare, search_path)
    if of_range is not None:
        return of_range.multirange_oid if element == name else of_range.multirange_array_oid
    return 0


def _row_type_of(catalog: Catalog, search_path: Sequence[str], name: str) -> int:
    """Return the OID of the type of a relation's rows, which has no arrays, 0 for another type."""
    if name.endswith("[]") or (" " in name and '"' not in name):
        return 0
    *parts, bare = _qualified(name)
    table = catalog.find_relation(parts[0] if parts else None, bare, search_path)
    return table.row_type_oid if isinstance(table, Table) else 0


def _type_of(catalog: Catalog, search_path: Sequence[str], text: str) -> int:
    name = _TYPE_MODIFIER.sub("", text).strip()
    is_plain = "." not in name and '"' not in name
    found = registry.find_sql_name(name) if is_plain else None
    if found is not None:
        return found.oid
    for own in (_domain_of, _user_type_of, _row_type_of):
        if oid := own(catalog, search_path, name):
            return oid
    if not is_plain:
        is_array = name.endswith("[]")
        *schema, bare = _qualified(name.removesuffix("[]"))
        name = ".".join((*schema, bare))
        if schema not in ([], ["pg_catalog"]):
            _require_schema(catalog, schema)
            raise SqlError("42704", f'type "{name}" does not exist')
        found = registry.find(bare)
        if found is not None:
            return found.array_oid if is_array else found.oid
    raise SqlError("42704", f'type "{name}" does not exist')


def _schema_text(catalog: Catalog, _search_path: Sequence[str], oid: int) -> str | None:
    return _quoted(next((s.name for s in catalog.schemas.values() if s.oid == oid), None))


def _schema_of(catalog: Catalog, _search_path: Sequence[str], text: str) -> int:
    word = _single(text)
    if word not in catalog.schemas:
        raise SqlError("3F000", f'schema "{word}" does not exist')
    return catalog.schemas[word].oid


def _role_text(catalog: Catalog, _search_path: Sequence[str], oid: int) -> str | None:
    return _quoted(next((r.name for r in catalog.roles.values() if r.oid == oid), None))


def _role_of(catalog: Catalog, _search_path: Sequence[str], text: str) -> int:
    word = _single(text)
    if word not in catalog.roles:
        raise SqlError("42704", f'role "{word}" does not exist')
    return catalog.roles[word].oid


def _qualified(text: str) -> list[str]:
    """Return ([schema,] name); the database's name in front may be this one's."""
    parts = split_name(text)
    shown = ".".join(parts)
    if len(parts) > 3:
        raise SqlError("42601", f"improper qualified name (too many dotted names): {shown}")
    if len(parts) == 3 and parts[0] != POSTGRES.name:
        raise unsupported(f"cross-database references are not implemented: {shown}")
    return parts[-2:]


def _relation_parts(catalog: Catalog, text: str) -> list[str]:
    parts = split_name(text)
    shown = ".".join(parts)
    if len(parts) > 3:
        raise SqlError("42601", f"improper relation name (too many dotted names): {shown}")
    if len(parts) == 3 and parts[0] != catalog.database.name:
        raise unsupported(f'cross-database references are not implemented: "{shown}"')
    return parts[-2:]


def _single(text: str) -> str:
    parts = split_name(text)
    if len(parts) != 1:
        raise SqlError("42602", "invalid name syntax")
    return parts[0]


def _quoted(name: str | None) -> str | None:
    return None if name is None else quote_identifier(name)


def _signature_of(catalog: Catalog, search_path: Sequence[str], text: str) -> int:
    return operator_names.signature_of(text, lambda word: _type_of(catalog, search_path, word))


def _collation_of(catalog: Catalog, _search_path: Sequence[str], text: str) -> int:
    *schema, name = split_name(text)
    if schema not in ([], ["pg_catalog"]):
        _require_schema(catalog, schema)
    return operator_names.collation_of(name)


_NAMES: dict[str, Callable[[Catalog, Sequence[str], int], str | None]] = {
    "regclass": relation_text,
    "regproc": _function_text,
    "regtype": _type_text,
    "regprocedure": _procedure_text,
    "regnamespace": _schema_text,
    "regrole": _role_text,
    "regoper": lambda _catalog, _path, oid: operator_names.operator_text(oid),
    "regoperator": lambda _catalog, _path, oid: operator_names.signature_text(oid),
    "regcollation": lambda _catalog, _path, oid: operator_names.collation_text(oid),
}
_OIDS: dict[str, Callable[[Catalog, Sequence[str], str], int]] = {
    "regclass": _relation_of,
    "regproc": _function_of,
    "regprocedure": _procedure_of,
    "regtype": _type_of,
    "regnamespace": _schema_of,
    "regrole": _role_of,
    "regoper": lambda _catalog, _path, text: operator_names.operator_of(text),
    "regoperator": _signature_of,
    "regcollation": _collation_of,
}
