"""A query processor's commit among zones of which some lead, refuse, are silent or gone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import msgspec
import pytest

from adjudicator.client import AdjudicatorClient
from adjudicator.messages import Request, Verdict, encode_reply, subject_of
from dsql.transaction.interface import Buried, Committed, Unavailable, Unknown, WriteSet
from tests.unit.adjudicator.zones import AZS, Zones, buries, commits, is_silent, names

ID = b"i" * 16


@pytest.fixture
def zones() -> Iterator[Zones]:
    zones = Zones()
    yield zones
    zones.close()


@pytest.fixture
def client(zones: Zones) -> Iterator[AdjudicatorClient]:
    client = AdjudicatorClient(
        AZS, zones.connect, patience_seconds=0.02, reach_seconds=0.1, resolve_seconds=0.3
    )
    yield client
    client.close()


def commit(client: AdjudicatorClient) -> object:
    return client.commit(msgspec.msgpack.encode(WriteSet(ID, 5, [], [])), ID)


def test_commit_goes_to_the_zone_that_a_refusal_names_and_the_next_one_at_once(
    zones: Zones, client: AdjudicatorClient
) -> None:
    zones.acts |= {"az1": names(2), "az3": commits}
    assert commit(client) == Committed(77)
    assert commit(client) == Committed(77)
    assert zones.asked == [("az1", Request.COMMIT), *[("az3", Request.COMMIT)] * 2]


def test_commit_goes_to_another_zone_if_the_leaders_takes_no_connection(
    zones: Zones, client: AdjudicatorClient
) -> None:
    zones.gone, zones.acts["az2"] = {"az1"}, commits
    assert commit(client) == Committed(77)
    assert zones.asked == [("az2", Request.COMMIT)]


def test_commit_of_a_silent_leader_is_asked_for_elsewhere_and_never_sent_again(
    zones: Zones, client: AdjudicatorClient
) -> None:
    zones.acts |= {"az1": is_silent, "az2": buries, "az3": is_silent}
    assert commit(client) == Buried()
    assert [zone for zone, kind in zones.asked if kind == Request.COMMIT] == ["az1"]
    assert ("az1", Request.STATUS) not in zones.asked
    assert commit(client) == Committed(88)  # and the next one goes to the new leader


def test_leader_that_is_only_slow_gives_the_answer(zones: Zones, client: AdjudicatorClient) -> None:
    asked_elsewhere = threading.Event()

    def is_slow(request: bytes) -> bytes | None:
        asked_elsewhere.wait(5)
        return commits(request)

    def refuses(request: bytes) -> bytes | None:
        asked_elsewhere.set()
        return names(0)(request)

    zones.acts |= {"az1": is_slow, "az2": refuses}
    assert commit(client) == Committed(77)


def test_leader_that_is_only_slow_gives_the_answer_though_no_connection_can_be_made(
    zones: Zones,
) -> None:
    asked_for_others = threading.Event()

    def is_slow(request: bytes) -> bytes | None:
        asked_for_others.wait(5)
        return commits(request)

    def connect(az: str) -> tuple[str, socket.socket]:
        assert not zones.connected, "this would wait, and the answer is on its way"
        return zones.connect(az)

    def prepare(az: str) -> bool:
        asked_for_others.set()
        return False

    zones.acts["az1"] = is_slow
    client = AdjudicatorClient(AZS, connect, prepare=prepare, patience_seconds=0.02)
    assert commit(client) == Committed(77)
    client.close()


def test_leader_that_dies_with_the_request_is_asked_too_once_it_is_back(
    zones: Zones, client: AdjudicatorClient
) -> None:
    first = threading.Event()

    def dies_once(request: bytes) -> bytes | None:
        if first.is_set():
            return commits(request)
        first.set()
        return b""

    zones.acts["az1"] = dies_once
    assert commit(client) == Committed(77)
    assert [kind for zone, kind in zones.asked if zone == "az1"] == [
        Request.COMMIT,
        Request.STATUS,
    ]


def test_outcome_that_nobody_can_tell_in_time_stays_unknown(
    zones: Zones, client: AdjudicatorClient
) -> None:
    zones.acts["az1"] = is_silent
    assert commit(client) == Unknown()


def test_commit_that_no_zone_takes_has_certainly_not_happened(
    zones: Zones, client: AdjudicatorClient
) -> None:
    zones.gone = set(AZS)
    assert commit(client) == Unavailable()


def test_commit_that_is_refused_late_has_certainly_not_happened(
    zones: Zones, client: AdjudicatorClient
) -> None:
    asked_elsewhere = threading.Event()

    def gives_up(request: bytes) -> bytes | None:
        asked_elsewhere.wait(5)
        return encode_reply(subject_of(request), Verdict.UNAVAILABLE)

    def is_asked(request: bytes) -> bytes | None:
        asked_elsewhere.set()
        return None

    zones.acts |= {"az1": gives_up, "az2": is_asked, "az3": is_asked}
    assert commit(client) == Unavailable()


def test_zones_without_a_connection_are_prepared_for_while_commits_go_well(zones: Zones) -> None:
    prepared: list[str] = []
    zones.acts["az1"] = commits

    def prepare(az: str) -> bool:
        prepared.append(az)
        return False

    client = AdjudicatorClient(AZS, zones.connect, prepare=prepare)
    assert commit(client) == commit(client) == Committed(77)
    assert prepared == ["az2", "az3"]  # at 77, and not again within a second
    zones.acts["az1"] = lambda request: encode_reply(
        subject_of(request), Verdict.COMMITTED, 1_000_077
    )
    assert commit(client) == Committed(1_000_077)
    assert prepared == ["az2", "az3"] * 2
    client.close()


def test_zone_that_was_lost_is_reached_again_when_the_others_have_been_asked(
    zones: Zones, client: AdjudicatorClient
) -> None:
    zones.acts |= {"az1": lambda request: b"", "az2": buries, "az3": is_silent}
    assert commit(client) == Buried()
    assert zones.connected == ["az1", "az2", "az3", "az1"]


def cannot(request: bytes) -> bytes | None:
    """A leader that nobody answers."""
    verdict = Verdict.UNAVAILABLE if request[0] == Request.COMMIT else Verdict.UNDECIDED
    return encode_reply(subject_of(request), verdict)


def test_leader_without_a_majority_is_left_for_one_that_has_it(
    zones: Zones, client: AdjudicatorClient
) -> None:
    zones.acts |= {"az1": cannot, "az2": buries, "az3": is_silent}
    assert commit(client) == Buried()  # nobody has decided on it: it may be sent again
    assert commit(client) == Committed(88)
    commits = [az for az, request in zones.asked if request == Request.COMMIT]
    assert commits == ["az1", "az2"]


@pytest.mark.parametrize("others", ["silent", "gone"])
def test_where_nobody_has_a_majority_a_commit_is_refused_and_was_sent_to_one_zone_only(
    zones: Zones, client: AdjudicatorClient, others: str
) -> None:
    zones.acts |= {"az1": cannot, "az2": is_silent, "az3": is_silent}
    zones.gone = {"az2", "az3"} if others == "gone" else set()
    assert commit(client) == Unavailable()
    assert zones.asked.count(("az1", Request.COMMIT)) == 1
    assert not [kind for az, kind in zones.asked if az != "az1" and kind == Request.COMMIT]
