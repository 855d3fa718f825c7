"""CREATE TABLE: column definitions and constraints to a Table value and its catalog rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from dsql.access.default_acls import initial_acl
from dsql.access.privileges import Kind, Privilege
from dsql.access.requirements import Requirement, privilege_on
from dsql.catalog.schema import (
    CheckConstraint,
    Column,
    Index,
    IndexColumn,
    OnCommit,
    Schema,
    Table,
    is_temporary_schema,
)
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.column import ColumnSource, StatementExpressions
from dsql.ddl.foreign_keys import (
    add_foreign_key,
    foreign_key_nodes,
    references_requires,
    with_attributes,
)
from dsql.ddl.identity import (
    check_counting,
    counting_column,
    make_column_sequence,
    serial_type,
)
from dsql.ddl.lacking_names import type_of
from dsql.ddl.like_clause import Like, read_like, with_copies
from dsql.ddl.naming import (
    find_relation,
    missing_relation,
    refuse_system_name,
    refuse_type_name,
    relation_creation,
    relation_schema,
    taken_names,
    unique_name,
)
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.storage_options import read_storage_option
from dsql.ddl.table_elements import read_column_constraint
from dsql.ddl.table_limits import (
    check_column_count,
    check_index_count,
    check_key,
    no_key_column,
)
from dsql.ddl.view_options import set_options
from dsql.errors import SqlError, unsupported
from dsql.limits import TABLES_MAX
from dsql.sql.gate import ParsedStatement
from dsql.sql.refusals_ddl import check_table_clauses
from dsql.types import registry


@dataclass(slots=True)
class _Key:
    """A PRIMARY KEY or UNIQUE constraint as written."""

    primary: bool
    name: str
    columns: list[str]
    include: list[str]
    nulls_not_distinct: bool


@dataclass(slots=True)
class _Check:
    name: str
    expression: Any


@dataclass(slots=True)
class _Definition:
    """What the table elements say, before names and types are checked against each other."""

    columns: list[ColumnSource] = field(default_factory=list)
    keys: list[_Key] = field(default_factory=list)
    checks: list[_Check] = field(default_factory=list)
    references: list[Any] = field(default_factory=list)  # FOREIGN KEY constraints' nodes
    likes: list[Like] = field(default_factory=list)
    options: tuple[tuple[str, str], ...] = ()


def create_table_requires(
    parsed: ParsedStatement, context: UtilityContext
) -> Iterator[Requirement]:
    """Yield what a CreateStmt needs: a place in the schema, and to read what it is made LIKE."""
    statement = parsed.node
    yield relation_creation(context, statement.relation)
    for element in statement.table_elts:
        if nodes.kind(element) == "table_like_clause":
            source = find_relation(context, nodes.inner(element).relation)
            if isinstance(source, Table):
                yield privilege_on(source, Privilege.SELECT)
    for constraint in foreign_key_nodes(statement.table_elts):
        yield from references_requires(constraint, context)


def create_table(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run a CreateStmt."""
    statement = parsed.node
    result = UtilityResult("CREATE TABLE")
    name = statement.relation.relname
    schema = relation_schema(context, statement.relation)
    on_commit = read_on_commit(nodes.enum_name(statement, "oncommit"), schema)
    if statement.if_not_exists and name in taken_names(context, schema.name):
        result.notice("42P07", f'relation "{name}" already exists, skipping')
        return result
    tables = sum(table.kind == "r" for table in context.catalog.tables.values())
    if context.profile == "dsql" and tables >= TABLES_MAX:
        raise SqlError("54000", f"creating more than {TABLES_MAX} tables not allowed")
    expressions = StatementExpressions(parsed, context)
    definition = _read_elements(parsed, context, expressions)
    _check_parents(statement, context)
    check_table_clauses(statement, lenient=True)
    definition.options = set_options((), statement.options, read_storage_option)
    _Builder(context, expressions, schema, name, definition, on_commit).build()
    return result


def _check_keys(table: Table) -> None:
    if sum(index.primary for index in table.indexes) > 1:
        message = f'multiple primary keys for table "{table.name}" are not allowed'
        raise SqlError("42P16", message)


def read_on_commit(action: str, schema: Schema) -> OnCommit:
    """Return what ON COMMIT asks for, of a table in a schema. Raises SqlError 42P16 if it is permanent."""
    found = _ON_COMMIT.get(action)
    if found is not None and not is_temporary_schema(schema.name):
        raise SqlError("42P16", "ON COMMIT can only be used on temporary tables")
    return found or OnCommit.PRESERVE


