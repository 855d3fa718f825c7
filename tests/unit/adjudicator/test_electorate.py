"""Whose turn it is to claim a cluster, by what a zone has heard of the others."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from adjudicator.electorate import (
    CLAIMING_SECONDS,
    LONELY_SECONDS,
    RANK_SECONDS,
    Electorate,
    Lead,
    Peer,
)

CLUSTER, ZONES = "c" * 26, ["a", "b", "c"]


def seen_from(own: str, *, heard: Sequence[str], suspects: dict[str, set[str]]) -> Electorate:
    """A cluster that `a` leads, as `own` sees it: whom it hears, and whom those hold for gone."""
    electorate = Electorate(own, Random(1))
    for az in ZONES:
        if az != own:
            peer = electorate.peers[az] = Peer()
            peer.heard = az in heard
            peer.suspects = frozenset(suspects.get(az, ()))
    electorate.learn(CLUSTER, Lead(7, "a"))
    return electorate


def turn(electorate: Electorate) -> float | None:
    return electorate.claim_after(CLUSTER, ZONES, now=0.0)


def test_nobody_claims_while_the_leader_lives() -> None:
    assert turn(seen_from("b", heard=["a", "c"], suspects={})) is None


def test_those_that_a_majority_is_with_claim_one_after_the_other() -> None:
    assert turn(seen_from("b", heard=["c"], suspects={"c": {"a"}})) == 0.0
    later = turn(seen_from("c", heard=["b"], suspects={"b": {"a"}}))
    assert later is not None
    assert RANK_SECONDS <= later < LONELY_SECONDS


def test_a_zone_that_alone_does_not_hear_the_leader_deposes_nobody_soon() -> None:
    later = turn(seen_from("b", heard=["c"], suspects={}))
    assert later is not None
    assert later >= LONELY_SECONDS


@pytest.mark.parametrize("own", ["b", "c"])
def test_a_leader_that_hears_no_majority_is_replaced_though_it_is_heard(own: str) -> None:
    electorate = seen_from(own, heard=ZONES, suspects={"a": {"b", "c"}})
    assert electorate.leader(CLUSTER) == ""
    later = turn(electorate)
    assert later is not None
    assert later < LONELY_SECONDS
    electorate.peers["a"].suspects = frozenset()
    assert electorate.leader(CLUSTER) == "a"


def test_a_leader_that_misses_one_zone_leads_on() -> None:
    for own in ("b", "c"):
        assert turn(seen_from(own, heard=ZONES, suspects={"a": {"c"}})) is None


def test_a_claim_of_another_is_waited_for_while_that_zone_lives() -> None:
    electorate = seen_from("c", heard=["b"], suspects={"b": {"a"}})
    electorate.claims(CLUSTER, "b", now=0.0)
    waiting = turn(electorate)
    assert waiting is not None
    assert waiting > CLAIMING_SECONDS
    later = electorate.claim_after(CLUSTER, ZONES, now=CLAIMING_SECONDS)
    assert later is not None
    assert later < CLAIMING_SECONDS


def test_lead_that_was_laid_down_is_claimed_without_anybodys_suspicion() -> None:
    electorate = seen_from("b", heard=["a", "c"], suspects={})
    electorate.learn(CLUSTER, Lead(7, ""))
    later = turn(electorate)
    assert later is not None
    assert RANK_SECONDS <= later < LONELY_SECONDS  # `a` comes first, if it wants to


def test_zone_that_stops_leads_until_it_lays_that_down_and_claims_nothing() -> None:
    electorate = seen_from("b", heard=["a", "c"], suspects={"a": {"a"}, "c": {"a"}})
    assert electorate.leader(CLUSTER) == "a"
    assert turn(electorate) is None
    electorate.learn(CLUSTER, Lead(7, ""))
    assert turn(electorate) == 0.0  # "a" does not want to
    electorate.stopping = True
    assert turn(electorate) is None
    assert "b" in electorate.suspects


@pytest.mark.parametrize(
    ("news", "is_news"),
    [
        (Lead(6, "b"), False),
        (Lead(7, "a"), False),
        (Lead(7, ""), True),
        (Lead(8, "b"), True),
    ],
)
def test_what_is_older_is_no_news(news: Lead, is_news: bool) -> None:
    electorate = seen_from("b", heard=ZONES, suspects={})
    assert electorate.learn(CLUSTER, news) == is_news
    assert (electorate.leads[CLUSTER] == news) == (is_news or news == Lead(7, "a"))


def test_zone_alone_in_its_cluster_claims_at_once() -> None:
    assert Electorate("a", Random(1)).claim_after(CLUSTER, ["a"], now=0.0) == 0.0
