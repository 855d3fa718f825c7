"""CREATE DOMAIN, and what ALTER DOMAIN shares with it: constraints and defaults read off a statement."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from msgspec.structs import replace

from dsql.access.default_acls import initial_acl
from dsql.access.privileges import Kind
from dsql.access.requirements import Requirement, creation_in
from dsql.catalog.schema import Column, Domain, DomainCheck, Schema, Table, Use
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.column import StatementExpressions
from dsql.ddl.naming import schema_for, unique_name
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.errors import SqlError
from dsql.sql.binder import ColumnExpression, bind_standalone
from dsql.sql.domains import row_of_value, value_in_capitals
from dsql.sql.expression_text import expression_text
from dsql.sql.gate import ParsedStatement
from dsql.sql.stored_uses import expression_uses
from dsql.types import oids, registry

_IMPOSSIBLE = {
    "CONSTR_UNIQUE": "unique",
    "CONSTR_PRIMARY": "primary key",
    "CONSTR_EXCLUSION": "exclusion",
    "CONSTR_FOREIGN": "foreign key",
}
_COLLATABLE = (oids.TEXT, oids.VARCHAR, oids.BPCHAR, oids.NAME)


def create_domain_requires(
    parsed: ParsedStatement, context: UtilityContext
) -> Iterator[Requirement]:
    """Yield what a CreateDomainStmt needs: a place in the schema."""
    yield creation_in(_schema(parsed.node, context))


def _schema(statement: Any, context: UtilityContext) -> Schema:
    names = nodes.strings(statement.domainname)
    return schema_for(context, names)


def create_domain(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run a CreateDomainStmt."""
    statement = parsed.node
    schema, name = _schema(statement, context), nodes.strings(statement.domainname)[-1]
    refuse_taken_type(name, schema.name, context)
    writer = CatalogWriter(context.transaction)
    domain = _unconstrained(parsed, schema, name, context)
    domain = replace(domain, oid=writer.allocate_oid(), array_oid=writer.allocate_oid())
    reader = DomainReader(parsed, context)
    saw_null: bool | None = None
    for wrapped in statement.constraints:
        constraint = nodes.inner(wrapped)
        kind = nodes.enum_name(constraint, "contype")
        if kind in ("CONSTR_NOTNULL", "CONSTR_NULL"):
            if saw_null not in (None, kind == "CONSTR_NULL"):
                raise SqlError("42601", "conflicting NULL/NOT NULL constraints")
            saw_null = kind == "CONSTR_NULL"
            domain = replace(domain, not_null=not saw_null)
        elif kind == "CONSTR_DEFAULT":
            if domain.default is not None:
                raise SqlError("42601", "multiple default expressions")
            domain = reader.with_default(domain, constraint.raw_expr)
        else:
            check = reader.check(domain, constraint)
            check = replace(check, oid=writer.allocate_oid())
            domain = replace(domain, checks=(*domain.checks, check))
    writer.put_domain(domain)
    return UtilityResult("CREATE DOMAIN")


def _unconstrained(
    parsed: ParsedStatement, schema: Schema, name: str, context: UtilityContext
) -> Domain:
    """Return a domain of a name over the type that the statement names, without OIDs."""
    statement = parsed.node
    expressions = StatementExpressions(parsed, context)
    base = expressions.written_domain(statement.type_name)
    type_oid, typmod = expressions.column_type(
        statement.type_name, pseudo='"{}" is not a valid base type for a domain'
    )
    if statement.HasField("coll_clause"):
        _check_collation(statement.coll_clause, type_oid, parsed)
    return Domain(
        oid=0,
        schema=schema.name,
        name=name,
        owner_oid=context.user.oid,
        type_oid=type_oid,
        typmod=typmod,
        base=base.oid if base is not None else 0,
        acl=initial_acl(context.catalog, Kind.DOMAIN, context.user.oid, schema.oid),
    )


def _check_collation(clause: Any, type_oid: int, parsed: ParsedStatement) -> None:
    position = parsed.position(clause.location)
    if type_oid not in _COLLATABLE:
        word = registry.get(type_oid).sql_name
        message = f"collations are not supported by type {word}"
        raise SqlError("42804", message, position=position)
    name = nodes.strings(clause.collname)[-1]
    if name not in ("C", "POSIX", "default", "ucs_basic"):
        message = f'collation "{name}" for encoding "UTF8" does not exist'
        raise SqlError("42704", message, position=position)


def refuse_taken_type(name: str, schema: str, context: UtilityContext) -> None:
    """Raise SqlError 42710 if a domain, an enum or a relation's row type has a name already."""
    catalog = context.catalog
    table = catalog.tables.get((schema, name))
    if (schema, name) in {**catalog.domains, **catalog.user_types, **catalog.multiranges} or (
        table is not None and table.row_type_oid
    ):
        raise SqlError("42710", f'type "{name}" already exists')


class DomainReader:
    """Reads what a statement says of a domain's values."""

    def __init__(self, parsed: ParsedStatement, context: UtilityContext) -> None:
        self._parsed = parsed
        self._context = context

    def with_default(self, domain: Domain, node: Any) -> Domain:
        """Return the domain with a default. Raises SqlError 42804."""
        column = Column(domain.name, 1, domain.type_oid, domain.typmod)
        bound = self._bind(node, ColumnExpression("DEFAULT expressions", column), None)
        text, table = expression_text(bound), row_of_value(domain)
        if text.startswith("NULL::"):
            return replace(domain, default=None, uses=())
        return replace(domain, default=text, uses=_without_value(expression_uses(bound, table)))

    def check(self, domain: Domain, constraint: Any) -> DomainCheck:
        """Return a CHECK constraint without an OID. Raises SqlError 42601, 42710 and others."""
        kind = nodes.enum_name(constraint, "contype")
        if kind in _IMPOSSIBLE:
            message = f"{_IMPOSSIBLE[kind]} constraints not possible for domains"
            raise SqlError("42601", message)
        if kind != "CONSTR_CHECK":
            message = "specifying constraint deferrability not supported for domains"
            raise SqlError("0A000", message)
        if constraint.is_no_inherit:
            message = "check constraints for domains cannot be marked NO INHERIT"
            raise SqlError("42P16", message)
        taken = {check.name for check in domain.checks}
        name = _check_name(constraint.conname, domain, taken)
        table = row_of_value(domain)
        bound = self._bind(constraint.raw_expr, ColumnExpression("check constraints"), table)
        text = value_in_capitals(expression_text(bound))
        uses = _without_value(expression_uses(bound, table))
        return DomainCheck(0, name, text, not constraint.skip_validation, uses)

    def _bind(self, node: Any, use: ColumnExpression, table: Table | None) -> Any:
        context = self._context
        return bind_standalone(
            self._parsed,
            node,
            context.catalog,
            context.search_path,
            context.settings,
            use=use,
            table=table,
        )


def _check_name(name: str, domain: Domain, taken: Collection[str]) -> str:
    if name in taken:
        message = f'constraint "{name}" for domain "{domain.name}" already exists'
        raise SqlError("42710", message)
    return name or unique_name(domain.name, "", "check", taken)


def _without_value(uses: Collection[Use]) -> tuple[Use, ...]:
    return tuple(use for use in uses if use.oid)
