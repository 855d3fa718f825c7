"""Bringing clusters from one state to the next: CREATING to ACTIVE, and DELETING to nothing.

What is to become of a cluster is written down before anything is done for it, and each step can be done
again. So a control plane that starts goes on where another one ended, at whatever instruction, and what
fails (a full disk, zones that are away) is tried again, more and more seldom.

    CREATING    certificate and record, by which zones find it; they take it up; it is ACTIVE
    DELETING    its folder is moved away; sessions and zones leave; all is removed, the resource last
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from control_plane.plane import Settings
from control_plane.registry import Registry
from control_plane.zones import has_left, open_cluster
from dsql.control.authority import Authority
from dsql.control.clusters import create_cluster
from dsql.control.layout import ClusterRecord, Layout
from dsql.control.removal import erase_cluster, withdraw_cluster
from dsql.control.resources import ACTIVE, CREATING, DELETING, PENDING_SETUP

log = logging.getLogger(__name__)

PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.2, 10.0
LEAVING_SECONDS = 0.1  # between two looks whether everybody has left

Result = TypeVar("Result")


class Work(Protocol):
    """Runs what uses the registry or the disk, one after the other, beside the event loop."""

    def __call__(self, work: Callable[[], Result], /) -> Awaitable[Result]:
        """Return what `work` returns."""
        ...


class Lifecycle:
    """The clusters that change their state, each a task. Made on the event loop that runs them."""

    def __init__(
        self,
        layout: Layout,
        authority: Authority,
        registry: Registry,
        settings: Settings,
        work: Work,
    ) -> None:
        self._layout = layout
        self._authority = authority
        self._registry = registry
        self._settings = settings
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def resume(self) -> None:
        """Go on with all that was not finished."""
        for resource in self._registry:
            if resource.status in (CREATING, DELETING):
                self._begin(resource.identifier)
        left = self._layout.deleted.iterdir() if self._layout.deleted.exists() else ()
        for folder in left:
            if self._registry.find(folder.name) is None:
                erase_cluster(self._layout, folder.name)

    def changed(self, identifier: str) -> None:
        """A cluster was written down with a state that does not last; from any thread."""
        self._loop.call_soon_threadsafe(self._begin, identifier)

    async def close(self) -> None:
        """Stop; the next one goes on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, identifier: str) -> None:
        resource = self._registry.find(identifier)
        if resource is None or identifier in self._tasks:
            return
        steps = self._create if resource.status == CREATING else self._delete
        task = self._loop.create_task(self._persevere(identifier, steps))
        self._tasks[identifier] = task
        task.add_done_callback(lambda _: self._tasks.pop(identifier, None))

    async def _persevere(
        self, identifier: str, steps: Callable[[str], Coroutine[Any, Any, None]]
    ) -> None:
        pause = PAUSE_SECONDS_MIN
        while True:
            try:
                await steps(identifier)
            except Exception:
                log.exception("cluster %s: it is tried again", identifier)
            else:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_SECONDS_MAX)

    async def _create(self, identifier: str) -> None:
        record = await self._work(lambda: self._found(identifier))
        await open_cluster(self._layout, record)
        await self._work(lambda: self._settle(identifier))
        log.info("cluster %s is active", identifier)

    def _found(self, identifier: str) -> ClusterRecord:
        """Make certificate and record, unless they are there."""
        record = self._layout.read_cluster(identifier)
        if record is not None:
            return record
        settings = self._settings
        return create_cluster(
            self._layout,
            self._authority,
            region=settings.region,
            account=settings.account,
            domain=settings.domain,
            profile=settings.profile,
            azs=settings.azs,
            identifier=identifier,
        )

    def _settle(self, identifier: str) -> None:
        resource = self._registry.changeable(identifier)
        resource.status = PENDING_SETUP if resource.witness_region else ACTIVE
        self._registry.save(resource)

    async def _delete(self, identifier: str) -> None:
        await self._work(lambda: withdraw_cluster(self._layout, identifier))
        while not await has_left(self._layout, identifier):
            await asyncio.sleep(LEAVING_SECONDS)
        await self._work(lambda: erase_cluster(self._layout, identifier))
        await self._work(lambda: self._registry.forget(identifier))
        log.info("cluster %s is gone", identifier)
