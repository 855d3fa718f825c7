"""One run: three zones, a few clients, faults; then the faults end, and everything is checked."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from .constants import draw_constants
from .elections import Elections
from .faults import Faults
from .installation import Installation
from .kernel import worlds_kernel
from .log_watch import LogWatch
from .mutants import mutate
from .probes import Probes
from .publication import Publications
from .tenant import Tenant
from .themes import Theme, draw_theme
from .world import SECOND, World

_STOP_BOUND = 30 * SECOND


@dataclass
class Result:
    """What a run came to."""

    trace: str
    attempts: int
    committed: int
    aborted: int
    epochs: int
    events: int
    seconds: float
    faults: dict[str, int] = field(default_factory=dict)
    probes: dict[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list, repr=False)


class Scenario:
    """Builds the installation, lets faults come, heals, and checks."""

    def __init__(self, world: World, probes: Probes, theme: Theme) -> None:
        self.world = world
        self.installation = Installation(world, theme)
        self._tenants = [
            Tenant(self.installation, cluster, name)
            for cluster, name in zip(
                self.installation.identifiers, ("client", "guest"), strict=False
            )
        ]
        sessions = [session for tenant in self._tenants for session in tenant.sessions]
        self._faults = Faults(self.installation, sessions, probes, theme)
        self._faulty = world.chance.randint(3, 12) * SECOND

    def run(self) -> Result:
        """Run it. Raises ViolationError, or an AssertionError of the product itself."""
        world = self.world
        self.installation.supervise()
        self._keep_sessions_running()
        until = self._faulty
        while world.now < until:
            world.run(min(self._faults.next_gap(), until - world.now))
            self._faults.inject()
        world.note("*** healing")
        self._faults.heal()
        for tenant in self._tenants:
            tenant.make_progress()
        for tenant in self._tenants:
            tenant.stop()
        for tenant in self._tenants:
            tenant.compare_replicas()
        self._stop_zones()
        for tenant in self._tenants:
            tenant.check(self._faults.damaged)
        return self._result()

    def _keep_sessions_running(self) -> None:
        if not self.world.over:
            for tenant in self._tenants:
                tenant.keep_running()
            self.world.later(SECOND // 2, self._keep_sessions_running)

    def _stop_zones(self) -> None:
        self.installation.supervised = False
        zones = self.installation.zones
        for zone in zones:
            zone.stop()
        self.world.run_until(
            lambda: not any(zone.is_up for zone in zones), _STOP_BOUND, "zones stop"
        )

    def _result(self) -> Result:
        histories = [tenant.history for tenant in self._tenants]
        return Result(
            self.world.trace,
            sum(len(history.attempts) for history in histories),
            sum(history.count("committed") for history in histories),
            sum(history.count("aborted") for history in histories),
            sum(tenant.epochs for tenant in self._tenants),
            self.world.events,
            self.world.now / SECOND,
            self._faults.counts,
            lines=self.world.lines or [],
        )


def run(seed: int, *, mutant: str = "", theme: str = "", tracing: bool = False) -> Result:
    """Run one seed; an error tells it, and has the trace in `lines` if there is one.

    `theme`: what it is about (`themes.py`), where that is not left to the seed.
    """
    world = World(seed, tracing=tracing)
    try:
        with watched(world), pytest.MonkeyPatch.context() as patch, worlds_kernel(world):
            about = draw_theme(world.chance, theme)
            draw_constants(world.chance, patch, about)
            mutate(patch, mutant)
            probes, publications, elections = Probes(patch), Publications(patch), Elections(patch)
            scenario = Scenario(world, probes, about)
            try:
                result = scenario.run()
                publications.check()
                elections.check()
                result.probes = dict(probes.counts)
                return result
            except BaseException:
                if world.lines is not None:
                    world.lines += world.stacks()
                raise
            finally:
                scenario.installation.remove()
    except Exception as error:
        error.add_note(f"simulation seed {seed}, at {world.now / SECOND:.6f} s")
        error.lines = world.lines  # type: ignore[attr-defined]
        raise


@contextlib.contextmanager
def watched(world: World) -> Iterator[None]:
    """Put the log into the trace, and nowhere else."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    root.handlers[:] = [LogWatch(world, lambda error: False)]
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
