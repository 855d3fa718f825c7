"""The product with one rule switched off, to show that the simulation notices.

Each mutant says what a program of its kind once got wrong, or might.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from adjudicator.client import AdjudicatorClient
from adjudicator.commit_pipeline import CommitPipeline
from adjudicator.conflict_set import ConflictSet
from adjudicator.messages import Verdict
from dsql.rpc.clock import ClockPublisher
from journal.appender import Appender
from journal.codec import Append, Fetched
from journal.copier import Copier, Send
from journal.followers import Followers, Quorum
from journal.leader import Leader
from journal.log import Log
from journal.replica import Output, Promise, Replica
from journal.state_file import StateFile
from storage.board import KEPT, RELEASES
from storage.snapshot import LocalSnapshot

from .files import SimulatedFiles

Patch = pytest.MonkeyPatch


def unfenced_appends(patch: Patch) -> None:
    """A replica takes appends of any epoch."""
    append = Replica.append

    def take(self: Replica, message: Append) -> list[Output]:
        self.promise = Promise(message.epoch, b"", self.promise.whole)
        return append(self, message)

    patch.setattr(Replica, "append", take)


def unsynced_appends(patch: Patch) -> None:
    """Appends are answered when they are written, and not when they are synced."""
    patch.setattr(SimulatedFiles, "pwrite_durably", SimulatedFiles.pwrite)


def unsynced_files(patch: Patch) -> None:
    """No file is ever synced but by the write itself: the promise, a new segment, a cut."""
    patch.setattr(SimulatedFiles, "datasync", lambda self, descriptor: None)


def unsynced_directories(patch: Patch) -> None:
    """The name of a new file is not synced."""
    patch.setattr(SimulatedFiles, "sync_directory", lambda self, path: None)


def forgotten_promises(patch: Patch) -> None:
    """A promise is kept in memory only."""
    patch.setattr(Log, "save_promise", lambda self, promise: None)


def lonely_commits(patch: Patch) -> None:
    """One copy is enough to acknowledge."""
    advance = Leader._advance

    def count_one(self: Leader) -> None:
        self._replicas.quorum = type(
            "One", (), {"copies": 3, "writes": 1, "claims": 2, "witnesses": 2}
        )()
        advance(self)

    patch.setattr(Leader, "_advance", count_one)


def early_publication(patch: Patch) -> None:
    """Commits are published and acknowledged when they are appended, not when they are durable."""
    flush = CommitPipeline.flush

    def answer_at_once(self: CommitPipeline) -> None:
        batch = self._gathering[0]
        if self._in_flight is None and not self.stopped and batch.entries:
            flush(self)
            self.committed(batch.sequence)
        else:
            flush(self)

    patch.setattr(CommitPipeline, "flush", answer_at_once)


def late_publication(patch: Patch) -> None:
    """A commit is acknowledged before the clock shows it."""
    committed = CommitPipeline.committed

    def publish_nothing(self: CommitPipeline, sequence: int) -> None:
        publish = self._publish
        self._publish = lambda timestamp: None
        committed(self, sequence)
        self._publish = publish

    patch.setattr(CommitPipeline, "committed", publish_nothing)


def shared_clock(patch: Patch) -> None:
    """All zones publish in one place, so that a leader that was replaced can set the clock back."""
    init = ClockPublisher.__init__

    def share(self: ClockPublisher, path: Any, boot: int, zone: int, zones: int) -> None:
        init(self, path, boot, 0, zones)

    patch.setattr(ClockPublisher, "__init__", share)


def ignored_floor(patch: Patch) -> None:
    """A new leader decides on transactions whose conflicts it cannot know."""
    init = ConflictSet.__init__

    def without(self: ConflictSet, floor: int, last: int, **options: Any) -> None:
        init(self, 0, last, **options)

    patch.setattr(ConflictSet, "__init__", without)


def unlocked_reads(patch: Patch) -> None:
    """FOR UPDATE and catalog checks are not remembered, and not checked."""
    decide = ConflictSet.decide

    def without(self: ConflictSet, start: int, checks: Any, writes: Any, now: int) -> int:
        return decide(self, start, [], writes, now)

    patch.setattr(ConflictSet, "decide", without)


def blind_retry(patch: Patch) -> None:
    """A lost answer is taken for an abort."""
    patch.setattr(AdjudicatorClient, "_resolve", lambda *_: (Verdict.ABORTED, 0))


def unconfirmed_votes(patch: Patch) -> None:
    """Promises elect without being confirmed, and without the own one behind them."""
    enough = property(lambda self: len(self.voters) >= self.quorum.claims)
    patch.setattr(Followers, "vouched", enough)


def minority_elections(patch: Patch) -> None:
    """One promise elects."""
    patch.setattr(Quorum, "claims", property(lambda self: 1))


def shortest_log_taken_over(patch: Patch) -> None:
    """A new leader takes over any log instead of the most advanced one."""

    def least(self: Followers) -> Any:
        extents = [follower.extent for follower in self.voters]
        return min(extents, key=lambda extent: (extent.last_epoch, extent.last))

    patch.setattr(Followers, "most_advanced", least)


def unsynced_promises(patch: Patch) -> None:
    """A promise is written, and not synced."""
    put = StateFile._put_promise

    def put_promise(self: StateFile, promise: Promise) -> None:
        with pytest.MonkeyPatch.context() as unsynced:
            unsynced.setattr(SimulatedFiles, "pwrite_durably", SimulatedFiles.pwrite)
            put(self, promise)

    patch.setattr(StateFile, "_put_promise", put_promise)


def unshared_frames(patch: Patch) -> None:
    """What a replica gives for another is passed on, also where its log is not the leader's."""
    fetched = Copier.fetched

    def pass_all(self: Copier, replica: int, message: Fetched) -> list[Send]:
        follower = self._followers[replica]
        matched, follower.matched = follower.matched, sys.maxsize
        try:
            return fetched(self, replica, message)
        finally:
            follower.matched = matched

    patch.setattr(Copier, "fetched", pass_all)