_ON_COMMIT = {
    "ONCOMMIT_PRESERVE_ROWS": OnCommit.PRESERVE,
    "ONCOMMIT_DELETE_ROWS": OnCommit.DELETE_ROWS,
    "ONCOMMIT_DROP": OnCommit.DROP,
}


def _check_parents(statement: Any, context: UtilityContext) -> None:
    """Miss the tables that a table inherits from or is a partition of, and the type that it is OF."""
    for wrapped in statement.inh_relations:
        relation = nodes.inner(wrapped)
        if find_relation(context, relation) is None:
            raise missing_relation(relation)
        if statement.HasField("partbound"):
            raise SqlError("42P17", f'"{relation.relname}" is not partitioned')
    if statement.HasField("of_typename"):
        name = registry.get(type_of(statement.of_typename)).sql_name
        raise SqlError("42809", f"type {name} is not a composite type")


def _read_elements(
    parsed: ParsedStatement, context: UtilityContext, expressions: StatementExpressions
) -> _Definition:
    definition = _Definition()
    for element in parsed.node.table_elts:
        item = nodes.inner(element)
        match nodes.kind(element):
            case "column_def":
                _read_column(item, definition, parsed, expressions)
            case "constraint":
                _read_constraint(item, definition, "")
            case "table_like_clause":
                _read_like(item, definition, context)
            case other:
                raise unsupported(f"{other} not supported for CREATE TABLE")
    return definition


def _read_column(
    item: Any, definition: _Definition, parsed: ParsedStatement, expressions: StatementExpressions
) -> None:
    if not item.HasField("type_name"):
        return  # of a typed table or a partition, which is refused
    serial = serial_type(item.type_name)
    type_oid, typmod = (serial, -1) if serial else expressions.column_type(item.type_name)
    column = ColumnSource(item.colname, type_oid, typmod, sequence={} if serial else None)
    column.domain = 0 if serial else expressions.column_domain(item.type_name)
    definition.columns.append(column)
    table, says_null = parsed.node.relation.relname, False
    for constraint in with_attributes([nodes.inner(wrapped) for wrapped in item.constraints]):
        if not read_column_constraint(column, constraint, table, parsed.position):
            _read_constraint(constraint, definition, column.name)
        says_null |= nodes.enum_name(constraint, "contype") == "CONSTR_NULL"
    check_counting(column, table, says_null=says_null)


def _read_constraint(constraint: Any, definition: _Definition, column: str) -> None:
    match nodes.enum_name(constraint, "contype"):
        case "CONSTR_PRIMARY" | "CONSTR_UNIQUE" as contype:
            if constraint.deferrable:
                raise unsupported("DEFERRABLE is supported for FOREIGN KEY constraints only")
            key = _Key(
                contype == "CONSTR_PRIMARY",
                constraint.conname,
                nodes.strings(constraint.keys) or [column],
                nodes.strings(constraint.including),
                constraint.nulls_not_distinct,
            )
            definition.keys.append(key)
        case "CONSTR_CHECK":
            definition.checks.append(_Check(constraint.conname, constraint.raw_expr))
        case "CONSTR_FOREIGN":
            definition.references.append(_reference(constraint, column))
        case "CONSTR_EXCLUSION":
            raise unsupported("EXCLUDE constraints are not supported")
        case other:
            raise unsupported(f"{other.removeprefix('CONSTR_')} constraints are not supported")


def _reference(constraint: Any, column: str) -> Any:
    """Return a FOREIGN KEY that names its columns, as one of a column does not."""
    if not column:
        return constraint
    named = type(constraint)()
    named.CopyFrom(constraint)
    named.fk_attrs.add().string.sval = column
    return named


def _read_like(clause: Any, definition: _Definition, context: UtilityContext) -> None:
    like = read_like(clause, context)
    definition.columns += like.columns(context)
    definition.likes.append(like)


def make_table(
    context: UtilityContext,
    expressions: StatementExpressions,
    schema: Schema,
    name: str,
    columns: list[ColumnSource],
    on_commit: OnCommit,
) -> Table:
    """Write and return a table of the user's with columns and nothing else."""
    return _Builder(context, expressions, schema, name, _Definition(columns), on_commit).build()


