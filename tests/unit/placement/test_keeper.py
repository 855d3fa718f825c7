"""A parked session is with one agent only, whoever dies when, and with the next one afterwards."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsql.rpc import packets
from placement import keeper as keepers
from placement.keeper import Keeper
from placement.keeping import Attend, Forget, Keep, ToKeeper, decode, encode


class Agent:
    """An agent as its keeper sees it. `mine` are the sessions that it may wake."""

    def __init__(self, path: Path, name: str) -> None:
        self.mine: set[int] = set()
        self._connection = packets.connect(path)
        self._connection.setblocking(False)
        self._say(Attend(name))

    def park(self, number: int, client: int | None = None) -> None:
        """Have a session kept, with a socket like any other."""
        with open(os.devnull) as device:
            keep = Keep(number, "c", (number, 1), 5.0, b"record %d" % number)
            self._say(keep, device.fileno() if client is None else client)
        self.mine.add(number)

    def wake(self, number: int) -> None:
        """Do what comes before the record is given away."""
        self.mine.remove(number)
        self._say(Forget(number))

    def hear(self) -> Keep | None:
        """Take in one session of an earlier agent, if there is any."""
        try:
            packet, descriptors = packets.receive(self._connection)
        except BlockingIOError:
            return None
        assert len(descriptors) == 1
        packets.close_all(descriptors)
        found = decode(packet)
        assert isinstance(found, Keep)
        assert found.number not in self.mine
        self.mine.add(found.number)
        return found

    def die(self) -> None:
        """Leave unread what is unread, as a killed one does."""
        self._connection.close()

    def _say(self, message: ToKeeper, *descriptors: int) -> None:
        packets.send(self._connection, encode(message), descriptors)


class Place:
    """A keeper that runs when it is told to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listener = packets.listen(path)
        self.keeper = Keeper(self._listener, lambda: None)
        self._agents: list[Agent] = []

    def agent(self, name: str = "agent") -> Agent:
        agent = Agent(self.path, name)
        self._agents.append(agent)
        return agent

    def catch_up(self, turns: int = 200) -> None:
        for _ in range(turns):
            self.keeper.turn(0)

    def close(self) -> None:
        self._listener.close()
        for agent in self._agents:
            agent.die()
        for attendant in self.keeper._attendants.values():
            attendant.connection.close()
        for kept in self.keeper._kept.values():
            packets.close_all(session.client for session in kept.values())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.chdir(tmp_path)
    place = Place(Path("keeper"))
    yield place
    place.close()


def heard(agent: Agent, place: Place) -> dict[int, Keep]:
    """Return all that an agent is shown."""
    found: dict[int, Keep] = {}
    place.catch_up()
    while (session := agent.hear()) is not None:
        found[session.number] = session
        place.keeper.turn(0)
    return found


def test_the_next_agent_has_what_was_parked_as_it_was(place: Place) -> None:
    first = place.agent()
    first.park(1)
    first.die()
    assert heard(place.agent(), place) == {1: Keep(1, "c", (1, 1), 5.0, b"record 1")}


def test_agents_of_other_names_have_nothing_of_it(place: Place) -> None:
    first, other = place.agent(), place.agent("agent-2")
    first.park(1)
    first.die()
    assert heard(other, place) == {}


def test_as_long_as_an_agent_lives_nobody_has_its_sessions(place: Place) -> None:
    first = place.agent()
    first.park(1)
    second = place.agent()
    assert heard(second, place) == {}
    first.die()
    assert set(heard(second, place)) == {1}


def test_what_an_agent_said_last_counts_though_it_died_with_much_unread(place: Place) -> None:
    first = place.agent()
    first.park(1)
    first.die()
    second = place.agent()
    place.catch_up()  # it has been shown session 1, and does not read that
    second.park(2)
    second.park(3)
    second.wake(2)
    second.die()
    assert set(heard(place.agent(), place)) == {1, 3}


def test_a_session_that_is_woken_is_held_open_by_nobody(place: Place) -> None:
    agent = place.agent()
    ours, client = socket.socketpair()
    with ours:
        with client:
            agent.park(1, client.fileno())
            place.catch_up()
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(1)
        agent.wake(1)
        place.catch_up()
        assert ours.recv(1) == b""


def test_sessions_for_which_no_agent_comes_are_closed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keepers, "WITHOUT_AGENT_SECONDS", -1.0)
    agent, living = place.agent(), place.agent("agent-2")
    agent.park(1)
    living.park(2)
    agent.die()
    place.catch_up()
    place.keeper._give_up(keepers.time.monotonic())
    assert heard(place.agent(), place) == {}
    living.die()
    assert set(heard(place.agent("agent-2"), place)) == {2}


@pytest.mark.parametrize("seed", range(40))
def test_no_session_is_woken_twice_or_lost_whoever_dies_when(place: Place, seed: int) -> None:
    chance = random.Random(seed)
    agents = [place.agent()]
    parked, woken = 0, set()
    for _ in range(200):
        agent = chance.choice(agents)
        match chance.choice(("park", "park", "wake", "hear", "turn", "turn", "die", "come")):
            case "park":
                parked += 1
                agent.park(parked)
            case "wake" if agent.mine:
                number = chance.choice(sorted(agent.mine))
                assert number not in woken
                agent.wake(number)
                woken.add(number)
            case "hear":
                with contextlib.suppress(ConnectionError):
                    agent.hear()
            case "turn":
                place.keeper.turn(0)
            case "die":
                agents.remove(agent)
                agent.die()
                agents = agents or [place.agent()]
            case "come" if len(agents) < 3:
                agents.append(place.agent())
    for agent in agents:
        agent.die()
    assert set(heard(place.agent(), place)) == set(range(1, parked + 1)) - woken