def trimming_ahead_of_logs(patch: Patch) -> None:
    """What every zone's storage has is trimmed, though a zone's log lacks it."""
    patch.setattr(Replica, "_dispensable", property(lambda self: self.checkpoint))


def unchecked_horizon(patch: Patch) -> None:
    """A read does not look whether what it needed was let go of meanwhile."""

    def keep(self: LocalSnapshot, identifier: int) -> bool:
        return self._words[KEPT] <= identifier

    def never(self: LocalSnapshot, replica: Any) -> None:
        enter(self, replica)
        self._releases = self._words[RELEASES]

    enter = LocalSnapshot._enter
    patch.setattr(LocalSnapshot, "_kept", keep)
    patch.setattr(LocalSnapshot, "_enter", never)


def told_after_publication(patch: Patch) -> None:
    """The leader's own storage hears of a commit only after its publication."""
    patch.setattr(Appender, "tell_own", lambda self: None)


MUTANTS: dict[str, Callable[[Patch], None]] = {
    mutant.__name__: mutant
    for mutant in (
        unfenced_appends,
        unsynced_appends,
        unsynced_files,
        unsynced_directories,
        forgotten_promises,
        lonely_commits,
        early_publication,
        late_publication,
        shared_clock,
        ignored_floor,
        unlocked_reads,
        blind_retry,
        unconfirmed_votes,
        minority_elections,
        shortest_log_taken_over,
        unsynced_promises,
        unshared_frames,
        trimming_ahead_of_logs,
        unchecked_horizon,
        told_after_publication,
    )
}


def mutate(patch: Patch, name: str) -> None:
    """Switch a rule off, by the mutant's name; "" leaves the product as it is."""
    if name:
        MUTANTS[name](patch)
