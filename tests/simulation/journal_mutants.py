"""The journal with one rule switched off: copies, promises, elections, logs."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import journal.log
from journal.codec import Append, Fetched
from journal.copier import Copier, Send
from journal.extent import LogExtent
from journal.followers import Follower, Followers, Quorum
from journal.leader import Leader
from journal.log import Log, SyncFailedError
from journal.recovery import Recovery
from journal.replica import Output, Promise, Replica
from journal.state_file import StateFile

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


def unsynced_promises(patch: Patch) -> None:
    """A promise is written, and not synced."""
    put = StateFile._put_promise

    def put_promise(self: StateFile, promise: Promise) -> None:
        with pytest.MonkeyPatch.context() as unsynced:
            unsynced.setattr(SimulatedFiles, "pwrite_durably", SimulatedFiles.pwrite)
            put(self, promise)

    patch.setattr(StateFile, "_put_promise", put_promise)


def lonely_commits(patch: Patch) -> None:
    """One copy is enough to acknowledge."""
    advance = Leader._advance

    def count_one(self: Leader) -> None:
        self._replicas.quorum = type(
            "One", (), {"copies": 3, "writes": 1, "claims": 2, "witnesses": 2}
        )()
        advance(self)

    patch.setattr(Leader, "_advance", count_one)


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


def lost_logs_count(patch: Patch) -> None:
    """Who finds no log takes it for new, and whoever has lost one for whole."""
    open_log = Log.__init__

    def open_as_new(self: Log, directory: Any, *, expected: bool = False, **options: Any) -> None:
        del expected
        open_log(self, directory, **options)

    patch.setattr(Log, "__init__", open_as_new)


def unproved_ends(patch: Patch) -> None:
    """A log that ends before what was written durably is taken for whole."""
    run = Recovery.run

    def believe(self: Recovery) -> None:
        self._synced = 0
        run(self)

    patch.setattr(Recovery, "run", believe)


def unwitnessed_restoration(patch: Patch) -> None:
    """A lost replica counts again as soon as it has the leader's log, whatever the others have promised."""

    def at_once(self: Followers, follower: Follower, epoch_sequence: int) -> bool:
        return follower.lost and follower.joined and follower.matched >= epoch_sequence

    patch.setattr(Followers, "may_restore", at_once)


def old_epochs_counted(patch: Patch) -> None:
    """A new leader counts copies of what former ones have left, without a record of its own behind."""
    advance = Leader._advance

    def count_all(self: Leader) -> None:
        own, self.epoch_sequence = self.epoch_sequence, min(self.epoch_sequence, 1)
        advance(self)
        self.epoch_sequence = own

    patch.setattr(Leader, "_advance", count_all)


def own_journal_needed(patch: Patch) -> None:
    """A leader whose own zone's journal fails is over."""
    disconnected = Leader.disconnected

    def give_up(self: Leader, replica: int) -> list[Send]:
        sends = disconnected(self, replica)
        if replica == self._replicas._own:
            self.resign()
        return sends

    patch.setattr(Leader, "disconnected", give_up)


def full_disk_is_a_failure(patch: Patch) -> None:
    """A replica whose disk is full takes it for broken, and its log for lost."""
    patch.setattr(journal.log, "_explain", lambda error: SyncFailedError(str(error)))


def forgotten_timestamp(patch: Patch) -> None:
    """A log that was cut does not know the timestamp of its last record."""
    cut = LogExtent.cut
    patch.setattr(LogExtent, "cut", lambda self, last, timestamp=0: cut(self, last))
