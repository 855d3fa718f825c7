from __future__ import annotations

from random import Random

import msgspec
import pytest

from dsql import limits
from dsql.errors import FatalError
from placement.fleet import Fleet
from placement.messages import SEQUENCE_BITS, LoadReport, PoolLoad, agent_number


def report(
    name: str, az: str, pools: dict[str, PoolLoad] | None = None, busy: int = 0
) -> LoadReport:
    """Return one of an agent that may have two query processors with ten sessions each."""
    return LoadReport(name, az, f"{name}.sock", 1, busy, 2, 10, pools or {})


def test_agent_with_a_query_processor_of_the_cluster_in_the_zone_is_preferred() -> None:
    fleet = Fleet(Random(1))
    fleet.register(report("cold", "az1"))
    fleet.register(report("hot", "az1", {"c": PoolLoad(1, 5)}))
    fleet.register(report("far", "az2", {"c": PoolLoad(2, 0)}))
    assert fleet.place("c", "az1")[0] == "hot.sock"


def test_agent_whose_query_processors_have_no_room_is_not_preferred() -> None:
    fleet = Fleet(Random(1))
    fleet.register(report("hot", "az1", {"c": PoolLoad(1, 8)}, busy=1))
    fleet.register(report("cold", "az1"))
    places = [fleet.place("c", "az1")[0] for _ in range(3)]
    assert places == ["hot.sock", "hot.sock", "cold.sock"]


def test_zone_counts_more_than_a_pool_elsewhere() -> None:
    fleet = Fleet(Random(1))
    fleet.register(report("near", "az1"))
    fleet.register(report("far", "az2", {"c": PoolLoad(2, 0)}))
    assert fleet.place("c", "az1")[0] == "near.sock"


def test_full_agent_is_avoided_even_in_the_zone() -> None:
    fleet = Fleet(Random(1))
    fleet.register(report("full", "az1", {"d": PoolLoad(2, 2)}, busy=2))
    fleet.register(report("far", "az2"))
    assert fleet.place("c", "az1")[0] == "far.sock"


def test_full_agent_still_takes_sessions_of_clusters_that_it_has_room_for() -> None:
    fleet = Fleet(Random(1))
    fleet.register(report("full", "az1", {"d": PoolLoad(2, 2)}, busy=2))
    fleet.register(report("far", "az2"))
    assert fleet.place("d", "az1")[0] == "full.sock"


def test_of_two_agents_alike_the_one_with_fewer_sessions_is_taken() -> None:
    fleet = Fleet(Random(1))
    fleet.register(report("many", "az1", {"c": PoolLoad(1, 2), "d": PoolLoad(1, 5)}, busy=2))
    fleet.register(report("few", "az1", {"c": PoolLoad(1, 3)}, busy=1))
    assert {fleet.place("c", "az1")[0] for _ in range(4)} == {"few.sock"}


def test_placements_since_the_last_report_count_as_load() -> None:
    fleet = Fleet(Random(1))
    fleet.register(report("one", "az1"))
    fleet.register(report("two", "az1"))
    places = [fleet.place("c", "az1")[0] for _ in range(10)]
    assert places.count("one.sock") == 5


def test_process_id_names_its_agent_and_is_a_positive_int32() -> None:
    fleet = Fleet(Random(1))
    number = fleet.register(report("one", "az1"))
    ids = {fleet.place("c", "az1")[1] for _ in range(100)}
    assert len(ids) == 100
    assert all(agent_number(process_id) == number for process_id in ids)
    assert all(0 < process_id < 2**31 for process_id in ids)


def test_cluster_at_its_connection_limit_is_refused() -> None:
    fleet = Fleet(Random(1))
    fleet.register(report("one", "az1", {"c": PoolLoad(2, limits.CONNECTIONS_MAX)}))
    with pytest.raises(FatalError) as refusal:
        fleet.place("c", "az1")
    assert refusal.value.sqlstate == "53300"


def test_no_agent_means_not_accepting_connections() -> None:
    fleet = Fleet(Random(1))
    fleet.forget(fleet.register(report("one", "az1")))
    with pytest.raises(FatalError) as refusal:
        fleet.place("c", "az1")
    assert refusal.value.sqlstate == "57P03"


def test_several_places_have_consecutive_ids_of_one_agent():
    fleet = Fleet(Random(1))
    number = fleet.register(report("a", "az1"))
    _, first = fleet.place("c", "az1", 5)
    _, second = fleet.place("c", "az1", 5)
    assert agent_number(first) == agent_number(first + 4) == number
    assert not set(range(first, first + 5)) & set(range(second, second + 5))


def test_consecutive_ids_never_reach_into_the_next_agents():
    fleet = Fleet(Random(1))
    number = fleet.register(report("a", "az1"))
    places = []
    for _ in range(9):
        places.append(fleet.place("c", "az1", 1 << SEQUENCE_BITS - 2)[1])
        fleet.report(number, report("a", "az1"))
    last = (1 << SEQUENCE_BITS - 2) - 1
    assert {agent_number(first + last) for first in places} == {number}


def test_sessions_on_their_way_count_for_the_limit_of_connections():
    fleet = Fleet(Random(1))
    number = fleet.register(report("a", "az1"))
    fleet.place("c", "az1", limits.CONNECTIONS_MAX - 1)
    assert fleet.room("c") == 1
    fleet.place("c", "az1")
    with pytest.raises(FatalError, match="too many open connections"):
        fleet.place("c", "az1")
    assert fleet.room("d") == limits.CONNECTIONS_MAX
    fleet.report(number, report("a", "az1"))
    fleet.place("c", "az1")


def test_relays_of_other_hosts_are_told_of_agents_with_a_link_only() -> None:
    fleet = Fleet(Random(1))
    fleet.register(report("near", "az1", {"c": PoolLoad(1, 0)}))
    with pytest.raises(FatalError) as refused:
        fleet.place("c", "az1", linked=True)
    assert refused.value.sqlstate == "57P03"
    fleet.register(msgspec.structs.replace(report("far", "az2"), link="10.0.0.1:5440"))
    assert fleet.place("c", "az1", linked=True)[0] == "10.0.0.1:5440"
    assert fleet.place("c", "az1")[0] == "near.sock"
