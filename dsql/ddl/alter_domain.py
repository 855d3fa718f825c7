"""ALTER DOMAIN: what changes for the values that there are is checked first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from dsql.access.requirements import Requirement, creation_in
from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import Column, Domain, DomainCheck, Table
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.domain_names import own_domain, require_domain
from dsql.ddl.domains import DomainReader, refuse_taken_type
from dsql.ddl.following import put_all
from dsql.ddl.naming import require_schema
from dsql.ddl.rebuild import read_column
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.errors import SqlError, unsupported
from dsql.sql.domains import coercion_of, column_default, lineage
from dsql.sql.gate import ParsedStatement

_TAG = "ALTER DOMAIN"


def alter_domain_requires(
    parsed: ParsedStatement, context: UtilityContext
) -> Iterator[Requirement]:
    """Yield what an AlterDomainStmt needs: to own the domain."""
    try:
        domain = require_domain(context, nodes.strings(parsed.node.type_name))
    except SqlError as error:
        if error.sqlstate == "42809":
            error.message = error.message.replace('"', "")
        raise
    yield own_domain(context, domain)


def alter_domain(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run an AlterDomainStmt."""
    statement = parsed.node
    domain = require_domain(context, nodes.strings(statement.type_name))
    result = UtilityResult(_TAG)
    with result.told():
        changed = _ACTIONS[statement.subtype](parsed, domain, context, result)
    if changed is not domain:
        put_domain(changed, context)
    return result


def put_domain(domain: Domain, context: UtilityContext) -> None:
    """Write a changed domain, and the tables with values of it: who writes to them has to know it."""
    writer = CatalogWriter(context.transaction)
    tables = {table.oid: table for table, _ in _columns_of(domain, context.catalog)}
    put_all(context.catalog, [domain, *tables.values()], writer)


def _columns_of(domain: Domain, catalog: Catalog) -> Iterator[tuple[Table, Column]]:
    """Yield the columns of a domain, of its arrays, and of the domains over it."""
    for table in catalog.tables.values():
        for column in table.live_columns:
            found = catalog.domain_of(column.domain) if column.domain else None
            if found is not None and any(
                each.oid == domain.oid for each in lineage(found, catalog)
            ):
                yield table, column


def _default(
    parsed: ParsedStatement, domain: Domain, context: UtilityContext, result: UtilityResult
) -> Domain:
    del result
    node = parsed.node
    if not node.HasField("def"):
        return replace(domain, default=None, uses=())
    return DomainReader(parsed, context).with_default(domain, getattr(node, "def"))


def _drop_not_null(
    parsed: ParsedStatement, domain: Domain, context: UtilityContext, result: UtilityResult
) -> Domain:
    del parsed, context, result
    return replace(domain, not_null=False)


def _set_not_null(
    parsed: ParsedStatement, domain: Domain, context: UtilityContext, result: UtilityResult
) -> Domain:
    del parsed, result
    changed = replace(domain, not_null=True)
    if not domain.not_null:
        for table, column in _checkable(domain, context.catalog):
            if any(value is None for value in read_column(table, column, context)):
                message = f'column "{column.name}" of table "{table.name}" contains null values'
                raise SqlError("23502", message)
    return changed


def check_new_column(table: Table, column: Column, context: UtilityContext) -> None:
    """Raise what a new column's NULLs violate in the rows that there are, 0A000 for a domain's default."""
    catalog = context.catalog
    domain = catalog.domain_of(column.domain) if column.domain else None
    if domain is None or column.domain != domain.oid:
        return
    key = next(iter(table.live_columns), None)
    if key is None or next(read_column(table, key, context), _NO_ROW) is _NO_ROW:
        return
    if column_default(column, catalog) is not None:
        raise unsupported("adding a column of a domain with a default to a table with rows")
    coercion_of(domain, catalog, context.search_path)(context, None)


def checked_value(column: Column, value: Any, context: UtilityContext) -> Any:
    """Return a new column's value as its domain has it, if it is of one. Raises SqlError 23514, 23502."""
    catalog = context.catalog
    domain = catalog.domain_of(column.domain) if column.domain else None
    if domain is None or column.domain != domain.oid:
        return value
    return coercion_of(domain, catalog, context.search_path)(context, value)


_NO_ROW = object()


def _add(
    parsed: ParsedStatement, domain: Domain, context: UtilityContext, result: UtilityResult
) -> Domain:
    del result
    constraint = nodes.inner(getattr(parsed.node, "def"))
    check = DomainReader(parsed, context).check(domain, constraint)
    check = replace(check, oid=CatalogWriter(context.transaction).allocate_oid())
    if check.validated:
        _validate(domain, check, context)
    return replace(domain, checks=(*domain.checks, check))


