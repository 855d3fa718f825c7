"""Every word that a role may say, and what is concluded from those that say nothing."""

from __future__ import annotations

import pytest

from dsql.control.layout import ClusterRecord
from dsql.health.collect import RoleStatus
from dsql.health.conditions import (
    MEANINGS,
    Condition,
    Severity,
    conditions,
    leader_of,
    severity,
)
from dsql.health.exposition import exposition

ID = "c" * 26
ZONES = ["east-a", "east-b", "east-c"]
CLUSTER = ClusterRecord(ID, "east", "c.example", "1", "dsql", ZONES, "east-a", 0.0)

USED: dict[str, object] = {
    **dict.fromkeys(("transactions", "read_only_transactions", "query_timeouts", "since"), 0),
    **dict.fromkeys(("bytes_read", "bytes_written", "compute_seconds", "commit_seconds_sum"), 0),
    "occ_conflicts": 2,
    "compute_dpu": 0,
    "read_dpu": 0,
    "write_dpu": 0.5,
    "commit_seconds": {"0.001": 3, "+Inf": 4},
    "commit_seconds_median": 0.001,
}


def healthy() -> dict[str, RoleStatus]:
    """All roles of an installation that is well, by zone and role."""
    roles = [
        RoleStatus(name, "", 1, "ok", {})
        for name in ("relay-1", "relay-2", "placement", "agent", "seed", "keeper")
    ]
    for az in ZONES:
        led = (
            {f"{ID}.leader": az, f"{ID}.phase": "OPEN", f"{ID}.epoch": 3} if az == ZONES[1] else {}
        )
        roles += [
            RoleStatus("journal", az, 1, "ok", {f"{ID}.commit": 7, f"{ID}.lost": 0}),
            RoleStatus("adjudicator", az, 1, "ok", led),
            RoleStatus("storage", az, 1, "ok", {f"{ID}.state": "open"}),
        ]
    return {" ".join(filter(None, (role.az, role.role))): role for role in roles}


def found_in(roles: dict[str, RoleStatus]) -> list[Condition]:
    return conditions([CLUSTER], list(roles.values()))


def test_nothing_is_wrong_with_a_healthy_installation() -> None:
    assert found_in(healthy()) == []
    assert severity([]) == Severity.FINE
    assert leader_of(ID, healthy().values()) == ZONES[1]


@pytest.mark.parametrize("word", MEANINGS)
def test_every_word_of_a_role_is_told_with_what_to_do(word: str) -> None:
    roles = healthy()
    roles["east-b adjudicator"].values[f"{ID}.{word}"] = 1
    (condition,) = found_in(roles)
    assert (condition.word, condition.az, condition.role) == (word, "east-b", "adjudicator")
    assert condition.severity == MEANINGS[word].severity
    assert condition.advice


@pytest.mark.parametrize("word", ["electing", "blocked", "stranded"])
def test_a_zone_that_is_cut_off_does_not_speak_for_the_cluster(word: str) -> None:
    roles = healthy()
    roles["east-a adjudicator"].values |= {
        f"{ID}.leader": "east-a",
        f"{ID}.phase": "OPEN",
        f"{ID}.epoch": 2,
        f"{ID}.{word}": 1,
    }
    assert [(c.word, c.az) for c in found_in(roles)] == [("isolated", "east-a")]
    assert severity(found_in(roles)) == Severity.DEGRADED


@pytest.mark.parametrize("role", ["placement", "agent"])
def test_nobody_connects_without_a_door(role: str) -> None:
    roles = healthy()
    roles[role].health = "no answer"
    assert severity(found_in(roles)) == Severity.DOWN


def test_nobody_connects_when_every_relay_is_silent() -> None:
    roles = healthy()
    for relay in ("relay-1", "relay-2"):
        roles[relay].health = "no answer"
    assert severity(found_in(roles)) == Severity.DOWN


@pytest.mark.parametrize("role", ["relay-2", "seed", "east-a storage", "east-a journal"])
def test_one_silent_replica_or_seed_degrades(role: str) -> None:
    roles = healthy()
    roles[role].health, roles[role].values = "down", {}
    assert [c.word for c in found_in(roles)] == ["silent"]
    assert severity(found_in(roles)) == Severity.DEGRADED


@pytest.mark.parametrize(("role", "word"), [("journal", "lost"), ("journal", "full")])
def test_commits_are_down_when_most_journals_do_not_count(role: str, word: str) -> None:
    roles = healthy()
    for az in ZONES[:2]:
        roles[f"{az} {role}"].values[f"{ID}.{word}"] = 1
    assert found_in(roles)[0].word == "outvoted"
    assert found_in(roles)[0].severity == Severity.DOWN


