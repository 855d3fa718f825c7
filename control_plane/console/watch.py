"""How the roles are, asked for while somebody looks, and at most once in a while for all who do."""

from __future__ import annotations

import asyncio
import time

from control_plane.console.picture import Picture, draw
from dsql.control.clusters import list_clusters
from dsql.control.layout import ClusterRecord, Layout
from dsql.health.collect import RoleStatus, collect

FRESH_SECONDS = 0.5
PAUSE_PER_LOOK = 4  # so looking takes a fifth of a thread at most, however many clusters there are


class Watch:
    """The last look; nobody is asked anything while nobody looks."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._looking: asyncio.Task[_Seen] | None = None
        self._fresh_until = 0.0

    async def picture(self, identifier: str) -> Picture | None:
        """Return what there is to see of a cluster, None if it is not there."""
        if self._looking is None or (self._looking.done() and time.monotonic() > self._fresh_until):
            self._looking = asyncio.create_task(self._look())
        clusters, roles = await asyncio.shield(self._looking)
        record = clusters.get(identifier)
        return None if record is None else await asyncio.to_thread(draw, record, roles)

    async def _look(self) -> _Seen:
        began = time.monotonic()
        seen = await asyncio.to_thread(self._collect)
        now = time.monotonic()
        self._fresh_until = now + max(FRESH_SECONDS, PAUSE_PER_LOOK * (now - began))
        return seen

    def _collect(self) -> _Seen:
        clusters = list_clusters(self._layout)
        return {one.identifier: one for one in clusters}, collect(self._layout, clusters)


_Seen = tuple[dict[str, ClusterRecord], list[RoleStatus]]
