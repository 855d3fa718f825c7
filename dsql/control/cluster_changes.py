"""Noticing clusters that appear and disappear, at the cost of one `stat` while none does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dsql.control.layout import Layout


class ClusterChanges:
    """One observer's view of the clusters' folder."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._listed = (0, False)  # the folder's mtime in ns; all records were there

    def since(self, known: Iterable[str]) -> Iterator[tuple[str, bool]]:
        """Yield (cluster, whether it is there now) for those that are not as in `known`.

        Raises RecordDamagedError at a new one whose record is damaged.
        """
        try:
            changed = self._layout.clusters.stat().st_mtime_ns
        except FileNotFoundError:
            return
        if self._listed == (changed, True):
            return
        # A cluster's folder comes before its record, so an incomplete list is looked at again.
        names = {path.name for path in self._layout.clusters.iterdir() if path.is_dir()}
        before = set(known)
        complete = True
        for cluster in sorted(names - before):
            complete = self._layout.read_cluster(cluster) is not None and complete
            yield cluster, True
        for cluster in sorted(before - names):
            yield cluster, False
        self._listed = (changed, complete)
