"""Processes die and freeze under a bank; no money is made or lost, and no client is told a falsehood.

DSQL_CHAOS_SECONDS sets how long the zones die in turn (15 by default).
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import psycopg
import pytest
from running_cluster import RunningCluster

from .bank import Bank

CONNECTIONS = 16
CHAOS_SECONDS = float(os.environ.get("DSQL_CHAOS_SECONDS", "15"))
ZONES = ("us-east-1a.az", "us-east-1b.az", "us-east-1c.az")
FROZEN_SECONDS = 1.5
RECOVERY_SECONDS = 30.0  # generous: what is measured is reported, not asserted


@pytest.fixture(scope="module")
def battered_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """One cluster for all of this: what one test did to it must not trouble the next."""
    running = RunningCluster(tmp_path_factory.mktemp("battered")).start()
    yield running
    running.stop()


@pytest.fixture
def bank(battered_cluster: RunningCluster) -> Bank:
    bank = Bank(battered_cluster)
    bank.open()
    return bank


def report(bank: Bank) -> None:
    book = bank.book
    sys.stdout.write(
        f"{len(book.acknowledged)} transfers, {len(book.unknown)} unknown, "
        f"errors {dict(book.errors)}, longest stall {book.longest_stall_seconds:.2f} s\n"
    )


def test_no_money_is_lost_while_the_zones_die_in_turn(
    battered_cluster: RunningCluster, bank: Bank
) -> None:
    def kill_in_turn() -> None:
        end = time.monotonic() + CHAOS_SECONDS
        for zone in cycle(ZONES):
            if time.monotonic() > end:
                return
            before = battered_cluster.role(zone)
            os.kill(before, signal.SIGKILL)
            battered_cluster.wait_for_restart(zone, before, RECOVERY_SECONDS)
            bank.book.wait_for_more(100, RECOVERY_SECONDS)

    bank.run(CONNECTIONS, kill_in_turn)
    report(bank)
    bank.audit()


def test_no_money_is_lost_when_a_frozen_zone_thaws(
    battered_cluster: RunningCluster, bank: Bank
) -> None:
    """A process that slept through its own removal must not act as if nothing had happened."""

    def freeze_in_turn() -> None:
        for zone in ZONES:
            frozen = battered_cluster.role(zone)
            os.kill(frozen, signal.SIGSTOP)
            try:
                time.sleep(FROZEN_SECONDS)
            finally:
                os.kill(frozen, signal.SIGCONT)
            bank.book.wait_for_more(100, RECOVERY_SECONDS)

    bank.run(CONNECTIONS, freeze_in_turn)
    report(bank)
    bank.audit()


def test_no_money_is_lost_when_query_processors_die(
    battered_cluster: RunningCluster, bank: Bank
) -> None:
    def kill_some() -> None:
        for _ in range(10):
            serving = query_processors(battered_cluster)
            os.kill(random.choice(serving), signal.SIGKILL)
            bank.book.wait_for_more(20, RECOVERY_SECONDS)

    bank.run(CONNECTIONS, kill_some)
    report(bank)
    bank.audit()
    assert bank.book.errors["connection lost"] <= 10


@pytest.mark.parametrize("role", ["relay", "host", "seed"])
def test_no_money_is_lost_when_other_roles_die(
    battered_cluster: RunningCluster, bank: Bank, role: str
) -> None:
    def kill() -> None:
        before = battered_cluster.role(role)
        os.kill(before, signal.SIGKILL)
        battered_cluster.wait_for_restart(role, before, RECOVERY_SECONDS)
        wait_until_let_in(battered_cluster)
        bank.book.wait_for_more(100, RECOVERY_SECONDS)

    bank.run(CONNECTIONS, kill)
    report(bank)
    bank.audit()


def test_sessions_that_lost_their_agent_and_then_the_leader_end(
    battered_cluster: RunningCluster, bank: Bank
) -> None:
    """Their query processors can never reach an adjudicator again; new ones can."""

    def kill_both() -> None:
        for role in ("host", ZONES[0]):
            before = battered_cluster.role(role)
            os.kill(before, signal.SIGKILL)
            battered_cluster.wait_for_restart(role, before, RECOVERY_SECONDS)
        wait_until_let_in(battered_cluster)
        bank.book.wait_for_more(100, RECOVERY_SECONDS)

    bank.run(CONNECTIONS, kill_both)
    report(bank)
    bank.audit()


def wait_until_let_in(cluster: RunningCluster) -> None:
    """Return once a newcomer can connect."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while not is_let_in(cluster):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_let_in(cluster: RunningCluster) -> bool:
    try:
        psycopg.connect(**cluster.dsn()).close()
    except psycopg.OperationalError:
        return False
    return True


def query_processors(cluster: RunningCluster) -> list[int]:
    """Return those that belong to the cluster, by what they call themselves."""
    name = f"dsql: {cluster.variables['DSQL_CLUSTER'][:8]}"
    return [pid for pid in cluster.processes() if _name_of(pid) == name]


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return ""  # it has ended meanwhile
