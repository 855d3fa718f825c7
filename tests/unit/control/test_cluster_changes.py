"""Clusters that appear and disappear are noticed once each, and an incomplete one is looked at again."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from dsql.control.cluster_changes import ClusterChanges
from dsql.control.layout import ClusterRecord, Layout

CLUSTER = "a" * 26


def test_a_cluster_comes_once_its_record_is_there_and_goes_with_its_folder(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    changes = ClusterChanges(layout)
    assert list(changes.since(())) == []
    layout.cluster(CLUSTER).mkdir(parents=True)
    assert list(changes.since(())) == [(CLUSTER, True)]
    assert list(changes.since(())) == [(CLUSTER, True)], "it had no record yet"
    record = ClusterRecord(CLUSTER, "local", "e", "0", "dsql", ["a"], 0.0)
    layout.record(CLUSTER).write_bytes(msgspec.json.encode(record))
    assert list(changes.since(())) == [(CLUSTER, True)]
    assert list(changes.since([CLUSTER])) == []
    shutil.rmtree(layout.cluster(CLUSTER))
    assert list(changes.since([CLUSTER])) == [(CLUSTER, False)]
