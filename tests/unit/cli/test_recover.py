from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from dsql.cli import recover
from dsql.cli.errors import CommandError
from dsql.control.authority import Authority
from dsql.control.clusters import create_cluster
from dsql.control.layout import ClusterRecord, Layout
from journal.opening import open_log
from journal.refounding import LogReport


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterRecord:
    """A cluster that is down, with whole logs in zones a and b."""
    monkeypatch.chdir(tmp_path)
    layout = Layout(Path())
    record = create_cluster(layout, Authority.open(layout))
    for az in record.azs[:2]:
        open_log(layout.journal(az, record.identifier), expected=False).close()
    return record


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    recover.configure(parser)
    return recover.run(parser.parse_args(["--data", ".", *words]))


def test_what_each_zone_has_is_listed(
    cluster: ClusterRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[2:]] == ["whole", "whole", "missing"]
    assert run("--json") == 0


def test_nobody_chooses_while_most_logs_are_whole(cluster: ClusterRecord) -> None:
    with pytest.raises(CommandError, match="most logs are whole"):
        run("--use", cluster.azs[0], "--accept-loss")


def test_a_zone_of_another_region_is_misuse(cluster: ClusterRecord) -> None:
    with pytest.raises(CommandError, match="the cluster's zones are"):
        run("--use", "nowhere", "--accept-loss")


def test_it_is_said_what_may_be_lost() -> None:
    chosen = LogReport("a", 1, 10, timestamp=1_000_000)
    further = LogReport("b", 1, 12)
    text = recover.may_be_lost(chosen, [chosen, further])
    assert text == (
        "what was committed after record 10, 1970-01-01T00:00:01Z, may be lost "
        "(b has records up to 12)"
    )
