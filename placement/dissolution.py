"""Clusters that were deleted while they had sessions here: which, and for how long they have had notice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dsql.control.layout import Layout

NOTICE_SECONDS = 1.0  # for query processors to say so to their clients


class Deleted(NamedTuple):
    """A cluster that is no more. `overdue`: what still runs of it has had its time."""

    cluster: str
    overdue: bool


class Dissolution:
    """Looks whether clusters are still there, at the cost of one `stat` each."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._noticed: dict[str, float] = {}

    def look(self, clusters: Iterable[str], now: float) -> Iterator[Deleted]:
        """Yield those of `clusters`, which have sessions or query processors, that were deleted."""
        here = set(clusters)
        self._noticed = {name: since for name, since in self._noticed.items() if name in here}
        for cluster in here:
            if not self._layout.record(cluster).exists():
                since = self._noticed.setdefault(cluster, now)
                yield Deleted(cluster, now - since >= NOTICE_SECONDS)
