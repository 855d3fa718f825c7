"""Clusters that were deleted are noticed once each, at the cost of a look at their folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from dsql.control.departures import Departures
from dsql.control.layout import Layout

GONE, HERE = "a" * 26, "b" * 26


def test_those_go_whose_folder_goes(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    departures = Departures(layout)
    assert list(departures.among([GONE])) == [], "there is no folder of clusters yet"
    for cluster in (GONE, HERE):
        layout.cluster(cluster).mkdir(parents=True)
    assert list(departures.among([GONE, HERE])) == []
    shutil.rmtree(layout.cluster(GONE))
    assert list(departures.among([GONE, HERE])) == [GONE]
    assert list(departures.among([HERE])) == []


def test_nothing_is_listed_while_none_comes_or_goes(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    departures = Departures(layout)
    layout.cluster(HERE).mkdir(parents=True)
    assert list(departures.among([HERE, GONE])) == [GONE]
    assert list(departures.among([HERE, GONE])) == [], "the folder has not changed since"
