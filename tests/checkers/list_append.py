"""Lists that transactions append to and read: from them the versions of each key follow (Elle).

Each read of a list shows all versions before it, in order. So reads of a key that do not agree on an order
cannot all be right, nor can a list that has an element twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from checkers import versions
from checkers.history import Anomaly, Transaction
from checkers.versions import Reads, Values


def check(history: Sequence[Transaction]) -> list[Anomaly]:
    """See checkers.versions.check."""
    return versions.check(history, _Lists())


class _Lists:
    """Implements checkers.versions.Objects."""

    def split(self, shown: Values, own: Values) -> tuple[bool, Values | None]:
        at = len(shown) - len(own)
        return at >= 0 and shown[at:] == own, shown[: max(at, 0)]

    def order(
        self, committed: Sequence[Transaction], reads: Reads, found: list[Anomaly]
    ) -> Mapping[int, Sequence[int]]:
        longest: dict[int, Values] = {}
        for _, key, values in reads:
            if len(values) > len(longest.get(key, ())):
                longest[key] = values
        for reader, key, values in reads:
            if longest.get(key, ())[: len(values)] != values:
                found.append(Anomaly("incompatible-order", f"{reader} against {longest[key]}"))
        for key, values in longest.items():
            if len(set(values)) != len(values):
                found.append(Anomaly("duplicate", f"twice in list {key}: {values}"))
        return longest
