"""Runs background jobs in many small transactions: builds of indexes, copies of tables, removal of rows.

Every job can be run again from where it stopped: a build keeps the last row it has done, a removal deletes
what is still there. Two runners of one job meet at commit; the loser gets 40001 and looks again, and
finds the other one's progress. A transaction that loses against a client's is repeated, so a busy table
is built a little slower and its clients never wait.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from dsql.catalog.catalog import Catalog
from dsql.catalog.jobs import (
    FINISHED,
    RETENTION_MICROSECONDS,
    Job,
    delete_job,
    new_job,
    read_job,
    read_jobs,
    write_job,
)
from dsql.catalog.schema import Index, Table
from dsql.catalog.store import CatalogWriter
from dsql.encoding.keyspace import keyspace_range
from dsql.errors import SqlError
from dsql.executor.index_entries import IndexEntries, RowWriter
from dsql.transaction.interface import Mode, Transaction

logger = logging.getLogger(__name__)

# One transaction's share: small enough that a client's conflicting write is rare, below every limit.
_ROWS_PER_BATCH = 500
_BYTES_PER_BATCH = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Store:
    """What the runner works on. `now` returns microseconds since 2000-01-01 UTC."""

    begin: Callable[[], Transaction]
    catalog: Callable[[Transaction], Catalog]
    now: Callable[[], int]
    check_cancel: Callable[[], None]


class _JobFailedError(Exception):
    """The job ends as failed, with this text as its details."""


class JobRunner:
    """Runs the jobs of one cluster."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._steps: dict[str, Callable[[Transaction, Job], bool]] = {
            "DROP": self._drop_step,
            "INDEX_BUILD": self._build_step,
            "REWRITE": self._rewrite_step,
        }

    def run_pending(self) -> None:
        """Run every unfinished job, and forget those that finished long ago."""
        for job in self._jobs():
            if job.status in FINISHED:
                self._forget_if_old(job)
            else:
                self.run(job.identifier)

    def run(self, identifier: bytes) -> Job:
        """Run one job to its end and return it as it then is."""
        while True:
            self._store.check_cancel()
            transaction = self._store.begin()
            job = read_job(transaction, identifier)
            if job is None:
                raise SqlError("42704", "the job does not exist")
            if job.status in FINISHED:
                transaction.rollback()
                return job
            try:
                self._advance(transaction, job)
            except SqlError as error:
                transaction.rollback()
                if not error.retryable:
                    self._fail(identifier, error.message)
            except _JobFailedError as failure:
                transaction.rollback()
                self._fail(identifier, str(failure))

    def _jobs(self) -> list[Job]:
        transaction = self._store.begin()
        jobs = list(read_jobs(transaction))
        transaction.rollback()
        return jobs

    def _advance(self, transaction: Transaction, job: Job) -> None:
        job.status = "processing"
        job.update_time = self._store.now()
        if self._steps[job.job_type](transaction, job):
            job.status = "completed"
        write_job(transaction, job)
        transaction.commit()

    def _fail(self, identifier: bytes, details: str) -> None:
        logger.warning("background job failed", extra={"details": details})
        transaction = self._store.begin()
        job = read_job(transaction, identifier)
        if job is None:
            return
        job.status, job.details, job.update_time = "failed", details, self._store.now()
        write_job(transaction, job)
        if job.job_type == "REWRITE":
            self._thaw(transaction, job)
        transaction.commit()

    def _forget_if_old(self, job: Job) -> None:
        if (job.update_time or 0) > self._store.now() - 2 * RETENTION_MICROSECONDS:
            return
        transaction = self._store.begin()
        delete_job(transaction, job)
        try:
            transaction.commit()
        except SqlError as error:
            if not error.retryable:  # else the next round forgets it
                raise

    # ------------------------------------------------------------ DROP

    def _drop_step(self, transaction: Transaction, job: Job) -> bool:
        """Delete a batch of the first keyspace that has rows; True when all are empty."""
        for keyspace in job.keyspaces:
            keys = [key for key, _ in _batch(transaction, *keyspace_range(keyspace))]
            for key in keys:
                transaction.delete(key, Mode.BLIND)
            if keys:
                return False
        return True

    # ------------------------------------------------------------ INDEX_BUILD

    def _build_step(self, transaction: Transaction, job: Job) -> bool:
        """Add the entries of a batch of rows; True when the index is complete and valid."""
        catalog = self._store.catalog(transaction)
        table = catalog.tables_by_oid.get(job.table_oid)
        index = next((i for i in table.indexes if i.oid == job.object_oid), None) if table else None
        if table is None or index is None:
            job.details = "Skipped job for nonexistent table."
            return True
        entries = IndexEntries(table, index, catalog)
        low, high = keyspace_range(table.keyspace_id)
        rows = _batch(transaction, job.cursor + b"\0" if job.cursor else low, high)
        for row_key, value in rows:
            # Whoever changes the row meanwhile maintains the index himself, and wins.
            transaction.check(row_key, Mode.NON_KEY)
            entry = entries.entry(row_key, value)
            if entry is not None:
                self._add_entry(transaction, index, *entry)
        if rows:
            job.cursor = rows[-1][0]
            return False
        self._make_valid(transaction, table, index)
        return True

    def _add_entry(self, transaction: Transaction, index: Index, key: bytes, value: bytes) -> None:
        if not index.unique:
            transaction.put(key, value, Mode.BLIND)
            return
        present = transaction.get(key)
        if present is not None and present != value:
            raise _JobFailedError("Found duplicate key while validating index for UCVs")
        transaction.put(key, value, Mode.EXCLUSIVE)

    def _make_valid(self, transaction: Transaction, table: Table, index: Index) -> None:
        indexes = tuple(
            replace(other, valid=True) if other.oid == index.oid else other
            for other in table.indexes
        )
        CatalogWriter(transaction).put_table(replace(table, indexes=indexes))

    # ------------------------------------------------------------ REWRITE

    def _rewrite_step(self, transaction: Transaction, job: Job) -> bool:
        """Copy a batch of rows to the target's keyspaces; True when they have been swapped."""
        catalog = self._store.catalog(transaction)
        table = catalog.tables_by_oid.get(job.table_oid)
        if table is None:
            job.details = "Skipped job for nonexistent table."
            return True
        target = msgspec.msgpack.decode(job.target, type=Table)
        writer = RowWriter(target, catalog)
        low, high = keyspace_range(table.keyspace_id)
        rows = _batch(transaction, job.cursor + b"\0" if job.cursor else low, high)
        for _, value in rows:
            writer.insert(transaction, value)
        if rows:
            job.cursor = rows[-1][0]
            return False
        self._swap(transaction, table, target)
        return True

    def _swap(self, transaction: Transaction, table: Table, target: Table) -> None:
        CatalogWriter(transaction).put_table(replace(target, frozen=False))
        removal = new_job("DROP", self._store.now())
        removal.keyspaces = [table.keyspace_id]
        removal.keyspaces += [index.keyspace_id for index in table.indexes if not index.primary]
        write_job(transaction, removal)

    def _thaw(self, transaction: Transaction, job: Job) -> None:
        """Give a table back to its writers after a failed copy, and remove what was copied."""
        table = self._store.catalog(transaction).tables_by_oid.get(job.table_oid)
        target = msgspec.msgpack.decode(job.target, type=Table)
        writer = CatalogWriter(transaction)
        if table is not None:
            writer.put_table(replace(table, frozen=False))
        for index in target.indexes:
            if index.primary:
                writer.release_name(target.schema, index.name)
        removal = new_job("DROP", self._store.now())
        removal.keyspaces = [target.keyspace_id]
        removal.keyspaces += [index.keyspace_id for index in target.indexes if not index.primary]
        write_job(transaction, removal)


def _batch(transaction: Transaction, low: bytes, high: bytes) -> list[tuple[bytes, bytes]]:
    """Return the next rows of a range: as many as one transaction takes."""
    rows: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in _bounded(transaction.scan(low, high)):
        rows.append((key, value))
        size += len(key) + len(value)
        if size >= _BYTES_PER_BATCH:
            break
    return rows


def _bounded(scan: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for _, item in zip(range(_ROWS_PER_BATCH), scan, strict=False):
        yield item
