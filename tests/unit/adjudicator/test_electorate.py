"""Whose turn it is to claim a cluster, by what a zone has heard of the others."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from adjudicator.electorate import LONELY_SECONDS, RANK_SECONDS, Electorate, Lead, Peer

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
