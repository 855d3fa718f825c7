"""CREATE SEQUENCE and ALTER SEQUENCE: options and OWNED BY to a Table value of kind S, and its counter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from dsql.access.default_acls import initial_acl
from dsql.access.privileges import Kind
from dsql.access.requirements import Requirement
from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import Schema, SequenceOptions, Table, is_temporary_schema
from dsql.catalog.store import CatalogWriter
from dsql.catalog.virtual import VirtualTable
from dsql.ddl.lacking_names import Name
from dsql.ddl.naming import (
    find_any,
    missing_relation,
    missing_text,
    ownership,
    relation_creation,
    relation_schema,
    require_column,
    require_table,
    taken_names,
)
from dsql.ddl.removal import forget_rows
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.sequence_options import Written, changed_sequence, new_sequence, read_options
from dsql.errors import SqlError, unsupported
from dsql.limits import SEQUENCES_MAX
from dsql.sequences import counter
from dsql.sequences.counter import Counter, counter_key
from dsql.sequences.server import read
from dsql.sql.gate import ParsedStatement
from dsql.transaction.interface import Mode

_OWNED_BY = "owned_by"


# ---------------------------------------------------------------- CREATE


def create_sequence_requires(
    parsed: ParsedStatement, context: UtilityContext
) -> Iterator[Requirement]:
    """Yield what a CreateSeqStmt needs: a place in the schema, for options that a sequence may have."""
    if not parsed.node.if_not_exists:
        new_sequence(read_options(parsed.node.options, parsed.position), for_identity=False)
    yield relation_creation(context, parsed.node.sequence)


def create_sequence(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run a CreateSeqStmt."""
    statement = parsed.node
    result = UtilityResult("CREATE SEQUENCE")
    persistence = statement.sequence.relpersistence
    if persistence == "u" or (persistence == "t" and context.profile == "dsql"):
        kind = "TEMPORARY" if persistence == "t" else "UNLOGGED"
        raise unsupported(f"{kind} not supported for CREATE SEQUENCE")
    name = statement.sequence.relname
    schema = relation_schema(context, statement.sequence)
    taken = name in taken_names(context, schema.name)
    if statement.if_not_exists and taken:
        result.notice("42P07", f'relation "{name}" already exists, skipping')
        return result
    written = read_options(statement.options, parsed.position)
    options, first = new_sequence(written, for_identity=False)
    if taken:
        raise SqlError("42P07", f'relation "{name}" already exists')
    writer = CatalogWriter(context.transaction, local=is_temporary_schema(schema.name))
    sequence = make_sequence(context, writer, schema, name, options, first)
    if written.get(_OWNED_BY):
        sequence = _owned_by(sequence, written[_OWNED_BY], context)
        writer.put_table(sequence)
    return result


def make_sequence(
    context: UtilityContext,
    writer: CatalogWriter,
    schema: Schema,
    name: str,
    options: SequenceOptions,
    first: Counter,
    *,
    owner_oid: int = 0,
) -> Table:
    """Write a new sequence of the user's, or of a table's owner's. Raises SqlError 54000 for too many."""
    if context.profile == "dsql":
        count = sum(table.kind == "S" for table in context.catalog.tables.values())
        if count >= SEQUENCES_MAX:
            message = f"creating more than {SEQUENCES_MAX} sequences is not allowed"
            raise SqlError("54000", message)
    owner_oid = owner_oid or context.user.oid
    sequence = Table(
        oid=writer.allocate_oid(),
        schema=schema.name,
        name=name,
        owner_oid=owner_oid,
        columns=counter.COLUMNS,
        kind="S",
        acl=initial_acl(context.catalog, Kind.SEQUENCE, owner_oid, schema.oid),
        sequence=options,
    )
    writer.claim_name(schema.name, name)
    begin_counter(context, sequence, first)
    return writer.put_table(sequence)


def begin_counter(context: UtilityContext, sequence: Table, first: Counter) -> None:
    """Write a sequence's first counter in the keyspace that it has from this transaction on."""
    encoded = counter.encode(first)
    context.transaction.put(counter_key(sequence), encoded, Mode.EXCLUSIVE)


# ---------------------------------------------------------------- OWNED BY


