"""Whatever a statement does, its query processor stays within its memory and serves the next one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from running_cluster import RunningCluster

MEGABYTE = "repeat('x', 1000000)"
MANY = "from generate_series(1, 100000) g"
SIXTY_MEGABYTES = "repeat('x', 60000000)"
ONE_BY_ONE = ", ".join([f"{MEGABYTE} || g"] * 1500)
# what a process has before its first statement, the limit on top of it, and what is shared with the seed
RESIDENT_MEBIBYTES_MAX = 1024 + 150

ATTACKS = {
    "a row of large values": f"select {', '.join([SIXTY_MEGABYTES] * 12)}",
    "an array of large values": f"select cardinality(array[{ONE_BY_ONE}]) {MANY}",
    "a text that grows": "select length(replace(repeat('x', 60000000), 'x', 'yy'))",
    "joined texts": f"select length({' || '.join([SIXTY_MEGABYTES] * 11)})",
    "string_agg": f"select length(string_agg({MEGABYTE}, '')) {MANY}",
    "a recursion": f"with recursive r (n, s) as (select 1, {MEGABYTE} union all"
    " select n + 1, s || n from r) select count(*) from r",
}
PROFILES = {"dsql": {"54000", "53200"}, "postgres": {"54000", "53200", "53400"}}


@pytest.fixture(scope="module", params=PROFILES)
def attacked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningCluster]:
    """A cluster of either profile."""
    running = RunningCluster(tmp_path_factory.mktemp("attacked"), request.param).start()
    yield running
    running.stop()


def most_resident(cluster: RunningCluster) -> int:
    """Return the MiB that the largest of all processes ever had in memory."""
    peaks = [0]
    for process_id in cluster.processes():
        try:
            status = Path(f"/proc/{process_id}/status").read_text()
        except OSError:
            continue
        peaks += [int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line]
    return max(peaks) // 1024


def test_groups_of_more_than_memory_holds_are_made_in_turns(attacked: Any) -> None:
    largest = f"select max({MEGABYTE} || g) m from generate_series(1, 2000) g group by g"
    with psycopg.connect(**attacked.dsn(), autocommit=True) as session:
        assert session.execute(f"select count(m) from ({largest}) s").fetchone() == (2000,)
    assert most_resident(attacked) < 512


@pytest.mark.parametrize("name", ATTACKS)
def test_it_ends_in_an_error_and_the_session_goes_on(attacked: Any, name: str) -> None:
    with psycopg.connect(**attacked.dsn(), autocommit=True) as session:
        with pytest.raises(psycopg.Error) as caught:
            session.execute(ATTACKS[name])
        assert caught.value.sqlstate in PROFILES[attacked.profile], caught.value
        assert session.execute("select 1").fetchone() == (1,)
    assert most_resident(attacked) < RESIDENT_MEBIBYTES_MAX


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("select g from {} order by g::bigint * 7919 % 1000003 desc limit 10", 341332),
        (
            "select max(r) from (select rank() over (partition by g % 1000 order by g::bigint"
            " * 7919 % 1000003) r from {}) s",
            1000,
        ),
    ],
)
def test_a_million_rows_are_sorted_and_ranked(
    attacked: RunningCluster, query: str, answer: int
) -> None:
    with psycopg.connect(**attacked.dsn(), autocommit=True) as session:
        row = session.execute(query.format("generate_series(1, 1000000) g")).fetchone()
    assert row == (answer,)
