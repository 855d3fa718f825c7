"""Looking at logs changes nothing; founding a journal on one makes it, and copies of it, count."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from journal.log import Log
from journal.messages import Record
from journal.opening import open_log
from journal.refounding import NotUsableError, inspect, refound
from journal.replica import Promise
from journal.segment import make_frame

ZONES = ("a", "b", "c")


@pytest.fixture
def zones(tmp_path: Path) -> dict[str, Path]:
    """Three journals in epoch 2; c has fewer records."""
    directories = {az: tmp_path / az / "journal" for az in ZONES}
    for az, directory in directories.items():
        log = Log(directory, segment_bytes=200)
        log.save_promise(Promise(2, b"c" * 16))
        for n in range(1, 7 if az == "c" else 11):
            log.write([make_frame([Record(n, 2, 1_000 * n, 0, b"x" * 20)])])
        log.close()
    return directories


def lose(directory: Path) -> None:
    shutil.rmtree(directory)
    open_log(directory, expected=True).close()


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_report_says_what_a_log_holds(zones: dict[str, Path]) -> None:
    before = content(zones["a"])
    report = inspect("a", zones["a"])
    assert (report.first, report.last, report.epoch, report.timestamp) == (1, 10, 2, 10_000)
    assert (report.promised, report.whole, report.wrong) == (2, True, "")
    assert content(zones["a"]) == before


def test_looking_at_a_damaged_log_changes_nothing(zones: dict[str, Path]) -> None:
    newest = sorted(zones["a"].glob("*.segment"))[-1]
    newest.write_bytes(newest.read_bytes()[:40])
    before = content(zones["a"])
    report = inspect("a", zones["a"])
    assert not report.whole
    assert "was written durably" in report.wrong
    assert content(zones["a"]) == before


def test_a_missing_and_a_lost_log_are_told_apart_and_what_was_set_aside_is_named(
    zones: dict[str, Path],
) -> None:
    shutil.rmtree(zones["b"])
    assert inspect("b", zones["b"]).wrong == "missing"
    (zones["a"] / "failed").touch()
    open_log(zones["a"], expected=True).close()
    report = inspect("a", zones["a"])
    assert (report.whole, report.wrong) == (False, "lost")
    assert report.aside == ["journal.damaged-1"]


@pytest.mark.parametrize("chosen", ["a", "c"])
def test_all_zones_go_on_with_the_chosen_log(zones: dict[str, Path], chosen: str) -> None:
    others = [az for az in ZONES if az != chosen]
    for az in others:
        lose(zones[az])
    last = inspect(chosen, zones[chosen]).last
    refound(zones[chosen], [zones[az] for az in others], epoch=7)
    for az in ZONES:
        report = inspect(az, zones[az])
        assert (report.last, report.promised, report.whole, report.wrong) == (last, 7, True, "")
    copy = Log(zones[others[0]])
    assert all(copy.read(n, 1)[0].first == n for n in range(1, last + 1))
    copy.close()


def test_a_lost_log_can_be_chosen_where_it_is_the_best_there_is(zones: dict[str, Path]) -> None:
    for az in ZONES:
        lose(zones[az])
    log = Log(zones["b"], expected=True)
    log.save_promise(Promise(3, b"", whole=False))
    log.write([make_frame([Record(1, 3, 1_000, 0, b"x")])])
    log.close()
    refound(zones["b"], [zones["a"], zones["c"]], epoch=4)
    assert [inspect(az, zones[az]).whole for az in ZONES] == [True] * 3


def test_a_log_that_cannot_be_proved_is_not_used(zones: dict[str, Path]) -> None:
    newest = sorted(zones["a"].glob("*.segment"))[-1]
    newest.write_bytes(newest.read_bytes()[:40])
    with pytest.raises(NotUsableError, match="was written durably"):
        refound(zones["a"], [zones["b"], zones["c"]], epoch=7)
    assert inspect("b", zones["b"]).last == 10


def test_nothing_is_founded_while_a_replica_runs(zones: dict[str, Path]) -> None:
    running = Log(zones["b"])
    with pytest.raises(BlockingIOError):
        refound(zones["a"], [zones["b"], zones["c"]], epoch=7)
    running.close()
    assert inspect("c", zones["c"]).last == 6
