"""Checking a history of objects whose versions can be told from what was read: the part that all share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from checkers.graph import StartCommitGraph
from checkers.history import Anomaly, Outcome, Read, Transaction, took_place, writers_of

Values = tuple[int, ...]
Reads = list[tuple[Transaction, int, Values]]  # who saw what of others in which key


class Objects(Protocol):
    """A kind of object."""

    def split(self, shown: Values, own: Values) -> tuple[bool, Values | None]:
        """Take apart what a read showed to one that had written `own` to the key by then.

        Return whether its own is there as it must be, and what others had written, None if that is hidden.
        """
        ...

    def order(
        self, committed: Sequence[Transaction], reads: Reads, found: list[Anomaly]
    ) -> Mapping[int, Sequence[int]]:
        """Return each key's versions, in order, and add to `found` what speaks against any order."""
        ...


def check(history: Sequence[Transaction], objects: Objects) -> list[Anomaly]:
    """Return every anomaly; none for what strict snapshot isolation allows.

    Somebody must have read every key at the end of the run: what is in no version is lost.
    """
    writers = writers_of(history)
    committed = took_place(history, writers)
    found: list[Anomaly] = []
    reads = [
        (transaction, key, values)
        for transaction in committed
        for key, values in _outer_reads(transaction, objects, found).items()
    ]
    versions = objects.order(committed, reads, found)
    found += _dirty_reads(reads, writers)
    found += _lost_writes(history, {value for values in versions.values() for value in values})
    if found:
        return found  # the versions are not what the graph would take them for
    graph = StartCommitGraph(committed)
    newest = ((reader, key, values[-1] if values else None) for reader, key, values in reads)
    graph.add_versions(versions, writers, newest)
    graph.add_real_time()
    return graph.anomalies()


def _outer_reads(
    transaction: Transaction, objects: Objects, found: list[Anomaly]
) -> dict[int, Values]:
    """Return what it saw of others, by key."""
    own: dict[int, list[int]] = {}
    outer: dict[int, Values] = {}
    for operation in transaction.operations:
        if not isinstance(operation, Read):
            own.setdefault(operation.key, []).append(operation.value)
            continue
        there, others = objects.split(operation.values, tuple(own.get(operation.key, ())))
        if not there:
            found.append(Anomaly("internal", f"its own writes are not seen: {transaction}"))
        elif others is not None and outer.setdefault(operation.key, others) != others:
            found.append(Anomaly("internal", f"two reads differ: {transaction}"))
    return outer


def _dirty_reads(reads: Reads, writers: Mapping[int, Transaction]) -> Iterator[Anomaly]:
    """Yield what was read and nobody wrote, or somebody who aborted (G1a) or went on to write (G1b)."""
    for reader, key, values in reads:
        for value in values:
            if value not in writers:
                yield Anomaly("garbage", f"nobody wrote {value}: {reader}")
            elif writers[value].outcome is Outcome.ABORTED:
                yield Anomaly("G1a", f"{reader} read from {writers[value]}, which aborted")
        if values and (writer := writers.get(values[-1])) is not None:
            last = [write.value for write in writer.writes if write.key == key][-1]
            if values[-1] != last:
                yield Anomaly("G1b", f"{reader} read the midst of {writer}")


def _lost_writes(history: Iterable[Transaction], kept: set[int]) -> Iterator[Anomaly]:
    """Yield the acknowledged transactions some of whose writes are in no version."""
    for transaction in history:
        if transaction.outcome is Outcome.COMMITTED:
            lost = [write.value for write in transaction.writes if write.value not in kept]
            if lost:
                yield Anomaly("lost", f"acknowledged and gone: {lost} of {transaction}")
