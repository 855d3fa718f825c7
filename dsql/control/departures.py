"""Noticing that clusters were deleted, at the cost of one `stat` while none is."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from dsql.control.layout import Layout


class Departures:
    """One observer's view of the clusters' folder."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._listed = 0  # the folder's mtime in ns

    def among(self, known: Collection[str]) -> Iterator[str]:
        """Yield those of `known` clusters that are there no more, if any has come or gone since."""
        try:
            changed = self._layout.clusters.stat().st_mtime_ns
        except FileNotFoundError:
            return
        if self._listed == changed:
            return
        names = {path.name for path in self._layout.clusters.iterdir()} if known else set()
        yield from [cluster for cluster in known if cluster not in names]
        self._listed = changed