def _validate(domain: Domain, check: DomainCheck, context: UtilityContext) -> None:
    """Raise SqlError 23514 if a value that is stored violates a constraint."""
    alone = replace(domain, base=0, not_null=False, checks=(check,))
    checks = coercion_of(alone, context.catalog, context.search_path)
    for table, column in _checkable(domain, context.catalog):
        for value in read_column(table, column, context):
            try:
                checks(context, value)
            except SqlError as error:
                if error.sqlstate != "23514":
                    raise
                message = (
                    f'column "{column.name}" of table "{table.name}" '
                    "contains values that violate the new constraint"
                )
                raise SqlError("23514", message) from None


def _checkable(domain: Domain, catalog: Catalog) -> list[tuple[Table, Column]]:
    """Return the columns of a domain. Raises SqlError 0A000 for arrays of it."""
    found = list(_columns_of(domain, catalog))
    for table, column in found:
        if column.domain not in catalog.domains_by_oid:
            name = f"{table.name}.{column.name}"
            message = f'cannot alter type "{domain.name}" because column "{name}" uses it'
            raise SqlError("0A000", message)
    return found


def _drop(
    parsed: ParsedStatement, domain: Domain, context: UtilityContext, result: UtilityResult
) -> Domain:
    del context
    kept = tuple(check for check in domain.checks if check.name != parsed.node.name)
    if kept != domain.checks:
        return replace(domain, checks=kept)
    text = _missing(parsed.node.name, ".".join(nodes.strings(parsed.node.type_name)))
    if not parsed.node.missing_ok:
        raise SqlError("42704", text)
    result.notice("00000", f"{text}, skipping")
    return domain


def _missing(name: str, domain: str) -> str:
    return f'constraint "{name}" of domain "{domain}" does not exist'


def _validate_constraint(
    parsed: ParsedStatement, domain: Domain, context: UtilityContext, result: UtilityResult
) -> Domain:
    del result
    check = _find_check(parsed.node.name, domain)
    if check.validated:
        return domain
    _validate(domain, check, context)
    return _with_check(domain, check, replace(check, validated=True))


def _find_check(name: str, domain: Domain) -> DomainCheck:
    for check in domain.checks:
        if check.name == name:
            return check
    raise SqlError("42704", _missing(name, domain.name))


def _with_check(domain: Domain, old: DomainCheck, new: DomainCheck) -> Domain:
    checks = tuple(new if check is old else check for check in domain.checks)
    return replace(domain, checks=checks)


_Action = Callable[[ParsedStatement, Domain, UtilityContext, UtilityResult], Domain]
_ACTIONS: dict[str, _Action] = {
    "T": _default,
    "N": _drop_not_null,
    "O": _set_not_null,
    "C": _add,
    "X": _drop,
    "V": _validate_constraint,
}


# ---------------------------------------------------------------- names


def _named(statement: Any, context: UtilityContext) -> Domain:
    item = statement.object
    names = item.list.items if nodes.kind(item) == "list" else item.type_name.names
    return require_domain(context, nodes.strings(names))


def rename_domain_requires(statement: Any, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what RENAME TO and RENAME CONSTRAINT need: to own the domain."""
    yield own_domain(context, _named(statement, context))


def rename_domain(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a RenameStmt of a domain or of a constraint of one."""
    domain, name = _named(statement, context), statement.newname
    if nodes.enum_name(statement, "rename_type") == "OBJECT_DOMCONSTRAINT":
        if all(other.name != statement.subname for other in domain.checks):
            message = f'constraint "{statement.subname}" for domain {domain.name} does not exist'
            raise SqlError("42704", message)
        check = _find_check(statement.subname, domain)
        if any(other.name == name for other in domain.checks):
            message = f'constraint "{name}" for domain {domain.name} already exists'
            raise SqlError("42710", message)
        put_domain(_with_check(domain, check, replace(check, name=name)), context)
        return UtilityResult(_TAG)
    refuse_taken_type(name, domain.schema, context)
    put_domain(replace(domain, name=name), context)
    return UtilityResult(_TAG)


def move_domain_requires(statement: Any, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what SET SCHEMA needs: a place in the new schema, and to own the domain."""
    owned = own_domain(context, _named(statement, context))
    yield creation_in(require_schema(context, statement.newschema))
    yield owned


def set_domain_schema(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run an AlterObjectSchemaStmt of a domain."""
    domain, schema = _named(statement, context), statement.newschema
    if schema != domain.schema:
        if (schema, domain.name) in context.catalog.domains:
            message = f'type "{domain.name}" already exists in schema "{schema}"'
            raise SqlError("42710", message)
        put_domain(replace(domain, schema=schema), context)
    return UtilityResult(_TAG)
