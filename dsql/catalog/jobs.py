"""Background jobs as rows in the store: index builds, and the removal of rows nothing refers to.

A DDL transaction writes its job together with the catalog, so that a job exists exactly if its statement
committed. Whoever runs a job claims it by a transaction of its own; two runners meet at commit.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator

import msgspec

from dsql.encoding.keyspace import keyspace_range, prefix
from dsql.errors import SqlError
from dsql.transaction.interface import Mode, Snapshot, Transaction
from dsql.types.type import FormatSettings

JOBS = 7
FINISHED = ("completed", "failed")
RETENTION_MICROSECONDS = 30 * 60 * 1_000_000  # sys.jobs forgets a finished job after 30 minutes


class Job(msgspec.Struct, array_like=True):
    """One row of sys.jobs with what its runner needs. Times are microseconds since 2000-01-01 UTC.

    `job_type` is INDEX_BUILD, REWRITE, VALIDATE_CONSTRAINT, or DROP, which is done when it is submitted.
    `cursor` is the last row key a build has done; it goes on from there after a crash. `target` is the
    encoded Table that a REWRITE ends with. `synchronous`: its statement waits for it, and a failure leaves
    nothing behind. What VALIDATE_CONSTRAINT looks at is a constraint (`object_oid`) or the NOT NULL of
    `columns`; `is_new`: it goes again if a row violates it. `using`, of a REWRITE, are expressions for new
    values by column number, and `settings` those of the session that has written them. `begun` is the start
    timestamp of the transaction that has submitted it, whose session runs all of its jobs one by one.
    """

    identifier: bytes
    job_type: str
    status: str
    start_time: int
    object_oid: int = 0
    object_name: str | None = None
    table_oid: int = 0
    details: str | None = None
    update_time: int | None = None
    cursor: bytes = b""
    target: bytes = b""
    synchronous: bool = False
    sqlstate: str = ""
    columns: tuple[int, ...] = ()
    is_new: bool = False
    using: tuple[tuple[int, str], ...] = ()
    settings: FormatSettings = FormatSettings()
    begun: int = 0

    @property
    def text_id(self) -> str:
        """The identifier as users see it."""
        return format_identifier(self.identifier)


_decode = msgspec.msgpack.Decoder(Job).decode


def new_job(job_type: str, start_time: int) -> Job:
    """Return a submitted job with a fresh identifier."""
    return Job(secrets.token_bytes(16), job_type, "submitted", start_time)


def format_identifier(identifier: bytes) -> str:
    """Return 16 bytes as users see them: 26 characters of lower-case base32."""
    return base64.b32encode(identifier).decode().rstrip("=").lower()


def parse_identifier(text: str) -> bytes:
    """Return the 16 bytes of a job identifier. Raises 22P02 for anything else."""
    try:
        raw = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except ValueError:
        raw = b""
    if len(raw) != 16:
        raise SqlError("22P02", "Unable to convert text to UUID")
    return raw


def write_job(transaction: Transaction, job: Job) -> None:
    """Insert or replace a job's row."""
    job.begun = job.begun or transaction.start_timestamp
    transaction.put(_key(job.identifier), msgspec.msgpack.encode(job), Mode.EXCLUSIVE)


def read_job(reader: Snapshot | Transaction, identifier: bytes) -> Job | None:
    """Return a job, None if there is none (any more)."""
    value = reader.get(_key(identifier))
    return _decode(value) if value is not None else None


def read_jobs(reader: Snapshot | Transaction) -> Iterator[Job]:
    """Yield every job."""
    for _, value in reader.scan(*keyspace_range(JOBS)):
        yield _decode(value)


def delete_job(transaction: Transaction, job: Job) -> None:
    """Forget a job."""
    transaction.delete(_key(job.identifier), Mode.EXCLUSIVE)


def _key(identifier: bytes) -> bytes:
    return prefix(JOBS) + identifier
