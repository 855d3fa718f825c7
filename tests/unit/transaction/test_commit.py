"""What a session is told about its commit, and what is done about one that was lost with its leader."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from dsql.errors import SqlError
from dsql.transaction.commit import commit_write_set
from dsql.transaction.interface import (
    Behind,
    Buried,
    CommitOutcome,
    Committed,
    Conflict,
    Refused,
    Unavailable,
    Unknown,
    WriteSet,
)


class Scripted:
    """A committer that answers from a list, the last answer for ever. `asked`: ids and starts."""

    def __init__(self, *outcomes: CommitOutcome) -> None:
        self._outcomes = [*outcomes]
        self.asked: list[tuple[bytes, int]] = []

    def commit(self, encoded: bytes, transaction_id: bytes, premises: bytes = b"") -> CommitOutcome:
        write_set = msgspec.msgpack.decode(encoded, type=WriteSet)
        assert write_set.transaction_id == transaction_id
        self.asked.append((transaction_id, write_set.start_timestamp))
        return self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]


def commit(committer: Scripted) -> int:
    ids = map(b"%016d".__mod__, itertools.count(1))
    return commit_write_set(
        committer, WriteSet(b"%016d" % 0, 7, [], []), None, 1_000, lambda: next(ids)
    )


def test_write_set_that_was_lost_with_its_leader_is_sent_again_under_another_id() -> None:
    committer = Scripted(Buried(), Buried(), Committed(99))
    assert commit(committer) == 99
    assert committer.asked == [(b"%016d" % number, 7) for number in range(3)]


def test_outcome_that_stays_unknown_is_never_sent_again() -> None:
    committer = Scripted(Unknown(), Committed(99))
    with pytest.raises(SqlError) as caught:
        commit(committer)
    assert (caught.value.sqlstate, len(committer.asked)) == ("08007", 1)


@pytest.mark.parametrize(
    ("outcome", "sqlstate"),
    [
        (Conflict(schema=False), "40001"),
        (Conflict(schema=True), "40001"),
        (Refused(disk_full=True), "53100"),
        (Refused(disk_full=False), "08P01"),
        (Unavailable(), "57P03"),
        (Behind(), "53000"),
        (Buried(), "57P03"),
    ],
)
def test_every_other_outcome_has_its_error(outcome: CommitOutcome, sqlstate: str) -> None:
    with pytest.raises(SqlError) as caught:
        commit(Scripted(outcome))
    assert caught.value.sqlstate == sqlstate
