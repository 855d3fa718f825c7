"""A user is let in again where replicas were made anew; where they were not, nothing is done."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dsql.control.layout import ClusterRecord, Layout
from placement import replica_access
from placement.replica_access import OpenReplicas
from storage.client import files_for_readers

CLUSTER = "a" * 26
AZS = ["az1", "az2"]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    record = ClusterRecord(CLUSTER, "us-east-1", "endpoint", "1", "dsql", AZS, 0.0)
    layout.cluster(CLUSTER).mkdir(parents=True)
    layout.record(CLUSTER).write_bytes(msgspec.json.encode(record))
    for az in AZS:
        make(layout, az)
    return layout


def make(layout: Layout, az: str) -> None:
    """Put a zone's environment there, some time ago."""
    environment = files_for_readers(layout.storage(az, CLUSTER))[0].parent
    environment.mkdir(parents=True, exist_ok=True)
    age(environment, 60)


def age(environment: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(environment, (then, then))


@pytest.fixture
def opened(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    monkeypatch.setattr(replica_access, "open_to_user", lambda *given: calls.append(given))
    return calls


def test_replicas_that_stay_are_looked_at_and_left_alone(layout: Layout, opened: list[Any]) -> None:
    replicas = OpenReplicas(layout, CLUSTER, 700_000)
    for _ in range(5):
        replicas.keep()
    assert opened == [(layout, CLUSTER, AZS, 700_000)] * 2  # what changed during the first is seen


def test_a_replica_that_was_made_anew_is_opened(layout: Layout, opened: list[Any]) -> None:
    replicas = OpenReplicas(layout, CLUSTER, 700_000)
    replicas.keep()
    replicas.keep()
    environment = files_for_readers(layout.storage("az2", CLUSTER))[0].parent
    environment.rename(environment.with_name("old"))
    make(layout, "az2")
    replicas.keep()
    assert len(opened) == 3
    replicas.keep()
    assert len(opened) == 3


@pytest.mark.parametrize("missing", [True, False])
def test_what_is_missing_or_has_just_changed_is_looked_at_again(
    layout: Layout, opened: list[Any], missing: bool
) -> None:
    environment = files_for_readers(layout.storage("az1", CLUSTER))[0].parent
    if missing:
        environment.rmdir()
    else:
        age(environment, 0)
    replicas = OpenReplicas(layout, CLUSTER, 700_000)
    for _ in range(5):
        replicas.keep()
    assert len(opened) == 5


def test_a_cluster_that_is_being_deleted_is_not_made_again(
    layout: Layout, opened: list[Any]
) -> None:
    layout.record(CLUSTER).unlink()
    OpenReplicas(layout, CLUSTER, 700_000).keep()
    assert opened == []
