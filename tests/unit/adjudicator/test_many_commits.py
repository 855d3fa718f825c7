"""Commits of many activities of a process are under way at once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import msgspec
import pytest

from adjudicator import client, zone_connection
from adjudicator.client import AdjudicatorClient
from adjudicator.messages import Request, Verdict, encode_death, encode_reply, subject_of
from dsql.hub.hub import Hub
from dsql.rpc.framing import frame
from dsql.transaction.interface import (
    Buried,
    Committed,
    Conflict,
    Unavailable,
    Unknown,
    WriteSet,
)
from tests.unit.adjudicator.zones import AZS, Zones, buries, commits, is_silent, names

MANY = 20
IDS = [b"%016d" % number for number in range(MANY)]


def encoded(transaction_id: bytes, size: int = 0) -> bytes:
    return msgspec.msgpack.encode(WriteSet(transaction_id, 5, [], [(b"k", 0, bytes(size))]))


class Committers:
    """Tasks that commit, and how that ended.

    Patient ones, because the zones are threads of this process, and a busy machine may starve them.
    """

    def __init__(self, patience: float = 60.0, reach: float = 60.0, resolve: float = 60.0) -> None:
        self.zones = Zones()
        self.hub = Hub()
        self.outcomes: dict[bytes, object] = {}
        self.client = AdjudicatorClient(
            AZS,
            self._connect,
            patience_seconds=patience,
            reach_seconds=reach,
            resolve_seconds=resolve,
            waiter=self.hub,
        )
        self.hub.at_round_end = self.client.flush

    def _connect(self, az: str) -> tuple[str, socket.socket]:
        """As a query processor does: another process is asked, and others run meanwhile."""
        for _ in range(3):
            self.hub.wait(self.hub.monotonic())
        return self.zones.connect(az)

    def run(self, ids: list[bytes] = IDS, size: int = 0) -> list[object]:
        for transaction_id in ids:
            self.hub.spawn(lambda one=transaction_id: self.commit(one, size))
        self.hub.run(lambda: not self.hub.tasks)
        return [self.outcomes.pop(one) for one in ids]

    def commit(self, transaction_id: bytes, size: int = 0) -> None:
        request = encoded(transaction_id, size)
        self.outcomes[transaction_id] = self.client.commit(request, transaction_id)

    def remembered(self) -> int:
        return sum(len(one._asked) for one in self.client._zones._connections.values())

    def close(self) -> None:
        self.client.close()
        self.zones.close()
        self.hub.close()


@pytest.fixture
def committers() -> Iterator[Committers]:
    committers = Committers()
    yield committers
    committers.close()


@pytest.fixture
def impatient() -> Iterator[Committers]:
    committers = Committers(0.05, 0.1, 0.5)
    yield committers
    committers.close()


def test_commits_of_a_round_leave_together_and_each_gets_its_own_answer(
    committers: Committers,
) -> None:
    def answer(request: bytes) -> bytes:
        number = int(subject_of(request))
        verdict = Verdict.COMMITTED if number % 2 else Verdict.DATA_CONFLICT
        return encode_reply(subject_of(request), verdict, number)

    def act(request: bytes) -> bytes | None:
        return answer(request)

    committers.zones.acts["az1"] = act
    expected = [Committed(n) if n % 2 else Conflict(schema=False, met=n) for n in range(MANY)]
    assert committers.run() == expected
    committers.zones.sends.clear()
    assert committers.run() == expected
    size = MANY * len(frame(b"\1" + encoded(IDS[0])))
    assert committers.zones.sends == [("az1", size)]
    assert committers.zones.connected == AZS
    assert not committers.remembered()


def test_answers_may_overtake_each_other(impatient: Committers) -> None:
    late = threading.Event()

    def act(request: bytes) -> bytes | None:
        if subject_of(request) != IDS[0]:
            late.set()
            return commits(request)
        return None

    def is_asked(request: bytes) -> bytes | None:
        late.wait(5)
        return encode_reply(subject_of(request), Verdict.COMMITTED, 1)

    impatient.zones.acts |= {"az1": act, "az2": is_asked}
    outcomes = impatient.run()
    assert outcomes == [Committed(1), *[Committed(77)] * (MANY - 1)]


def test_who_is_alone_asks_and_waits_without_the_hub(committers: Committers) -> None:
    committers.zones.acts["az1"] = commits
    assert committers.run(IDS[:1]) == [Committed(77)]
    committers.hub.wait = None  # type: ignore[method-assign, assignment]
    assert committers.run(IDS[:1]) == [Committed(77)]
    watched = committers.client._zones._connections
    assert committers.hub._sources.keys() == {watched[az].fileno() for az in ("az2", "az3")}


def test_a_lost_connection_is_made_once_anew_and_each_asks_for_its_own(
    committers: Committers,
) -> None:
    """The leader dies with all of them, and half had reached the journal."""
    lost: list[bytes] = []

    def act(request: bytes) -> bytes | None:
        if request[0] == Request.COMMIT:
            lost.append(subject_of(request))
            return b"" if len(lost) == MANY else None
        verdict = Verdict.COMMITTED if int(subject_of(request)) % 2 else Verdict.ABORTED
        return encode_reply(subject_of(request), verdict, 9)

    committers.zones.acts["az1"] = act
    outcomes = committers.run()
    assert outcomes[1::2] == [Committed(9)] * (MANY // 2)
    assert Committed(9) not in outcomes[::2]
    assert sorted(lost) == IDS, "none is sent twice"
    assert committers.zones.connected.count("az1") == 2
    assert not committers.remembered()


def test_who_waits_for_a_zone_that_has_died_asks_elsewhere_though_its_connection_stays_open(
    committers: Committers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is dying: it takes connections, reads, and says nothing. One that listens only is told."""
    committers.zones.acts["az1"] = commits
    assert committers.run() == [Committed(77)] * MANY
    received: list[bytes] = []

    def dies(request: bytes) -> bytes | None:
        if request[0] == Request.COMMIT:
            received.append(request)
            if len(received) == MANY:
                committers.zones.say("az3", encode_death(0))
        return None

    def buries_and_knows_nothing(request: bytes) -> bytes | None:
        return names(0)(request) if request[0] == Request.COMMIT else buries(request)

    committers.zones.acts |= {"az1": dies, "az2": buries_and_knows_nothing, "az3": buries}
    monkeypatch.setattr(client, "_DYING_SECONDS", 60.0)
    assert committers.run() == [Buried()] * MANY
    committers.client._leader = "az2"
    assert committers.run() == [Committed(88)] * MANY
    assert len(received) == MANY, "nobody comes back to it, whoever takes it for the leader"


