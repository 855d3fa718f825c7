from __future__ import annotations

import itertools
from random import Random

import pytest

from dsql.chaos.faults import (
    KINDS,
    Abilities,
    Action,
    Victims,
    choose_zones,
    cuts,
    schedule,
    select,
)

ZONES = ["a", "b", "c"]
ALL = Abilities(zones=3, cuts=True, filler=True)


def test_a_seed_repeats_the_order_and_the_victims() -> None:
    def plan(seed: int) -> list[object]:
        chance = Random(seed)
        names = list(itertools.islice(schedule(list(KINDS), chance), 100))
        return [(n, choose_zones(KINDS[n].victims, ZONES, "a", chance)) for n in names]

    assert plan(7) == plan(7)
    assert plan(7) != plan(8)


def test_each_fault_comes_once_a_round() -> None:
    names = select(["kill-*"], ALL)
    rounds = list(itertools.islice(schedule(names, Random(1)), 3 * len(names)))
    for start in range(0, len(rounds), len(names)):
        assert sorted(rounds[start : start + len(names)]) == sorted(names)


def test_what_cannot_be_done_is_not_selected() -> None:
    assert select(["*"], ALL) == list(KINDS)
    without = select(["*"], ALL._replace(cuts=False, filler=False))
    assert set(KINDS) - set(without) == {
        "cut-leader",
        "cut-zone",
        "deafen-leader",
        "mute-leader",
        "fill-disk",
    }
    alone = {KINDS[name] for name in select(["*"], ALL._replace(zones=1))}
    assert {kind.action for kind in alone} == {Action.KILL, Action.PAUSE, Action.FILL_DISK}
    assert not {kind.victims for kind in alone} & {
        Victims.FOLLOWER,
        Victims.FOLLOWERS,
        Victims.LEADER_AND_ONE,
        Victims.ZONES,
    }


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(LookupError, match="'stop-\\*'"):
        select(["kill-*", "stop-*"], ALL)


@pytest.mark.parametrize("name", [n for n, kind in KINDS.items() if kind.action is Action.DAMAGE])
@pytest.mark.parametrize("seed", range(5))
def test_damage_meets_one_zone_only(name: str, seed: int) -> None:
    assert len(choose_zones(KINDS[name].victims, ZONES, "b", Random(seed))) == 1


@pytest.mark.parametrize("leader", ZONES)
def test_followers_are_not_the_leader(leader: str) -> None:
    for victims in (Victims.FOLLOWER, Victims.FOLLOWERS):
        assert leader not in choose_zones(victims, ZONES, leader, Random(3))
    assert leader in choose_zones(Victims.LEADER_AND_ONE, ZONES, leader, Random(3))


def test_a_cut_zone_neither_hears_nor_is_heard() -> None:
    assert cuts(Action.DEAFEN, "b", ZONES) == [("b", "a"), ("b", "c")]
    assert cuts(Action.MUTE, "b", ZONES) == [("a", "b"), ("c", "b")]
    assert cuts(Action.CUT, "b", ZONES) == [("b", "a"), ("b", "c"), ("a", "b"), ("c", "b")]


def test_every_fault_has_a_title_of_its_own() -> None:
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)
