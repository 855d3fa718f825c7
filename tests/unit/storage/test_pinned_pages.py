"""A reader without locks walks pages while everything is rewritten: it sees one state, or is told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from storage.board import KEPT
from storage.environment import WritableEnvironment
from storage.pinned_pages import KEEP_SECONDS, PinnedPages
from storage.reader_slot import ELSEWHERE, START, ReaderSlot

ROWS = 2_000
_MAP_BYTES = 32 * 1024 * 1024  # does not have to grow
_LONG_ENOUGH = KEEP_SECONDS * 3

# Walks half of the rows, waits for a line, walks the rest; all must be of one state, or not have been kept.
_READER = """
import sys
from pathlib import Path
import lmdb
from dsql.rpc.boot import current_boot
from storage.board import KEPT
from storage.environment import ENVIRONMENT, ReadableEnvironment
from storage.reader_slot import ELSEWHERE, START, ReaderSlot

replica = Path(sys.argv[1])
slot = ReaderSlot.claim(replica)
environment = ReadableEnvironment(replica / ENVIRONMENT, current_boot())
slot.words[0] = int(sys.argv[2])
transaction = environment.environment.begin(db=environment.databases.main)
cursor = transaction.cursor()
rows = cursor.iternext()
seen = [bytes(next(rows)[1])[12:] for _ in range(int(sys.argv[3]) // 2)]
print("half", flush=True)
sys.stdin.readline()
try:
    seen += [value[12:] for _, value in rows]
except lmdb.Error:
    seen.append(b"damaged")
whole = len(seen) == int(sys.argv[3]) and set(seen) == {b"first" * 20}
kept = environment.board.words[KEPT] <= transaction.id()
print("whole" if whole else "torn", "kept" if kept else "gone", flush=True)
"""


@pytest.fixture
def large(make_replica: Callable[..., Any]) -> Any:
    return make_replica(_MAP_BYTES)


class Churned:
    """A replica whose rows are written again and again; its pins live by a clock that is set by hand."""

    def __init__(self, replica: Any, pages: type[PinnedPages]) -> None:
        self.replica = replica
        self.seconds = 0.0
        environment: WritableEnvironment = replica.environment
        self._write(b"first")
        environment.checkpoints.let_go()  # its pages are not meant here
        environment.pages.close()
        environment.pages = pages(
            environment.environment, environment.board, environment.slots, lambda: self.seconds
        )

    def churn(self, seconds: float) -> None:
        for number in range(8):
            self.seconds += seconds / 8
            self._write(b"%05d" % number)

    def _write(self, value: bytes) -> None:
        self.replica.apply([(b"k%05d" % number, value * 20) for number in range(ROWS)])

    @contextmanager
    def reader(self, shown: int) -> Iterator[Callable[[], str]]:
        """A reader in the middle of its walk; what is yielded has it walk on and tell what it saw."""
        arguments = [str(self.replica.directory), str(shown), str(ROWS)]
        with subprocess.Popen(
            [sys.executable, "-c", _READER, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "half\n"
            yield lambda: process.communicate("go\n")[0].strip()


class NothingPinned(PinnedPages):
    """Without pins and without telling."""

    def renew(self) -> None:
        self.close()


class NothingTold(PinnedPages):
    """Pins that go without being told."""

    def _publish(self) -> None:
        pass


def test_pages_of_a_read_under_way_are_not_used_again(large: Any) -> None:
    churned = Churned(large, PinnedPages)
    with churned.reader(shown=1) as walk_on:
        churned.churn(KEEP_SECONDS * 0.9)
        assert walk_on() == "whole kept"


def test_read_that_shows_nothing_is_told_when_its_pages_have_gone(large: Any) -> None:
    churned = Churned(large, PinnedPages)
    with churned.reader(shown=0) as walk_on:
        churned.churn(KEEP_SECONDS * 0.9)
        assert walk_on().endswith("gone")


def test_reader_of_another_replica_holds_versions_and_no_pages(large: Any) -> None:
    with closing(ReaderSlot.claim(large.directory)) as slot:
        slot.words[START], slot.words[ELSEWHERE] = 1, 1
        churned = Churned(large, PinnedPages)
        with churned.reader(shown=0) as walk_on:
            churned.churn(KEEP_SECONDS * 0.9)
            assert walk_on().endswith("gone")
        assert large.environment.slots.oldest_start(0) == 1


def test_reader_that_goes_on_showing_itself_cannot_hold_pages(large: Any) -> None:
    churned = Churned(large, PinnedPages)
    churned.churn(_LONG_ENOUGH)
    with churned.reader(shown=1) as walk_on:
        churned.churn(_LONG_ENOUGH)
        size = (large.environment.directory / "data.mdb").stat().st_size
        for _ in range(5):
            churned.churn(_LONG_ENOUGH)
        assert (large.environment.directory / "data.mdb").stat().st_size == size
        assert walk_on().endswith("gone")


@pytest.mark.parametrize("mutant", [NothingPinned, NothingTold])
def test_without_the_rule_a_reader_takes_foreign_pages_for_its_own(
    large: Any, mutant: type[PinnedPages]
) -> None:
    """What the tests above would see if either half of the rule were missing."""
    large.environment.board.words[KEPT] = 0
    churned = Churned(large, mutant)
    large.environment.board.words[KEPT] = 0
    with churned.reader(shown=1) as walk_on:
        churned.churn(_LONG_ENOUGH)
        assert walk_on() in ("torn kept", "")  # "": the reader has crashed


def test_growing_is_told(large: Any) -> None:
    """The pins do not outlive it."""
    churned = Churned(large, PinnedPages)
    with churned.reader(shown=1) as walk_on:
        churned.churn(0.0)
        large.environment.grow()
        churned.churn(0.0)
        assert walk_on().endswith("gone")
