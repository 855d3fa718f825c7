"""The feed of notifications of a query processor, with zones that say what a test lets them."""

from __future__ import annotations

import msgspec
import pytest

from adjudicator.listening import NotificationFeed
from adjudicator.messages import Request, Verdict, decode_status, encode_heard
from dsql.hub.hub import Hub
from dsql.transaction.interface import Notification

AZS = ["az1", "az2", "az3"]


class Zone:
    """A connection to one: `asked` are the feeds that it was asked for, each with its beginning."""

    def __init__(self) -> None:
        self.is_open = True
        self.feed = None
        self.asked: list[tuple[bytes, int]] = []

    def watch(self, deadline: float) -> float:
        return deadline

    def tell(self, request: bytes) -> None:
        assert request[0] == Request.LISTEN
        self.asked.append(decode_status(request))


class Listener:
    def __init__(self) -> None:
        self.heard: list[tuple[int, str]] = []
        self.ended = 0

    def hear(self, timestamp: int, notification: Notification) -> None:
        self.heard.append((timestamp, notification[2]))

    def forgotten(self) -> None:
        self.ended += 1


class Cluster:
    def __init__(self) -> None:
        self.hub = Hub()
        self.zones = {az: Zone() for az in AZS}
        self.away: set[str] = set()
        self.feed = NotificationFeed(AZS, self._reach, self.hub, self.hub.spawn, lambda: 100)

    def _reach(self, az: str) -> Zone | None:
        return None if az in self.away else self.zones[az]

    def listener(self, behind: int) -> Listener:
        listener = Listener()
        self.feed.join(listener, behind)
        self.feed.listen(listener, "news")
        self.settle()
        return listener

    def settle(self) -> None:
        """Let the task do what it can now."""
        self.hub.run(lambda: not self.hub.ready)

    def says(self, az: str, timestamp: int, *payloads: str) -> None:
        told = tuple((7, "news", payload) for payload in payloads)
        body = encode_heard(b"", timestamp, msgspec.msgpack.encode(told) if told else b"")
        self.feed.said(az, self.zones[az].asked[-1][0], Verdict.HEARD, timestamp, body)

    def forgets(self, az: str) -> None:
        self.feed.said(az, self.zones[az].asked[-1][0], Verdict.FORGOTTEN, 0, b"")


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_every_zone_is_asked_and_whichever_is_first_is_passed_on_once(cluster: Cluster) -> None:
    listener = cluster.listener(100)
    assert [cluster.zones[az].asked[0][1] for az in AZS] == [100, 100, 100]
    cluster.says("az2", 101, "a", "b")
    cluster.says("az1", 101, "a", "b")
    cluster.says("az1", 103, "c")
    cluster.says("az2", 103, "c")
    cluster.says("az3", 101, "a", "b")
    assert listener.heard == [(101, "a"), (101, "b"), (103, "c")]


def test_a_zone_that_is_lost_is_asked_again_from_where_the_feed_is(cluster: Cluster) -> None:
    cluster.listener(100)
    cluster.says("az1", 140)
    cluster.feed.lost("az3")
    cluster.settle()
    assert cluster.zones["az3"].asked[-1] == (cluster.zones["az1"].asked[0][0], 140)
    assert len(cluster.zones["az1"].asked) == 1


def test_who_comes_from_further_behind_hears_alone_what_others_have_heard(
    cluster: Cluster,
) -> None:
    first = cluster.listener(100)
    cluster.says("az1", 150, "a")
    second = cluster.listener(120)
    assert cluster.zones["az1"].asked[-1][1] == 120
    cluster.says("az1", 150, "a")
    cluster.says("az1", 160, "b")
    assert first.heard == [(150, "a"), (160, "b")]
    assert second.heard == [(150, "a"), (160, "b")]


def test_what_is_said_under_an_earlier_feeds_name_moves_nothing(cluster: Cluster) -> None:
    """Else what the new feed is to repeat would be taken for known."""
    cluster.listener(100)
    earlier = cluster.zones["az2"].asked[-1][0]
    second = cluster.listener(50)
    cluster.feed.said("az2", earlier, Verdict.HEARD, 200, encode_heard(b"", 200))
    cluster.says("az1", 60, "a")
    assert second.heard == [(60, "a")]


def test_listeners_are_told_when_most_journals_have_not_what_comes_next(cluster: Cluster) -> None:
    listener = cluster.listener(100)
    cluster.forgets("az1")
    assert not listener.ended
    cluster.away = set(AZS)
    cluster.forgets("az3")
    assert listener.ended == 1


def test_a_zone_that_has_forgotten_harms_nobody_while_others_go_on(cluster: Cluster) -> None:
    listener = cluster.listener(100)
    cluster.forgets("az1")
    cluster.says("az2", 130, "a")
    cluster.forgets("az3")
    assert (listener.ended, listener.heard) == (0, [(130, "a")])


def test_nothing_runs_and_zones_are_told_so_when_nobody_listens_any_more(cluster: Cluster) -> None:
    listener = cluster.listener(100)
    assert cluster.hub.tasks == 1
    cluster.feed.unlisten(listener, "news")
    cluster.feed.leave(listener)
    cluster.settle()
    assert cluster.hub.tasks == 0
    assert [cluster.zones[az].asked[-1][1] for az in AZS] == [0, 0, 0]


def test_a_zone_that_cannot_be_reached_is_tried_again(cluster: Cluster) -> None:
    cluster.away = {"az2"}
    cluster.listener(100)
    assert not cluster.zones["az2"].asked
    cluster.away = set()
    cluster.hub.run(lambda: bool(cluster.zones["az2"].asked))
    assert len(cluster.zones["az1"].asked) == 1
