"""What DDL does with temporary tables in its own transaction, and with others in a job.

Nobody else sees them, so nobody has to be waited for.
"""

from __future__ import annotations

from msgspec.structs import replace

from dsql.catalog.dependencies import PG_CLASS, Address, closure
from dsql.catalog.schema import Index, Table
from dsql.catalog.store import CatalogWriter
from dsql.ddl.rebuild import copy_program, index_build_program, run_on_all
from dsql.ddl.removal import give_up, keyspaces_of, remove
from dsql.ddl.result import UtilityContext
from dsql.ddl.table_limits import check_index_count
from dsql.errors import SqlError


def build_index(
    index: Index, table: Table, context: UtilityContext, writer: CatalogWriter
) -> Table:
    """Return the table with a built `Index` value (without OID), which has an entry for every row.

    Raises SqlError 23505 for rows that a unique index does not allow.
    """
    check_index_count(len(table.indexes) + 1)
    index = replace(index, oid=writer.allocate_oid())
    table = replace(table, indexes=(*table.indexes, index))
    program = index_build_program(table, index, context.catalog)
    try:
        run_on_all(program, table, context)
    except SqlError as error:
        raise _duplicates(error) from None
    return table


def copy_rows(table: Table, target: Table, using: dict[int, str], context: UtilityContext) -> None:
    """Put the rows of a table into the keyspaces of its new form, and give up the old ones.

    `using` are expressions for columns by number. Raises SqlError 23505 or 23502 for rows that a new key
    does not allow, and what the expressions raise.
    """
    try:
        program = copy_program(table, target, context.catalog, using, context.settings)
        run_on_all(program, table, context)
    except SqlError as error:
        if error.sqlstate == "23502":
            error.message = (
                f'column "{error.column}" of relation "{table.name}" contains null values'
            )
            error.detail = ""
        raise _duplicates(error) from None
    give_up(context.transaction, keyspaces_of(table), context.statement_timestamp)


def _duplicates(error: SqlError) -> SqlError:
    if error.sqlstate == "23505":
        error.message = f'could not create unique index "{error.constraint}"'
        error.detail = error.detail.replace("already exists.", "is duplicated.")
    return error


def drop_temporary_tables(context: UtilityContext) -> None:
    """Drop whatever the session has in its temporary schema."""
    catalog = context.catalog
    assert catalog.temporary is not None, "who has none has nothing to drop"
    targets = [Address(PG_CLASS, table.oid) for table in catalog.tables_in(catalog.temporary.name)]
    gone = {dropped.address for dropped in closure(catalog, targets)}
    remove(gone, catalog, context, CatalogWriter(context.transaction))
