"""What clients did and were told: the transactions of one run, with the times at which they saw them.

A checker's input. Values are numbers, each written once in the whole run, so that a value names its writer;
None is the version of a key that nobody has written yet.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

Value = int | None


class Outcome(enum.Enum):
    """What the client knows."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    UNKNOWN = "unknown"  # the answer to COMMIT was lost


class Read(NamedTuple):
    """A key was read: a list's elements, or a register's value alone."""

    key: int
    values: tuple[int, ...]


class Write(NamedTuple):
    """A value was appended to a list, or became a register's."""

    key: int
    value: int


Operation = Read | Write


@dataclass(eq=False, slots=True)
class Transaction:
    """One transaction of a client. `began` is before its first message, `ended` after its last answer."""

    client: int
    operations: list[Operation]
    outcome: Outcome
    began: float
    ended: float

    @property
    def writes(self) -> list[Write]:
        """What it wrote, in order."""
        return [operation for operation in self.operations if isinstance(operation, Write)]

    def __repr__(self) -> str:
        words = [
            f"{'r' if isinstance(operation, Read) else 'w'}{operation.key}={operation[1]}"
            for operation in self.operations
        ]
        return f"<client {self.client} at {self.began:.3f} to {self.ended:.3f}: {' '.join(words)}>"


def writers_of(history: Iterable[Transaction]) -> dict[int, Transaction]:
    """Return who wrote each value, or tried to."""
    return {write.value: transaction for transaction in history for write in transaction.writes}


def took_place(
    history: Iterable[Transaction], writers: Mapping[int, Transaction]
) -> list[Transaction]:
    """Return the transactions that committed: those that were told so, and those whose writes were seen.

    They were seen by one that committed; what that one has read took place as well, and so on.
    """
    found = dict.fromkeys(t for t in history if t.outcome is Outcome.COMMITTED)
    waiting = list(found)
    while waiting:
        for operation in waiting.pop().operations:
            for value in operation.values if isinstance(operation, Read) else ():
                writer = writers.get(value)
                if writer is not None and writer not in found:
                    found[writer] = None
                    waiting.append(writer)
    return list(found)


class Anomaly(NamedTuple):
    """Something that the isolation level forbids: its name in the literature, and what shows it."""

    name: str
    evidence: str
