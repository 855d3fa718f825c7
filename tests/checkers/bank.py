"""A bank whose sum never changes: every snapshot of its balances has it, and the transfers explain them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from checkers.history import Anomaly, Outcome


class Transfer(NamedTuple):
    """A transaction that moved money, as its client knows it. `number` names it for ever."""

    number: int
    source: int
    target: int
    amount: int
    outcome: Outcome


class Snapshot(NamedTuple):
    """All balances as one transaction read them."""

    balances: Mapping[int, int]


@dataclass
class Books:
    """The end of a run: the transfers that are written down there, and the balances."""

    kept: Mapping[int, tuple[int, int, int]]  # number: (source, target, amount)
    balances: Mapping[int, int]


def check(
    opening: Mapping[int, int],
    transfers: Sequence[Transfer],
    snapshots: Sequence[Snapshot],
    books: Books,
) -> Iterator[Anomaly]:
    """Yield what no serial order of the transfers explains."""
    total = sum(opening.values())
    for snapshot in (*snapshots, Snapshot(books.balances)):
        if sum(snapshot.balances.values()) != total:
            yield Anomaly("sum", f"{snapshot.balances} are not {total}")
    expected = dict(opening)
    for source, target, amount in books.kept.values():
        expected[source] -= amount
        expected[target] += amount
    if expected != books.balances:
        yield Anomaly("balances", f"{books.balances} where the transfers make {expected}")
    for transfer in transfers:
        kept = books.kept.get(transfer.number)
        if kept is None and transfer.outcome is Outcome.COMMITTED:
            yield Anomaly("lost", f"acknowledged and gone: {transfer}")
        elif kept is not None and transfer.outcome is Outcome.ABORTED:
            yield Anomaly("G1a", f"it failed, and is there: {transfer}")
        elif kept not in (None, transfer[1:4]):
            yield Anomaly("garbage", f"{kept} instead of {transfer}")
    unknown = books.kept.keys() - {transfer.number for transfer in transfers}
    if unknown:
        yield Anomaly("garbage", f"transfers that nobody made: {sorted(unknown)[:5]}")
