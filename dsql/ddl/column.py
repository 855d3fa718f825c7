"""Column types and stored expressions of a DDL statement, read off its nodes and checked by the binder."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from dsql.catalog.opclasses import written_class
from dsql.catalog.schema import CheckConstraint, Column, Domain, Table, Use
from dsql.ddl import nodes
from dsql.ddl.domain_names import check_type_usage, usable_domain
from dsql.ddl.naming import require_schema, unique_name
from dsql.ddl.rebuild import value_of
from dsql.ddl.result import UtilityContext
from dsql.ddl.sequence_options import Written
from dsql.errors import SqlError, unsupported
from dsql.functions.coercion import CastContext, find_cast
from dsql.limits import CHAR_BYTES_MAX, VARCHAR_BYTES_MAX
from dsql.sql.binder import ColumnExpression, bind_column_expression, bind_standalone
from dsql.sql.bound import ColumnRef, Expression
from dsql.sql.columns import volatility
from dsql.sql.domains import array_over
from dsql.sql.expression_text import expression_text
from dsql.sql.gate import ParsedStatement
from dsql.sql.stored_uses import expression_uses
from dsql.sql.tree import TreeBuilder, type_tree
from dsql.sql.type_names import resolve_type
from dsql.sql.walk import nodes as walk
from dsql.types import oids, registry
from dsql.types.type import Type
from dsql.types.typmod import format_type
from dsql.types.vector import VECTORS

_DSQL_NUMERIC_TYPMOD = (18 << 16 | 6) + 4  # a bare NUMERIC is numeric(18,6)
_DECLARED_BYTES_MAX = {
    oids.BPCHAR: (CHAR_BYTES_MAX, "char"),
    oids.VARCHAR: (VARCHAR_BYTES_MAX, "varchar"),
}
_VARHDRSZ = 4


@dataclass(slots=True)
class ColumnSource:
    """A column as written: `default` is the expression's node, `default_text` a ready text instead.

    `sequence` are the options of a sequence that is made for it, `identity` as in Column.
    """

    name: str
    type_oid: int
    typmod: int
    not_null: bool = False
    default: Any = None
    default_text: str | None = None
    default_uses: tuple[Use, ...] = ()
    generated: bool = False
    identity: str = ""
    sequence: Written | None = None
    domain: int = 0


class StatementExpressions:
    """Reads types and expressions of one DDL statement."""

    def __init__(self, statement: ParsedStatement, context: UtilityContext) -> None:
        self._statement = statement
        self._context = context
        self.position = statement.position

    @property
    def profile(self) -> str:
        """The session's profile."""
        return self._context.profile

    @property
    def asynchronous(self) -> bool:
        """Whether the statement has the word ASYNC."""
        return self._statement.asynchronous

    def operator_class(self, element: Any, type_oid: int) -> str:
        """Return what an index keeps of the operator class of a key. Raises 42704, 42804, 3F000."""
        if not element.opclass:
            return ""
        *schema, name = nodes.strings(element.opclass)
        if schema and schema != ["pg_catalog"]:
            require_schema(self._context, schema[-1])
            name = ".".join((*schema, name))
        if element.opclassopts:
            raise SqlError("22023", f"operator class {name} has no options")
        return written_class(name, type_oid)

    def written_domain(self, type_name: Any) -> Domain | None:
        """Return the domain that a TypeName node names, alone or as an array's elements.

        Raises SqlError 42501 without USAGE.
        """
        return usable_domain(self._context, nodes.strings(type_name.names))

    def column_domain(self, type_name: Any) -> int:
        """Return the OID of the domain, or of its array type, that a TypeName node names; 0 for none."""
        domain = self.written_domain(type_name)
        if domain is None:
            return 0
        return domain.array_oid if type_name.array_bounds else domain.oid

    def column_type(
        self, type_name: Any, *, pseudo: str = "column has pseudo-type {}"
    ) -> tuple[int, int]:
        """Return (type OID, typmod) of a TypeName node, of a domain what it is over.

        `pseudo` is what there is to say of a pseudo-type. Raises SqlError 42704, 42804, 42P16, 0A000
        `datatype x not supported`, 54000.
        """
        domain = self.written_domain(type_name)
        if domain is None:
            type_oid, typmod = resolve_type(type_tree(TreeBuilder(self._statement), type_name))
            check_type_usage(self._context, type_oid)
        elif type_name.array_bounds:
            type_oid, typmod = array_over(domain), domain.typmod
        else:
            type_oid, typmod = domain.type_oid, domain.typmod
        return self.checked_type(type_oid, typmod, pseudo=pseudo)

    def usable_type(self, type_oid: int, typmod: int) -> tuple[int, int]:
        """Return the type of a query's column as one of a relation. Raises as `column_type`."""
        check_type_usage(self._context, type_oid)
        return self.checked_type(type_oid, typmod)

    def checked_type(
        self, type_oid: int, typmod: int, *, pseudo: str = "column has pseudo-type {}"
    ) -> tuple[int, int]:
        """Return a type as a column has it, if it may. Raises as `column_type`."""
        kind = registry.get(type_oid)
        if kind.kind == "p":
            code = "42P16" if pseudo.startswith("column") else "42804"
            raise SqlError(code, pseudo.format(kind.sql_name))
        if not self._may_be_a_column(kind):
            raise unsupported(f"datatype {format_type(type_oid, typmod)} not supported")
        if self._context.profile == "dsql":
            if type_oid == oids.NUMERIC and typmod == -1:
                typmod = _DSQL_NUMERIC_TYPMOD
            limit = _DECLARED_BYTES_MAX.get(type_oid)
            if limit is not None and typmod - _VARHDRSZ > limit[0]:
                raise SqlError(
                    "54000",
                    f"Datatype limit greater than {limit[0]} bytes not supported for {limit[1]}",
                )
        return type_oid, typmod

    def _may_be_a_column(self, kind: Type) -> bool:
        """Tell whether a column may have a type: more, and arrays, outside the dsql profile."""
        if self._context.profile == "dsql":
            return kind.column_allowed
        if kind.element_oid and kind.oid not in VECTORS:
            kind = registry.get(kind.element_oid)
        return kind.column_allowed or kind.column_of_postgres

    def with_default(self, table: Table, column: Column, source: ColumnSource) -> Column:
        """Return the column with the default (or generation expression) of its source."""
        if source.default is None:
            return replace(column, default=source.default_text, uses=source.default_uses)
        clause = "column generation expressions" if source.generated else "DEFAULT expressions"
        bound = self._bind(source.default, ColumnExpression(clause, column), table)
        if source.generated and volatility(bound) != "i":
            raise SqlError("42P17", "generation expression is not immutable")
        text = expression_text(bound)
        if text.startswith("NULL::") and not column.domain:  # which may have a default
            return column
        uses = expression_uses(bound, table)
        return replace(column, default=text, generated=source.generated, uses=uses)

    def constant_default(self, table: Table, column: Column) -> tuple[Any] | None:
        """Return the value of a column's default as of now; None if each row has one of its own."""
        assert column.default is not None
        if column.generated:
            return None
        use = ColumnExpression("DEFAULT expressions", column)
        bound = self._bind_text(column.default, use, table)
        if volatility(bound) == "v":
            return None
        return (value_of(bound, self._context),)

    def can_assign(self, column: Column, typed: Column) -> bool:
        """Tell whether a column's values may be assigned to one of another type."""
        cast = find_cast(column.type_oid, typed.type_oid, CastContext.ASSIGNMENT)
        return column.type_oid == typed.type_oid or cast is not None

    def conversion(self, table: Table, typed: Column, node: Any) -> str | None:
        """Return the text of an expression over a table's columns that gives a column's new values.

        None if it has another type.
        """
        try:
            bound = self._bind(node, ColumnExpression("transform expressions", typed), table)
        except SqlError as error:
            if error.sqlstate != "42804":
                raise
            return None
        return expression_text(bound)

    def converted_default(self, column: Column, typed: Column) -> Column:
        """Return a column of another type with the default that it had. Raises SqlError 42804."""
        assert column.default is not None
        try:
            bound = self._bind_text(
                column.default, ColumnExpression("DEFAULT expressions", typed), None
            )
        except SqlError as error:
            if error.sqlstate != "42804":
                raise
            shown = format_type(typed.type_oid, typed.typmod)
            message = (
                f'default for column "{column.name}" cannot be cast automatically to type {shown}'
            )
            raise SqlError("42804", message) from None
        return replace(typed, default=expression_text(bound))

    def bound_anew(self, table: Table, number: int) -> Table:
        """Return a table with the expressions over a column whose type has changed, as they are now.

        Raises SqlError 42883 for one that is none any more.
        """
        read = Use(table.oid, number)

        def anew(text: str | None, clause: str, uses: tuple[Use, ...]) -> str | None:
            if text is None or read not in uses:
                return text
            return expression_text(self._bind_text(text, ColumnExpression(clause), table))

        checks = tuple(
            replace(check, expression=anew(check.expression, "check constraints", check.uses) or "")
            for check in table.checks
        )
        indexes = tuple(
            replace(
                index,
                predicate=anew(index.predicate, "index predicates", index.uses),
                columns=tuple(
                    replace(part, expression=anew(part.expression, "index expressions", index.uses))
                    for part in index.columns
                ),
            )
            for index in table.indexes
        )
        return replace(table, checks=checks, indexes=indexes)

    def _bind_text(self, text: str, use: ColumnExpression, table: Table | None) -> Expression:
        context = self._context
        return bind_column_expression(
            text, table, context.catalog, context.search_path, context.settings, use=use
        )

    def check(self, table: Table, node: Any, name: str, taken: Collection[str]) -> CheckConstraint:
        """Return a CHECK constraint without OID. Raises SqlError 42710 for a name that is taken.

        Without a name it is called after the only column that it uses, if there is just one.
        """
        bound = self._bind(node, ColumnExpression("check constraints"), table)
        used = {node.name for node, _ in walk(bound) if isinstance(node, ColumnRef)}
        column = used.pop() if len(used) == 1 else ""
        name = name or unique_name(table.name, column, "check", taken)
        if name in taken:
            message = f'constraint "{name}" for relation "{table.name}" already exists'
            raise SqlError("42710", message)
        return CheckConstraint(0, name, expression_text(bound), uses=expression_uses(bound, table))

    def predicate(self, table: Table, node: Any) -> tuple[str, tuple[Use, ...]]:
        """Return the text of a partial index's predicate, and what it reads."""
        bound = self._bind(node, ColumnExpression("index predicates"), table)
        if volatility(bound) != "i":
            raise SqlError("42P17", "functions in index predicate must be marked IMMUTABLE")
        return expression_text(bound), expression_uses(bound, table)

    def index_expression(self, table: Table, node: Any) -> tuple[str, int, tuple[Use, ...]]:
        """Return (text, type OID, what it reads) of an index key that is an expression."""
        bound = self._bind(node, ColumnExpression("index expressions"), table)
        if volatility(bound) != "i":
            raise SqlError("42P17", "functions in index expression must be marked IMMUTABLE")
        return expression_text(bound), bound.type_oid, expression_uses(bound, table)

    def statistics_expression(self, table: Table, node: Any) -> tuple[str, int, tuple[Use, ...]]:
        """Return (text, type OID, what it reads) of an expression that statistics are on."""
        bound = self._bind(node, ColumnExpression("statistics expressions"), table)
        return expression_text(bound), bound.type_oid, expression_uses(bound, table)

    def _bind(self, node: Any, use: ColumnExpression, table: Table) -> Expression:
        context = self._context
        return bind_standalone(
            self._statement,
            node,
            context.catalog,
            context.search_path,
            context.settings,
            use=use,
            table=table,
        )
