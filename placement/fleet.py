"""The placement service's view of all host agents, and where a session should go: no I/O.

The view is soft state: agents report, the newest report wins, and an agent whose connection ended is
forgotten. A stale view costs a detour, never correctness, because the agent itself may still refuse.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import msgspec

from dsql import limits
from dsql.errors import FatalError
from placement.decisions import CANNOT_START, TOO_MANY_CONNECTIONS
from placement.messages import SEQUENCE_BITS, LoadReport, PoolLoad

AGENTS_MAX = 511  # a process id is a positive 32-bit integer
_EMPTY = PoolLoad(0, 0)


class _Agent:
    """One agent's newest report, and how many sessions of which cluster were sent there since."""

    def __init__(self, report: LoadReport) -> None:
        self.report = report
        self.placed: Counter[str] = Counter()
        self.sequence = 0

    def pool(self, cluster: str) -> PoolLoad:
        return self.report.pools.get(cluster, _EMPTY)

    def take(self, count: int) -> int:
        """Return the first of `count` unused numbers in a row."""
        first = self.sequence + 1
        if first + count > 1 << SEQUENCE_BITS:
            first = 0
        self.sequence = first + count - 1
        return first

    @property
    def load(self) -> float:
        """The share of the sessions that it may have, counting what was placed since the report."""
        report = self.report
        sessions = sum(pool.sessions for pool in report.pools.values()) + self.placed.total()
        return sessions / max(1, report.processes_max * report.sessions_per_process_max)

    def joins(self, cluster: str) -> bool:
        """Return whether a session finds a query processor of the cluster, with room for it."""
        pool = self.pool(cluster)
        room = pool.processes * self.report.sessions_per_process_max
        return pool.sessions + self.placed[cluster] < room

    @property
    def may_grow(self) -> bool:
        """Whether a cluster can get one more query processor."""
        return self.report.busy < self.report.processes_max


class Fleet:
    """Agents by number."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._agents: dict[int, _Agent] = {}

    def register(self, report: LoadReport) -> int:
        """Take in a new agent and return its number: the one that it had, if nobody else has got it.

        Raises ValueError if there are too many.
        """
        numbers: tuple[int, ...] = (report.number, *range(1, AGENTS_MAX + 1))
        number = next((n for n in numbers if 0 < n <= AGENTS_MAX and n not in self._agents), None)
        if number is None:
            raise ValueError("too many agents")
        self._agents[number] = agent = _Agent(report)
        # Ids of the number's previous bearer may still be in clients' hands.
        agent.sequence = self._random.getrandbits(SEQUENCE_BITS)
        return number

    def report(self, number: int, report: LoadReport) -> None:
        """Replace what is known of an agent."""
        agent = self._agents[number]
        agent.report = report
        agent.placed.clear()

    def forget(self, number: int) -> None:
        """An agent's connection has ended."""
        self._agents.pop(number, None)

    def room(self, cluster: str) -> int:
        """Return how many more connections the cluster may have, counting those that are on their way."""
        agents = self._agents.values()
        taken = sum(agent.pool(cluster).connections + agent.placed[cluster] for agent in agents)
        return limits.CONNECTIONS_MAX - taken

    def place(
        self, cluster: str, az: str, count: int = 1, *, linked: bool = False
    ) -> tuple[str, int]:
        """Return the agent's address and the first of `count` process ids for new sessions.

        Who asks from another host (`linked`) is told of agents with a link only, and of that.

        Prefers, in this order: query processors of the cluster with room in the AZ, any agent of the AZ
        with room, another AZ's query processors, anyone; then the less loaded of two picked at random.
        Raises FatalError 53300 above the connection limit, 57P03 without any agent.
        """
        if self.room(cluster) <= 0:
            raise FatalError("53300", TOO_MANY_CONNECTIONS)
        ranks = {
            number: self._rank(agent, cluster, az)
            for number, agent in self._agents.items()
            if agent.report.link or not linked
        }
        if not ranks:
            raise FatalError("57P03", CANNOT_START)
        best = min(ranks.values())
        candidates = [number for number, rank in ranks.items() if rank == best]
        picked = self._random.sample(candidates, min(2, len(candidates)))
        number = min(picked, key=lambda candidate: self._agents[candidate].load)
        agent = self._agents[number]
        agent.placed[cluster] += count
        address = agent.report.link if linked else agent.report.address
        return address, number << SEQUENCE_BITS | agent.take(count)

    @staticmethod
    def _rank(agent: _Agent, cluster: str, az: str) -> tuple[bool, bool, bool]:
        joins = agent.joins(cluster)
        full = not joins and not agent.may_grow
        return full, agent.report.az != az, not joins

    def status(self) -> dict[str, object]:
        """Return the table of agents, for people."""
        return {
            agent.report.name: {
                "az": agent.report.az,
                "address": agent.report.address,
                "link": agent.report.link,
                "warm": agent.report.warm,
                "load": round(agent.load, 4),
                "pools": msgspec.to_builtins(agent.report.pools),
            }
            for agent in self._agents.values()
        }
