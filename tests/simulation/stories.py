"""Faults that are several harms in an order: each leads to where one harm alone hardly ever does."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from .harm import Harm
from .installation import Zone
from .probes import Probes
from .world import MILLISECOND

_CLAIM = "journal.replica:Replica.claim"
_LONG = 20_000  # milliseconds


class Stories:
    """Each method begins one; it goes on by itself."""

    def __init__(self, harm: Harm, probes: Probes) -> None:
        self._harm = harm
        self._probes = probes
        self._world = harm.world
        self._promising = False  # such a story is under way

    def fork(self) -> None:
        """Leave a zone behind, then have the leader write what nobody gets, and come back to an heir.

        If it may, who was left behind has lost its log by then, and gets it from either.
        """
        harm, chance = self._harm, self._world.chance
        leader = harm.leader()
        heir, straggler = chance.sample(self._others(leader), 2)
        if heir is harm.victim:
            heir, straggler = straggler, heir
        behind, alone = chance.randint(100, 1_500), chance.randint(200, 3_000)
        harm.part(leader, straggler, behind + alone)
        self._later(behind, lambda: harm.part(leader, heir, alone))
        straggler.disk.sync_delay = chance.choice((1_000, 100_000, 300_000))
        if straggler is harm.victim and chance.random() < 0.7:
            heir.disk.read_delay = chance.choice((50_000, 500_000))
            early = chance.randint(0, 100)
            self._later(behind + alone - early, lambda: self._forget(straggler))

    def _forget(self, zone: Zone) -> None:
        """Let a zone lose its log, and come back soon."""
        if not self._harm.healed:
            self._harm.lose_log(zone)
            self._later(self._world.chance.randint(0, 50), zone.start)

    def lose_storage(self) -> None:
        """Replace a storage replica's disk by an empty one; what it gets is ahead of its zone's log."""
        harm, chance = self._harm, self._world.chance
        zone = harm.victim
        storage = harm.installation.layout.storage(zone.name, harm.any_cluster())
        down, alone = chance.randint(10, 3_000), chance.randint(10, 3_000)
        zone.kill()
        files = harm.installation.files(None)
        if files.exists(storage):
            files.remove_tree(storage)
        shutil.rmtree(storage, ignore_errors=True)
        harm.damaged.add(zone.name)
        for other in self._others(zone):
            harm.part(zone, other, down + alone)
        zone.disk.sync_delay = chance.choice((1_000, 100_000))
        self._later(down, zone.start)

    def late_promise(self) -> None:
        """Let a candidate's own log open late, and who promises it something forget that on the way.

        Meanwhile the leader goes on with the two of them, if it hears of nothing.
        """
        harm, chance = self._harm, self._world.chance
        giver, leader = harm.victim, harm.leader()
        if giver is leader or self._promising:
            return
        self._promising = True
        (candidate,) = (zone for zone in self._others(giver) if zone is not leader)
        closed, alone = chance.randint(1_500, 5_000), chance.randint(200, 800)
        candidate.kill()
        candidate.disk.stalled_until = self._world.now + closed * MILLISECOND
        self._later(chance.randint(0, 100), candidate.start)
        self._later(alone, lambda: self._leave_alone(candidate, leader, giver))

    def _leave_alone(self, candidate: Zone, leader: Zone, giver: Zone) -> None:
        """Let a candidate hear of the leader through nobody, until it has an answer to its claim."""
        harm, chance = self._harm, self._world.chance
        unheard = [(leader.name, candidate.name), (candidate.name, leader.name)]
        harm.clog_for(unheard, _LONG)

        def asked() -> None:
            self._promising = False
            opens_in = max(0, candidate.disk.stalled_until - self._world.now)
            held = opens_in // MILLISECOND + chance.randint(0, 500)
            harm.clog_for([(giver.name, candidate.name)], held)
            self._later(held + chance.randint(0, 300), lambda: harm.unclog(unheard))
            self._world.later(0, lambda: self._forget_promise(leader, giver))

        self._when_asked(giver, asked)

    def _when_asked(self, zone: Zone, then: Callable[[], None]) -> None:
        """Have something done when a zone is next asked for a promise."""

        def asked() -> None:
            running = self._world.running
            if self._harm.healed:
                return
            if running is None or running.process.name != zone.name:
                self._probes.next(_CLAIM, asked)
            else:
                then()

        self._probes.next(_CLAIM, asked)

    def _forget_promise(self, leader: Zone, giver: Zone) -> None:
        """Take the log from under a promise that is just sent, before the leader hears of it."""
        written = 2 * giver.disk.sync_delay
        delay = written + self._world.chance.randint(0, written + 2_000)
        self._harm.part(leader, giver, delay // MILLISECOND + 1)
        self._world.later(delay, lambda: self._forget(giver))

    def _others(self, zone: Zone) -> list[Zone]:
        return [other for other in self._harm.installation.zones if other is not zone]

    def _later(self, milliseconds: int, action: Callable[[], None]) -> None:
        self._world.later(milliseconds * MILLISECOND, action)
