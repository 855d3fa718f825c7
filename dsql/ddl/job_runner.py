"""Runs background jobs in many small transactions: builds of indexes and copies of tables.

Every job can be run again from where it stopped: it keeps the last row it has done. Two runners of one job
meet at commit; the loser gets 40001, looks again, and finds the other one's progress. A job that a
statement waits for is that statement's alone: where it stands still the session has died, and what it has
begun is taken back, as if it had been interrupted. A transaction that loses against a client's is
repeated, so a busy table is built a little slower and its clients never wait.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from dsql.catalog.catalog import Catalog
from dsql.catalog.jobs import (
    FINISHED,
    RETENTION_MICROSECONDS,
    Job,
    delete_job,
    read_job,
    read_jobs,
    write_job,
)
from dsql.catalog.names import View
from dsql.catalog.schema import Index, Table
from dsql.catalog.store import CatalogWriter
from dsql.catalog.user_types import CatalogTypes
from dsql.ddl.rebuild import Calls, Rows, copy_program, index_build_program, run_on
from dsql.ddl.removal import give_up, keyspaces_of
from dsql.ddl.rewriting import target_of
from dsql.ddl.validation import Validation, validated, without_new
from dsql.encoding.keyspace import keyspace_range, table_version_key
from dsql.errors import SqlError
from dsql.executor.compiler import CompiledProgram
from dsql.transaction.interface import Mode, Transaction
from dsql.types import registry

logger = logging.getLogger(__name__)

# One transaction's share: small enough that a client's conflicting write is rare, below every limit.
_ROWS_PER_BUILD = 500
_ROWS_PER_COPY = 5_000  # nobody else writes what is copied
_BYTES_PER_BATCH = 3 * 1024 * 1024
# A job that a statement waits for is given up when it stands still for so long.
_STANDSTILL_MICROSECONDS = 5_000_000
_ABANDONED = "the session that waited for this job has ended"
_LOOK_SECONDS = 0.2
_GIVE_UP_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Store:
    """What the runner works on. `now` returns microseconds since 2000-01-01 UTC."""

    begin: Callable[[], Transaction]
    catalog: Callable[[Transaction], Catalog]
    now: Callable[[], int]


Pause = Callable[[float], None]
# Of the jobs that a transaction's session runs: how they were, and since when, by the runner's own clock.
Moves = dict[int, tuple[list[bytes], int]]
_Program = TypeVar("_Program")


class JobRunner:
    """Runs the jobs of one cluster.

    `pause` sleeps for whoever wants the jobs run, at least between two transactions, and raises Interrupted
    when that one wants no more.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._programs: dict[tuple[int, ...], Any] = {}
        self._steps: dict[str, Callable[[Transaction, Job], bool]] = {
            "INDEX_BUILD": self._build_step,
            "REWRITE": self._rewrite_step,
            "VALIDATE_CONSTRAINT": self._validate_step,
        }

    def run_pending(self, pause: Pause) -> None:
        """Run every unfinished job, and forget those that finished long ago.

        A job that is being run for a statement is only watched, and taken back if its session dies.
        """
        moves: Moves = {}
        while True:
            jobs = self._jobs()
            self._watch(jobs, moves)
            if not [job for job in jobs if self._attend_to(job, moves, pause)]:
                return
            pause(_LOOK_SECONDS)

    def _watch(self, jobs: list[Job], moves: Moves) -> None:
        """Note what has moved since the last look. A session that is at one job will come to its others."""
        found: dict[int, list[bytes]] = defaultdict(list)
        for job in jobs:
            if job.synchronous:
                found[job.begun].append(msgspec.msgpack.encode(job))
        for begun, state in found.items():
            if begun not in moves or moves[begun][0] != state:
                moves[begun] = state, self._store.now()

    def run(self, identifier: bytes, pause: Pause) -> Job:
        """Run one job to its end and return it as it then is."""
        while True:
            pause(0)
            transaction = self._store.begin()
            try:
                job = read_job(transaction, identifier)
                if job is None:
                    raise SqlError("42704", "the job does not exist")
                if job.status in FINISHED:
                    return job
                error = self._try_to_advance(transaction, job)
            finally:
                transaction.rollback()
            if error is not None and not error.retryable:
                self._fail(identifier, error)

    def _try_to_advance(self, transaction: Transaction, job: Job) -> SqlError | None:
        try:
            self._advance(transaction, job)
        except SqlError as error:
            return error
        return None

    def run_and_report(self, identifier: bytes, pause: Pause) -> None:
        """Run a job whose statement waits for it. Raises SqlError with the job's failure."""
        job = self.run(identifier, pause)
        if job.status == "failed":
            message, _, detail = (job.details or "").partition("\n")
            raise SqlError(job.sqlstate or "XX000", message, detail=detail)

    def give_up(self, identifier: bytes, reason: str) -> bool:
        """Fail a job whose statement was interrupted; return False if that came too late.

        Whoever else meets the job at this moment may win; what it commits then is begun anew.
        """
        for _ in range(_GIVE_UP_ATTEMPTS):
            with suppress(SqlError):
                return self._fail(identifier, SqlError("57014", reason))
        return True

    def _attend_to(self, job: Job, moves: Moves, pause: Pause) -> bool:
        """Run, forget or leave a job; return whether it is another one's and has to be watched."""
        if job.status in FINISHED:
            self._forget_if_old(job)
        elif job.synchronous and self._moves(job, moves):
            return True
        elif job.synchronous:
            self.give_up(job.identifier, _ABANDONED)
        else:
            self.run(job.identifier, pause)
        return False

    def _moves(self, job: Job, moves: Moves) -> bool:
        _, moved_at = moves[job.begun]
        return self._store.now() < moved_at + _STANDSTILL_MICROSECONDS

    def _jobs(self) -> list[Job]:
        transaction = self._store.begin()
        jobs = list(read_jobs(transaction))
        transaction.rollback()
        return jobs

    def _advance(self, transaction: Transaction, job: Job) -> None:
        job.status = "processing"
        job.update_time = self._store.now()
        types = CatalogTypes(lambda: View(self._store.catalog(transaction), (), None))
        with registry.installed(types):
            is_done = self._steps[job.job_type](transaction, job)
        if is_done:
            job.status = "completed"
        write_job(transaction, job)
        transaction.commit()

    def _fail(self, identifier: bytes, error: SqlError) -> bool:
        """End a job that cannot go on, and take back what it has begun; return False if it has ended."""
        transaction = self._store.begin()
        job = read_job(transaction, identifier)
        if job is None or job.status in FINISHED:
            transaction.rollback()
            return False
        # The message may quote a row's values, which are nobody's who reads the log.
        told = {"sqlstate": error.sqlstate, "constraint": error.constraint, "type": job.job_type}
        logger.warning("background job failed", extra=told)
        job.status, job.update_time, job.sqlstate = "failed", self._store.now(), error.sqlstate
        job.details = _failure_text(error, job)
        write_job(transaction, job)
        if job.job_type == "REWRITE":
            self._thaw(transaction, job)
        elif job.job_type == "VALIDATE_CONSTRAINT":
            self._change_table(transaction, job, without_new)
        elif job.synchronous:
            self._discard_index(transaction, job)
        transaction.commit()
        return True

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

    def _rows_after(self, transaction: Transaction, job: Job, table: Table, rows_max: int) -> Rows:
        """Return the next batch of a table's rows behind the job's cursor."""
        low, high = keyspace_range(table.keyspace_id)
        return _batch(transaction, job.cursor + b"\0" if job.cursor else low, high, rows_max)

    # ------------------------------------------------------------ INDEX_BUILD

    def _build_step(self, transaction: Transaction, job: Job) -> bool:
        """Add the entries of a batch of rows; True when the index is complete and valid."""
        catalog = self._store.catalog(transaction)
        table = catalog.tables_by_oid.get(job.table_oid)
        index = next((i for i in table.indexes if i.oid == job.object_oid), None) if table else None
        if table is None or index is None:
            job.details = "Skipped job for nonexistent table."
            return True
        transaction.check(table_version_key(table.oid), Mode.CATALOG)
        rows = self._rows_after(transaction, job, table, _ROWS_PER_BUILD)
        if rows:
            calls = Calls(transaction, catalog, table.owner_oid)
            program = self._build_program(table, index, catalog)
            run_on(program, transaction, rows, calls=calls)
            job.cursor = rows[-1][0]
            return False
        self._make_valid(transaction, table, index)
        return True

    def _build_program(self, table: Table, index: Index, catalog: Catalog) -> CompiledProgram:
        key = (catalog.version, index.oid)
        return self._program(key, lambda: index_build_program(table, index, catalog))

    def _program(self, key: tuple[int, ...], make: Callable[[], _Program]) -> _Program:
        """Return the program of a job's step; the last one is kept, whoever runs jobs besides."""
        program: _Program | None = self._programs.get(key)
        if program is None:
            program = make()
            self._programs = {key: program}
        return program

    def _make_valid(self, transaction: Transaction, table: Table, index: Index) -> None:
        indexes = tuple(
            replace(other, valid=True) if other.oid == index.oid else other
            for other in table.indexes
        )
        CatalogWriter(transaction).put_table(replace(table, indexes=indexes))

    def _discard_index(self, transaction: Transaction, job: Job) -> None:
        """Take back an index whose statement has failed."""
        table = self._store.catalog(transaction).tables_by_oid.get(job.table_oid)
        index = next((i for i in table.indexes if i.oid == job.object_oid), None) if table else None
        if table is None or index is None:
            return
        writer = CatalogWriter(transaction)
        writer.release_name(table.schema, index.name)
        rest = tuple(other for other in table.indexes if other.oid != index.oid)
        writer.put_table(replace(table, indexes=rest))
        give_up(transaction, [index.keyspace_id], self._store.now())

    # ------------------------------------------------------------ VALIDATE_CONSTRAINT

    def _validate_step(self, transaction: Transaction, job: Job) -> bool:
        """Look at a batch of rows; True when the constraint is known to hold for all, or is gone."""
        catalog = self._store.catalog(transaction)
        table = catalog.tables_by_oid.get(job.table_oid)
        if table is None:
            job.details = "Skipped job for nonexistent table."
            return True
        key = (catalog.version, job.object_oid, *job.columns)
        validation = self._program(key, lambda: Validation(table, job, catalog))
        rows = self._rows_after(transaction, job, table, _ROWS_PER_COPY)
        if rows and validation.is_of_something:
            validation.look(transaction, rows)
            job.cursor = rows[-1][0]
            return False
        self._change_table(transaction, job, validated)
        return True

    def _change_table(
        self, transaction: Transaction, job: Job, change: Callable[[Table, Job], Table]
    ) -> None:
        table = self._store.catalog(transaction).tables_by_oid.get(job.table_oid)
        if table is not None and (changed := change(table, job)) != table:
            CatalogWriter(transaction).put_table(changed)

    # ------------------------------------------------------------ REWRITE

    def _rewrite_step(self, transaction: Transaction, job: Job) -> bool:
        """Copy a batch of rows to the target's keyspaces; True when they have been swapped."""
        catalog = self._store.catalog(transaction)
        table = catalog.tables_by_oid.get(job.table_oid)
        if table is None:
            job.details = "Skipped job for nonexistent table."
            return True
        target = target_of(job)
        transaction.check(table_version_key(table.oid), Mode.CATALOG)
        rows = self._rows_after(transaction, job, table, _ROWS_PER_COPY)
        if rows:
            key = (catalog.version, target.keyspace_id)
            using = dict(job.using)
            program = self._program(
                key, lambda: copy_program(table, target, catalog, using, job.settings)
            )
            calls = Calls(transaction, catalog, table.owner_oid)
            run_on(program, transaction, rows, job.settings, self._store.now(), calls)
            job.cursor = rows[-1][0]
            return False
        self._swap(transaction, table, target)
        return True

    def _swap(self, transaction: Transaction, table: Table, target: Table) -> None:
        """Put the target in the table's place, with the name, owner and rights that it has by now."""
        columns = tuple(
            column if column.dropped else replace(column, name=now.name, acl=now.acl)
            for column, now in zip(target.columns, table.columns, strict=False)
        )
        swapped = replace(
            target,
            schema=table.schema,
            name=table.name,
            owner_oid=table.owner_oid,
            acl=table.acl,
            system_acls=table.system_acls,
            columns=columns,
            frozen=False,
        )
        CatalogWriter(transaction).put_table(swapped)
        give_up(transaction, keyspaces_of(table), self._store.now())

    def _thaw(self, transaction: Transaction, job: Job) -> None:
        """Give a table back to its writers after a failed copy, and remove what was copied."""
        table = self._store.catalog(transaction).tables_by_oid.get(job.table_oid)
        target = target_of(job)
        writer = CatalogWriter(transaction)
        kept = set()
        if table is not None:
            writer.put_table(replace(table, frozen=False))
            kept = {index.name for index in table.indexes}
            for name in kept - {index.name for index in target.indexes}:
                writer.claim_name(table.schema, name)
        for index in target.indexes:
            if index.name not in kept:
                writer.release_name(target.schema, index.name)
        give_up(transaction, keyspaces_of(target), self._store.now())


def _batch(transaction: Transaction, low: bytes, high: bytes, rows_max: int) -> Rows:
    """Return the first rows of a range: as many as one transaction takes."""
    rows: Rows = []
    size = 0
    for key, value in islice(transaction.scan(low, high), rows_max):
        rows.append((key, value))
        size += len(key) + len(value)
        if size >= _BYTES_PER_BATCH:
            break
    return rows


def _failure_text(error: SqlError, job: Job) -> str:
    """Return a job's details: DSQL's words, or for a waiting statement PostgreSQL's and its DETAIL."""
    if error.sqlstate == "23502" and job.job_type == "REWRITE":
        return f'column "{error.column}" of relation "{error.table}" contains null values'
    if error.sqlstate != "23505":
        return f"{error.message}\n{error.detail}" if job.synchronous else error.message
    if not job.synchronous:
        return "Found duplicate key while validating index for UCVs"
    name = error.constraint or (job.object_name or "").rpartition(".")[2]
    detail = error.detail.replace("already exists.", "is duplicated.")
    return f'could not create unique index "{name}"\n{detail}'
