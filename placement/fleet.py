"""The placement service's view of all host agents, and where a session should go: no I/O.

The view is soft state: agents report, the newest report wins, and an agent whose connection ended is
forgotten. A stale view costs a detour, never correctness, because the agent itself may still refuse.
"""

from __future__ import annotations

from random import Random

from dsql import limits
from dsql.errors import FatalError
from placement.messages import SEQUENCE_BITS, LoadReport, PoolLoad
from placement.pool import CANNOT_START, TOO_MANY_CONNECTIONS

AGENTS_MAX = 511  # a process id is a positive 32-bit integer
_EMPTY = PoolLoad(0, 0)


class _Agent:
    """One agent's newest report, and what was sent there since."""

    def __init__(self, report: LoadReport) -> None:
        self.report = report
        self.placed = 0
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
        """The busy share, counting what was placed since the report."""
        busy = sum(pool.busy for pool in self.report.pools.values()) + self.placed
        return busy / max(1, self.report.capacity)


class Fleet:
    """Agents by number."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._agents: dict[int, _Agent] = {}

    def register(self, report: LoadReport) -> int:
        """Take in a new agent and return its number. Raises ValueError if there are too many."""
        number = next((n for n in range(1, AGENTS_MAX + 1) if n not in self._agents), None)
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
        agent.placed = 0

    def forget(self, number: int) -> None:
        """An agent's connection has ended."""
        self._agents.pop(number, None)

    def place(self, cluster: str, az: str, count: int = 1) -> tuple[str, int]:
        """Return the agent's address and the first of `count` process ids for new sessions.

        Prefers, in this order: an idle query processor of the cluster in the AZ, a pool of the cluster in
        the AZ, any agent of the AZ, another AZ's pool, anyone; then the less loaded of two picked at
        random. Raises FatalError 53300 above the connection limit, 57P03 without any agent.
        """
        sessions = sum(agent.pool(cluster).busy for agent in self._agents.values())
        if sessions >= limits.CONNECTIONS_MAX:
            raise FatalError("53300", TOO_MANY_CONNECTIONS)
        if not self._agents:
            raise FatalError("57P03", CANNOT_START)
        ranks = {number: self._rank(agent, cluster, az) for number, agent in self._agents.items()}
        best = min(ranks.values())
        candidates = [number for number, rank in ranks.items() if rank == best]
        picked = self._random.sample(candidates, min(2, len(candidates)))
        number = min(picked, key=lambda candidate: self._agents[candidate].load)
        agent = self._agents[number]
        agent.placed += count
        return agent.report.address, number << SEQUENCE_BITS | agent.take(count)

    @staticmethod
    def _rank(agent: _Agent, cluster: str, az: str) -> tuple[bool, bool, bool, bool]:
        pool = agent.pool(cluster)
        full = agent.load >= 1
        elsewhere = agent.report.az != az
        return full, elsewhere, not pool.idle, not (pool.idle or pool.busy)

    def status(self) -> dict[str, object]:
        """Return the table of agents, for people."""
        return {
            agent.report.name: {
                "az": agent.report.az,
                "address": agent.report.address,
                "warm": agent.report.warm,
                "load": round(agent.load, 4),
                "pools": {name: [p.idle, p.busy] for name, p in agent.report.pools.items()},
            }
            for agent in self._agents.values()
        }


def agent_number(process_id: int) -> int:
    """Return the number of the agent that holds the session with this process id."""
    return process_id >> SEQUENCE_BITS
