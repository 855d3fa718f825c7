"""Clusters come to their end state wherever a control plane has died on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from direct_service import ACCOUNT, REGION, SETTINGS

from control_plane import lifecycle
from control_plane.lifecycle import Lifecycle, Result
from control_plane.registry import Registry
from dsql.control.authority import Authority
from dsql.control.clusters import new_identifier
from dsql.control.layout import Layout
from dsql.control.resources import ACTIVE, CREATING, DELETING, PENDING_SETUP, ClusterResource


class Life:
    """One control plane's life, which ends (`died`) after so many steps."""

    def __init__(self, layout: Layout, steps: int) -> None:
        self.died = asyncio.Event()
        self._left: Iterator[int] = iter(range(steps))
        self.registry = Registry(layout)
        self.registry.load()
        self.lifecycle = Lifecycle(
            layout, Authority.open(layout), self.registry, SETTINGS, self._work
        )

    async def _work(self, work: Callable[[], Result]) -> Result:
        if self.died.is_set() or next(self._left, None) is None:
            self.died.set()
            raise RuntimeError("dead")
        return work()

    async def run(self) -> None:
        """Go on until there is nothing left to do, or death."""
        self.lifecycle.resume()
        async with asyncio.timeout(10):
            while self.lifecycle._tasks and not self.died.is_set():
                await asyncio.sleep(0)
        await self.lifecycle.close()


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A data directory whose zones do all that they are asked for."""

    async def opened(*_: object) -> None:
        await asyncio.sleep(0)

    async def left(*_: object) -> bool:
        await asyncio.sleep(0)
        return True

    monkeypatch.setattr(lifecycle, "open_cluster", opened)
    monkeypatch.setattr(lifecycle, "has_left", left)
    return Layout(tmp_path)


def add(layout: Layout, **changes: object) -> str:
    registry = Registry(layout)
    fields = {"region": REGION, "account": ACCOUNT, "created_at": 1.0, "status": CREATING}
    resource = ClusterResource(identifier=new_identifier(), **(fields | changes))  # type: ignore[arg-type]
    registry.save(resource)
    return resource.identifier


async def lives_until_done(layout: Layout, first: int) -> Registry:
    """Have one control plane die after `first` steps, and the next one after one more, and so on."""
    for steps in count(first):
        life = Life(layout, steps)
        await life.run()
        if not life.died.is_set():
            return life.registry
    raise AssertionError


@pytest.mark.parametrize("steps", range(4))
async def test_what_was_begun_is_finished_by_who_comes_next(layout: Layout, steps: int) -> None:
    identifier = add(layout)
    pending = add(layout, witness_region="us-west-2")
    registry = await lives_until_done(layout, steps)
    assert registry.get(identifier).status == ACTIVE
    assert registry.get(pending).status == PENDING_SETUP
    record = layout.read_cluster(identifier)
    assert record is not None
    assert (record.region, tuple(record.azs)) == (REGION, SETTINGS.azs)
    for cluster in (identifier, pending):
        resource = registry.changeable(cluster)
        resource.status = DELETING
        registry.save(resource)
        layout.storage(record.azs[0], cluster).mkdir(parents=True)
    registry = await lives_until_done(layout, steps)
    assert len(registry) == 0
    assert not [path for name in (identifier, pending) for path in layout.root.rglob(f"*{name}*")]


async def test_what_a_removal_has_left_without_a_name_is_removed(layout: Layout) -> None:
    (layout.deleted / new_identifier()).mkdir(parents=True)
    await lives_until_done(layout, 1)
    assert list(layout.deleted.iterdir()) == []


async def test_a_cluster_stays_while_somebody_has_it(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier = add(layout, status=DELETING)
    asked = asyncio.Event()

    async def not_yet(*_: object) -> bool:
        asked.set()
        return False

    monkeypatch.setattr(lifecycle, "has_left", not_yet)
    life = Life(layout, 100)
    life.lifecycle.resume()
    await asyncio.wait_for(asked.wait(), 10)
    assert layout.deleted_resource(identifier).exists()
    assert not layout.cluster(identifier).exists()
    await life.lifecycle.close()
