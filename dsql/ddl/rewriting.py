"""Replacing all rows of a table: for a primary key, which is their order, or for a column of another type.

The first transaction freezes the table: writers that started before carry the older version of the table
and fail with OC001, later ones are refused. A job then copies the rows to other keyspaces, in many
transactions, and puts the target into the table's place in the last one. Until then, in the same block too,
the table is as it was. What alters it once more before the copy has begun alters the target.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from dsql.catalog.jobs import Job, new_job, read_jobs, write_job
from dsql.catalog.schema import Column, Table
from dsql.catalog.store import CatalogWriter
from dsql.ddl.result import UtilityContext
from dsql.ddl.temporary_tables import copy_rows
from dsql.errors import SqlError


def pending_rewrite(table: Table, context: UtilityContext) -> Job | None:
    """Return the job that replaces a table's rows, None for none. Raises SqlError 55006 once it copies."""
    if not table.frozen:
        return None
    for job in read_jobs(context.transaction):
        if job.job_type == "REWRITE" and job.table_oid == table.oid and job.status == "submitted":
            return job
    message = f'cannot alter table "{table.name}" while its rows are being replaced'
    raise SqlError("55006", message)


def target_of(job: Job) -> Table:
    """Return the table that a job ends with."""
    return msgspec.msgpack.decode(job.target, type=Table)


def submit_rewrite(
    before: Table,
    target: Table,
    using: dict[int, str],
    pending: Job | None,
    context: UtilityContext,
    writer: CatalogWriter,
) -> None:
    """Freeze a table, and have its rows be copied to `target`, with `using` for columns by number.

    Those of a temporary table, which nobody else writes, are copied now.
    """
    if before.is_temporary:
        target = writer.put_table(_in_new_keyspaces(target, writer))
        copy_rows(before, target, using, context)
        context.forget_catalog()
        return
    job = pending or new_job("REWRITE", context.statement_timestamp)
    new_keys = [index for index in target.indexes if index not in before.indexes]
    job.table_oid = job.object_oid = before.oid
    job.object_name = f"{before.schema}.{new_keys[0].name if new_keys else before.name}"
    job.target = msgspec.msgpack.encode(_in_new_keyspaces(target, writer))
    job.using = (*((n, t) for n, t in job.using if n not in using), *using.items())
    job.settings = context.settings
    job.synchronous = True
    write_job(context.transaction, job)
    writer.put_table(replace(before, frozen=True))
    if pending is None:
        context.run_after_commit(job)


def _in_new_keyspaces(table: Table, writer: CatalogWriter) -> Table:
    """Return the table as it is once all rows have been written anew."""
    return replace(
        table,
        keyspace=writer.allocate_oid(),
        columns=tuple(map(_written, table.columns)),
        indexes=tuple(
            replace(index, valid=True, keyspace=0 if index.primary else writer.allocate_oid())
            for index in table.indexes
        ),
    )


def _written(column: Column) -> Column:
    return replace(column, missing=None, unproved=False)