class _Builder:
    """Turns a definition into catalog rows."""

    def __init__(
        self,
        context: UtilityContext,
        expressions: StatementExpressions,
        schema: Schema,
        name: str,
        definition: _Definition,
        on_commit: OnCommit,
    ) -> None:
        self._context = context
        self._expressions = expressions
        self._schema = schema
        self._name = name
        self._definition = definition
        self._on_commit = on_commit
        local = is_temporary_schema(schema.name)
        self._writer = CatalogWriter(context.transaction, local=local)
        self._taken = taken_names(context, schema.name)
        self._constraint_names: set[str] = set()

    def build(self) -> Table:
        """Check, write and return the table."""
        self._check_columns()
        oid = self._writer.allocate_oid()
        keys = sorted(self._definition.keys, key=lambda key: not key.primary)
        if self._name in self._taken:
            raise SqlError("42P07", f'relation "{self._name}" already exists')
        refuse_type_name(self._name, self._schema.name, self._context)
        self._taken.add(self._name)
        indexes = tuple(self._index(key) for key in keys)
        check_index_count(len(indexes))
        table = Table(
            oid=oid,
            schema=self._schema.name,
            name=self._name,
            owner_oid=self._context.user.oid,
            columns=self._columns(),
            indexes=indexes,
            options=self._definition.options,
            row_type_oid=self._writer.allocate_oid(),
            acl=initial_acl(
                self._context.catalog, Kind.TABLE, self._context.user.oid, self._schema.oid
            ),
            on_commit=self._on_commit,
        )
        table = self._with_sequences(self._with_expressions(table))
        for like in self._definition.likes:
            table = with_copies(table, like, self._writer, self._taken)
        _check_keys(table)
        self._writer.claim_name(self._schema.name, self._name)
        for constraint in self._definition.references:
            table = add_foreign_key(table, constraint, self._context, self._writer, validated=True)
        return self._writer.put_table(table)

    def _check_columns(self) -> None:
        seen: set[str] = set()
        for column in self._definition.columns:
            if column.name in seen:
                raise SqlError("42701", f'column "{column.name}" specified more than once')
            refuse_system_name(column.name)
            seen.add(column.name)
        keyed = any(key.primary for key in self._definition.keys)
        check_column_count(len(seen), keyed=keyed)

    def _columns(self) -> tuple[Column, ...]:
        primary = next((key for key in self._definition.keys if key.primary), None)
        key_columns = set(primary.columns) if primary else set()
        return tuple(
            Column(
                name=column.name,
                number=number,
                type_oid=column.type_oid,
                typmod=column.typmod,
                not_null=column.not_null or column.name in key_columns,
                generated=column.generated,
                domain=column.domain,
            )
            for number, column in enumerate(self._definition.columns, 1)
        )

    def _index(self, key: _Key) -> Index:
        label = "pkey" if key.primary else "key"
        middle = "" if key.primary else "_".join((*key.columns, *key.include))
        name = key.name or unique_name(self._name, middle, label, self._taken)
        if name in self._taken:
            raise SqlError("42P07", f'relation "{name}" already exists')
        self._taken.add(name)
        columns = [self._key_column(column, key) for column in key.columns]
        check_key(
            [(column, part.type_oid) for column, part in zip(key.columns, columns, strict=True)],
            self._context.profile,
            primary=key.primary,
        )
        self._writer.claim_name(self._schema.name, name)
        return Index(
            oid=self._writer.allocate_oid(),
            name=name,
            columns=tuple(columns),
            unique=True,
            primary=key.primary,
            nulls_not_distinct=key.nulls_not_distinct,
            include=tuple(self._number(column, key) for column in key.include),
            constraint=name,
            constraint_oid=self._writer.allocate_oid(),
        )

    def _key_column(self, name: str, key: _Key) -> IndexColumn:
        number = self._number(name, key)
        return IndexColumn(number, type_oid=self._definition.columns[number - 1].type_oid)

    def _number(self, name: str, key: _Key) -> int:
        for number, column in enumerate(self._definition.columns, 1):
            if column.name == name:
                return number
        raise no_key_column(name, primary=key.primary)

    def _with_expressions(self, table: Table) -> Table:
        """Return the table with its defaults and checks, which are bound against its columns."""
        columns = tuple(
            self._expressions.with_default(table, column, source)
            for column, source in zip(table.columns, self._definition.columns, strict=True)
        )
        checks = tuple(self._check(table, check) for check in self._definition.checks)
        return replace(table, columns=columns, checks=checks)

    def _with_sequences(self, table: Table) -> Table:
        """Return the table with the sequences of its columns, which are made here."""
        counting = []
        for column, source in zip(table.columns, self._definition.columns, strict=True):
            if source.sequence is not None:
                sequence = make_column_sequence(
                    self._context, self._writer, self._schema, self._name, source,
                    (table.oid, column.number), taken=self._taken,
                )  # fmt: skip
                counting.append(counting_column(column, source, sequence))
        return table.with_columns(counting)

    def _check(self, table: Table, check: _Check) -> CheckConstraint:
        made = self._expressions.check(table, check.expression, check.name, self._constraint_names)
        self._constraint_names.add(made.name)
        return replace(made, oid=self._writer.allocate_oid())
