"""Handing a transaction's writes to the adjudicator, once, and telling what became of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from dsql.errors import (
    DataConflictError,
    LostWrite,
    SchemaConflictError,
    SqlError,
    outcome_unknown,
)
from dsql.transaction.interface import (
    Behind,
    Buried,
    CommitOutcome,
    Committed,
    Conflict,
    Premises,
    Refused,
    Unknown,
    WriteSet,
)
from dsql.transaction.write_buffer import transaction_too_large

logger = logging.getLogger(__name__)

_ATTEMPTS_MAX = 5  # so many leaders in a row are lost to nobody

_encode = msgspec.msgpack.Encoder().encode


class Committer(Protocol):
    """The adjudicator's client: blocks until the outcome is known, or cannot be found out."""

    def commit(self, encoded: bytes, transaction_id: bytes, premises: bytes = b"") -> CommitOutcome:
        """Ask for the commit of an encoded WriteSet, on encoded Premises if there are any."""
        ...


def commit_write_set(
    committer: Committer,
    write_set: WriteSet,
    premises: Premises | None,
    bytes_max: int,
    new_id: Callable[[], bytes],
) -> int:
    """Commit, and return the commit timestamp.

    A write set that was lost with a leader before anybody had decided on it is sent again under a new id: a
    change of leaders is no conflict. Raises SqlError 54000 above `bytes_max` encoded bytes, 40001 for a
    conflict, 53100 if the journals' disks are full, 57P03 if too few zones answer, 53000 if storage does
    not keep up (nothing is committed in these cases), 08P01 if the adjudicator finds the write set
    malformed, 08007 if the outcome remains unknown.
    """
    rests_on = b"" if premises is None else _encode(premises)
    for _ in range(_ATTEMPTS_MAX):
        encoded = _encode(write_set)
        if len(encoded) > bytes_max:
            raise transaction_too_large(len(encoded), bytes_max)
        outcome = committer.commit(encoded, write_set.transaction_id, rests_on)
        if not isinstance(outcome, Buried):
            break
        write_set.transaction_id = new_id()
    if isinstance(outcome, Committed):
        return outcome.timestamp
    if isinstance(outcome, Conflict):
        error = SchemaConflictError() if outcome.schema else DataConflictError()
        error.lost = LostWrite(met=outcome.met)
        raise error
    if isinstance(outcome, Refused):
        raise _disk_full() if outcome.disk_full else _malformed()
    if isinstance(outcome, Behind):
        raise _behind()
    if isinstance(outcome, Unknown):
        logger.warning("outcome unknown", extra={"transaction": write_set.transaction_id.hex()})
        raise outcome_unknown()
    raise _unavailable()


def _disk_full() -> SqlError:
    return SqlError(
        "53100",
        "could not extend the journal: No space left on device",
        hint="Free some space on the journals' disks; reads go on meanwhile.",
    )


def _unavailable() -> SqlError:
    return SqlError(
        "57P03",
        "the cluster cannot commit now",
        detail="Too few of its availability zones answer. Nothing was committed.",
        hint="Reads go on. Try the transaction again when another zone is back.",
    )


def _behind() -> SqlError:
    return SqlError(
        "53000",
        "the cluster takes no more writes now",
        detail="Storage is too far behind what was committed. Nothing was committed.",
        hint="Reads go on. Try the transaction again when storage has caught up.",
    )


def _malformed() -> SqlError:
    return SqlError("08P01", "the adjudicator refused a malformed transaction")