def test_room_is_asked_for_where_it_is_all_that_most_journals_lack() -> None:
    roles = healthy()
    for az in ZONES[:2]:
        roles[f"{az} journal"].values[f"{ID}.full"] = 1
    assert found_in(roles)[0].advice == MEANINGS["full"].advice
    for az in ZONES[:2]:
        roles[f"{az} journal"].values[f"{ID}.lost"] = 1
    assert "dsql recover" in found_in(roles)[0].advice


def test_a_replica_that_never_opened_is_told_though_its_process_answers() -> None:
    roles = healthy()
    roles["east-a journal"].values.clear()
    roles["east-b storage"].values[f"{ID}.state"] = "opening"
    assert [(c.word, c.az, c.role) for c in found_in(roles)] == [
        ("opening", "east-a", "journal"),
        ("opening", "east-b", "storage"),
    ]


def test_reads_are_down_when_no_storage_is_open() -> None:
    roles = healthy()
    for az in ZONES:
        roles[f"{az} storage"].values[f"{ID}.state"] = "opening"
    assert found_in(roles)[0].word == "unreadable"


@pytest.mark.parametrize("phase", ["CLAIMING", "OPENING", "DEPOSED"])
def test_a_leader_that_is_not_open_leads_nobody(phase: str) -> None:
    roles = healthy()
    roles["east-b adjudicator"].values[f"{ID}.phase"] = phase
    assert [(c.word, c.severity) for c in found_in(roles)] == [("electing", Severity.DOWN)]


def test_of_two_that_say_they_lead_the_newer_epoch_does() -> None:
    roles = healthy()
    roles["east-a adjudicator"].values |= {
        f"{ID}.leader": "east-a",
        f"{ID}.phase": "OPEN",
        f"{ID}.epoch": 2,
    }
    assert leader_of(ID, roles.values()) == "east-b"


def test_a_little_lag_is_no_condition() -> None:
    roles = healthy()
    roles["east-c storage"].values[f"{ID}.behind_seconds"] = 0.5
    assert found_in(roles) == []
    roles["east-c storage"].values[f"{ID}.behind_seconds"] = 60
    assert [c.word for c in found_in(roles)] == ["behind"]


def test_the_worst_comes_first() -> None:
    roles = healthy()
    roles["seed"].health = "down"
    roles["agent"].health = "down"
    assert [c.role for c in found_in(roles)] == ["agent", "seed"]


def test_prometheus_reads_conditions_and_every_number() -> None:
    roles = healthy()
    roles["east-c journal"].values |= {f"{ID}.lost": 1, f"{ID}.repaired": 4}
    roles["seed"].values["code"] = "compiled"
    roles["relay-2"].values |= {"listen": "x", "open_logins": 2, "broken": 3, "refused.53300": 4}
    roles["agent"].usage[ID] = USED
    roles["agent"].values |= {"warm": 4, "restarts": 1, "address": "x"}
    found = found_in(roles)
    lines = exposition([CLUSTER], list(roles.values()), found).splitlines()
    where = f'cluster="{ID}",az="east-c"'
    assert "dsql_severity 1" in lines
    assert f'dsql_condition{{word="lost",{where},role="journal"}} 1' in lines
    assert f"dsql_journal_lost{{{where}}} 1" in lines
    assert "# TYPE dsql_journal_repaired_total counter" in lines
    assert f"dsql_journal_repaired_total{{{where}}} 4" in lines
    assert 'dsql_role_up{role="seed",az=""} 1' in lines
    assert 'dsql_compiled{role="seed"} 1' in lines
    assert 'dsql_relay_open_logins{relay="relay-2"} 2' in lines
    assert 'dsql_role_warm{role="agent",az=""} 4' in lines
    assert 'dsql_role_restarts_total{role="agent",az=""} 1' in lines
    assert 'dsql_relay_broken_total{relay="relay-2"} 3' in lines
    assert 'dsql_relay_refused_total{relay="relay-2",sqlstate="53300"} 4' in lines
    assert f'dsql_occ_conflicts_total{{cluster="{ID}"}} 2' in lines
    assert f'dsql_dpu_total{{cluster="{ID}",kind="write"}} 0.5' in lines
    assert "# TYPE dsql_commit_latency_seconds histogram" in lines
    assert f'dsql_commit_latency_seconds_bucket{{cluster="{ID}",le="+Inf"}} 7' in lines
    assert f'dsql_commit_latency_seconds_count{{cluster="{ID}"}} 7' in lines
    typed = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(typed) == len(set(typed))
