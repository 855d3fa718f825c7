"""A query processor's connections to adjudicators, as its agent makes them: in time, and none twice."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from dsql.hub.waiter import Blocking
from dsql.rpc import packets
from dsql.session.agent_line import AgentLine
from dsql.session.control import Adjudicator, NeedAdjudicator, decode_from_query_processor, encode


class Agent:
    """The other end. `connect` answers a question, or gives unasked; it returns the adjudicator's end."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control

    def connect(self, az: str) -> socket.socket:
        theirs, adjudicators = socket.socketpair()
        with theirs:
            packets.send(self.control, encode(Adjudicator(az)), (theirs.fileno(),))
        return adjudicators

    @property
    def asked(self) -> list[str]:
        """The zones that were asked for since the last look."""
        found = []
        while True:
            try:
                packet, _ = packets.receive(self.control, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return found
            message = decode_from_query_processor(packet)
            assert isinstance(message, NeedAdjudicator)
            found.append(message.az)


@pytest.fixture
def ends() -> Iterator[tuple[AgentLine, Agent]]:
    ours, agents = packets.pair()
    with ours, agents:
        yield AgentLine(ours), Agent(agents)


def is_joined(connection: socket.socket, other: socket.socket) -> bool:
    connection.sendall(b"x")
    return other.recv(1) == b"x"


def reach(line: AgentLine, az: str) -> socket.socket:
    reached = line.new_adjudicator(az)
    assert reached is not None
    return reached[1]


def test_connection_that_was_prepared_is_there_when_it_is_needed(
    ends: tuple[AgentLine, Agent],
) -> None:
    line, agent = ends
    line.prepare_adjudicator("b")
    line.prepare_adjudicator("b")
    assert agent.asked == ["b"]
    with agent.connect("b") as prepared, agent.connect("c") as other:
        with reach(line, "b") as connection:  # on its way: not asked for once more
            assert is_joined(connection, prepared)
        with reach(line, "c") as connection:
            assert is_joined(connection, other)
        assert agent.asked == ["c"]


def test_prepared_connection_that_has_ended_is_made_anew(ends: tuple[AgentLine, Agent]) -> None:
    line, agent = ends
    line.prepare_adjudicator("b")
    agent.connect("b").close()
    line.prepare_adjudicator("c")
    with agent.connect("c") as other, reach(line, "c") as connection:  # has taken in both
        assert is_joined(connection, other)
    with agent.connect("b") as anew, reach(line, "b") as connection:
        assert is_joined(connection, anew)
    assert agent.asked == ["b", "c", "b"]


def test_zone_that_did_not_answer_is_asked_for_again(ends: tuple[AgentLine, Agent]) -> None:
    line, agent = ends
    line.prepare_adjudicator("b")
    for _ in range(2):
        packets.send(agent.control, encode(Adjudicator("b")))
    assert line.new_adjudicator("b") is None
    line.prepare_adjudicator("b")
    assert agent.asked == ["b", "b", "b"]


def test_answer_that_a_signal_handler_has_taken_in_is_not_waited_for(
    ends: tuple[AgentLine, Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    line, agent = ends
    line.attach(Blocking(), lambda message, descriptors: None, lambda: None)
    tell, others = line.tell, []

    def tell_and_be_interrupted(message: NeedAdjudicator) -> None:
        tell(message)
        others.append(agent.connect(message.az))
        line.hear()

    monkeypatch.setattr(line, "tell", tell_and_be_interrupted)
    line.prepare_adjudicator("b")
    for az in ("b", "c"):
        with reach(line, az) as connection:
            assert is_joined(connection, others[-1])
    for other in others:
        other.close()


def test_connection_that_another_one_replaces_is_closed(ends: tuple[AgentLine, Agent]) -> None:
    line, agent = ends
    with agent.connect("b") as replaced, agent.connect("b") as kept:
        line.attach(Blocking(), lambda message, descriptors: None, lambda: None)  # takes in both
        assert replaced.recv(1, socket.MSG_DONTWAIT) == b""
        with reach(line, "b") as connection:
            assert is_joined(connection, kept)


def test_preparing_tells_whether_a_connection_is_there(ends: tuple[AgentLine, Agent]) -> None:
    line, agent = ends
    line.attach(Blocking(), lambda message, descriptors: None, lambda: None)
    assert not line.prepare_adjudicator("b")
    prepared = agent.connect("b")
    line.hear()
    assert line.prepare_adjudicator("b")
    prepared.close()
    assert not line.prepare_adjudicator("b")  # and asks anew
    assert agent.asked == ["b", "b"]
    agent.control.close()
    line.hear()
    assert not line.prepare_adjudicator("b")