def _owned_by(sequence: Table, names: list[str], context: UtilityContext) -> Table:
    """Return a sequence that belongs to the column of a name, or to none."""
    options = sequence.sequence
    assert options is not None, "a sequence"
    owner = None if names == ["none"] else _column(sequence, names, context)
    if options.is_identity:
        raise linked(sequence, context, "cannot change ownership of identity sequence")
    return replace(sequence, sequence=replace(options, owner=owner))


def _column(sequence: Table, names: list[str], context: UtilityContext) -> tuple[int, int]:
    if len(names) == 1:
        hint = "Specify OWNED BY table.column or OWNED BY NONE."
        raise SqlError("42601", "invalid OWNED BY option", hint=hint)
    relation = Name(names[:-1])
    table = find_any(context, relation)
    if table is None:
        raise missing_relation(relation)
    if isinstance(table, tuple) or table.kind == "S":
        message = f'sequence cannot be owned by relation "{relation.relname}"'
        raise SqlError("42809", message, detail=_not_supported(table))
    if isinstance(table, VirtualTable) or table.owner_oid != sequence.owner_oid:
        raise SqlError("55000", "sequence must have same owner as table it is linked to")
    if table.schema != sequence.schema:
        raise SqlError("55000", "sequence must be in same schema as table it is linked to")
    return table.oid, require_column(table, names[-1]).number


def _not_supported(found: Any) -> str:
    kinds = "indexes" if isinstance(found, tuple) else "sequences"
    return f"This operation is not supported for {kinds}."


def linked(sequence: Table, context: UtilityContext, message: str) -> SqlError:
    """Return the error (0A000) of what cannot be done with a sequence that a column owns."""
    assert sequence.sequence is not None, "a sequence"
    assert sequence.sequence.owner is not None, "a column's"
    table = context.catalog.tables_by_oid[sequence.sequence.owner[0]]
    detail = f'Sequence "{sequence.name}" is linked to table "{table.name}".'
    return SqlError("0A000", message, detail=detail)


def owned_sequences(table: Table, catalog: Catalog) -> list[Table]:
    """Return the sequences of a table's columns, which go where it goes."""
    return [
        sequence
        for column in table.live_columns
        for sequence in catalog.sequences_of(table.oid, column.number)
    ]


# ---------------------------------------------------------------- ALTER


def alter_sequence_requires(
    parsed: ParsedStatement, context: UtilityContext
) -> Iterator[Requirement]:
    """Yield what an AlterSeqStmt needs: to own the sequence. Raises SqlError 42P01, 3F000, 42809."""
    statement = parsed.node
    found = find_any(context, statement.sequence, missing_ok=statement.missing_ok)
    if found is not None:
        yield ownership(found)
        require_table(context, statement.sequence, "S")
    elif not statement.missing_ok:
        raise missing_relation(statement.sequence)


def alter_sequence(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run an AlterSeqStmt."""
    statement = parsed.node
    result = UtilityResult("ALTER SEQUENCE")
    if find_any(context, statement.sequence, missing_ok=statement.missing_ok) is None:
        result.notice("00000", missing_text(statement.sequence))
        return result
    sequence = require_table(context, statement.sequence, "S")
    written = read_options(statement.options, parsed.position)
    owner = written.pop(_OWNED_BY, None)
    writer = CatalogWriter(context.transaction, local=sequence.is_temporary)
    if written:
        sequence = with_options(sequence, written, context, writer)
    if owner:
        sequence = _owned_by(sequence, owner, context)
    writer.put_table(sequence)
    return result


def with_options(
    sequence: Table, written: Written, context: UtilityContext, writer: CatalogWriter
) -> Table:
    """Return a sequence with other options, whose counter goes on in another keyspace.

    So nobody uses values that were cached before; whoever takes some until this commits makes it fail.
    """
    options, transaction = sequence.sequence, context.transaction
    assert options is not None, "a sequence"
    before = read(transaction, sequence)
    assert before is not None, "every sequence has a counter"
    if "restart" not in written:
        transaction.check(counter_key(sequence), Mode.EXCLUSIVE)
    changed, after = changed_sequence(written, options, before)
    forget_rows(transaction, [sequence.keyspace_id])
    sequence = replace(sequence, sequence=changed, keyspace=writer.allocate_oid())
    begin_counter(context, sequence, after)
    return sequence


def restarted(sequence: Table, context: UtilityContext, writer: CatalogWriter) -> Table:
    """Write and return a sequence that begins again with its START value."""
    return writer.put_table(with_options(sequence, {"restart": None}, context, writer))