def test_deaths_of_before_a_connection_was_made_are_not_believed(committers: Committers) -> None:
    committers.zones.acts["az1"] = commits
    committers.zones.greets["az2"] = encode_death(0)
    assert committers.run() == committers.run() == [Committed(77)] * MANY
    assert committers.zones.connected == AZS


def test_many_follow_a_change_of_leaders(committers: Committers) -> None:
    committers.zones.acts |= {"az1": names(2), "az3": commits}
    assert committers.run() == [Committed(77)] * MANY
    assert committers.zones.connected == ["az1", "az3", "az2"]
    committers.zones.asked.clear()
    assert committers.run() == [Committed(77)] * MANY
    assert committers.zones.asked == [("az3", Request.COMMIT)] * MANY


def test_who_waits_for_a_connection_that_fails_goes_elsewhere(committers: Committers) -> None:
    committers.zones.gone, committers.zones.acts["az2"] = {"az1"}, commits
    assert committers.run() == [Committed(77)] * MANY
    assert committers.zones.connected == ["az2", "az3"]


def test_commits_that_no_zone_takes_have_certainly_not_happened(impatient: Committers) -> None:
    impatient.zones.gone = set(AZS)
    assert impatient.run() == [Unavailable()] * MANY


def test_zones_that_never_answer_leave_nothing_behind(impatient: Committers) -> None:
    impatient.zones.acts = dict.fromkeys(AZS, is_silent)
    assert impatient.run() == [Unknown()] * MANY
    assert not impatient.remembered()


def test_what_the_kernel_does_not_take_at_once_follows(committers: Committers) -> None:
    committers.zones.acts["az1"] = commits
    assert committers.run(IDS[:4], size=2_000_000) == [Committed(77)] * 4
    asked = committers.zones.asked
    assert [az for az, kind in asked if kind == Request.COMMIT] == ["az1"] * 4


def test_a_zone_that_does_not_read_is_left_and_what_was_cut_is_sent_elsewhere(
    committers: Committers,
) -> None:
    reading = threading.Event()

    def stands_still(request: bytes) -> bytes | None:
        reading.wait(5)
        return b""

    def acts(request: bytes) -> bytes | None:
        if request[0] == Request.COMMIT:
            reading.set()
        return commits(request)

    committers.zones.acts |= {"az1": stands_still, "az2": acts}
    assert committers.run(IDS[:2], size=1_000_000) == [Committed(77)] * 2
    assert ("az2", Request.COMMIT) in committers.zones.asked


def test_no_more_is_asked_at_once_than_a_zone_takes(
    committers: Committers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zone_connection, "REQUESTS_MAX", 3)
    committers.zones.acts["az1"] = commits
    assert committers.run() == [Committed(77)] * MANY
    size = len(frame(b"\1" + encoded(IDS[0])))
    assert max(sent for _, sent in committers.zones.sends) <= 3 * size
    monkeypatch.setattr(zone_connection, "REQUESTS_BYTES_MAX", 2 * size)
    assert committers.run() == [Committed(77)] * MANY


def test_an_answer_that_makes_no_sense_ends_its_connection_only(committers: Committers) -> None:
    def babbles(request: bytes) -> bytes | None:
        return b"what?" if request[0] == Request.COMMIT else commits(request)

    committers.zones.acts["az1"] = babbles
    assert committers.run() == [Committed(77)] * MANY
