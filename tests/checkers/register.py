"""Registers that transactions read and then write: each write names the version that it replaces.

A transaction must read a register before it writes it. So the versions of each key are a chain, and two
writes behind the same version are a lost update. The chain is held against real time, so that each
register alone is linearizable and all together are a snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from checkers import versions
from checkers.history import Anomaly, Read, Transaction, Value
from checkers.versions import Reads, Values


def check(history: Sequence[Transaction]) -> list[Anomaly]:
    """See checkers.versions.check."""
    return versions.check(history, _Registers())


class _Registers:
    """Implements checkers.versions.Objects."""

    def split(self, shown: Values, own: Values) -> tuple[bool, Values | None]:
        return (shown == own[-1:], None) if own else (len(shown) <= 1, shown)

    def order(
        self, committed: Sequence[Transaction], reads: Reads, found: list[Anomaly]
    ) -> Mapping[int, Sequence[int]]:
        following: dict[tuple[int, Value], int] = {}
        for transaction in committed:
            for before, value in _replaced(transaction):
                if following.setdefault(before, value) != value:
                    both = f"{following[before]} and {value} both replace {before[1]}"
                    found.append(Anomaly("lost-update", f"{both} of {before[0]}: {transaction}"))
        return {key: _chain(key, following) for key in {key for key, _ in following}}


def _replaced(transaction: Transaction) -> list[tuple[tuple[int, Value], int]]:
    """Return ((key, value that it had read), value that it wrote) for each of its writes."""
    current: dict[int, Value] = {}
    replaced = []
    for operation in transaction.operations:
        if isinstance(operation, Read):
            current[operation.key] = operation.values[0] if operation.values else None
        else:
            replaced.append(((operation.key, current[operation.key]), operation.value))
            current[operation.key] = operation.value
    return replaced


def _chain(key: int, following: Mapping[tuple[int, Value], int]) -> list[int]:
    """Return the versions of a key from the first one on, as far as each follows from the one before."""
    chain: dict[int, None] = {}
    value = following.get((key, None))
    while value is not None and value not in chain:
        chain[value] = None
        value = following.get((key, value))
    return list(chain)
