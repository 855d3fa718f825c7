"""Whether the leader's own storage has a commit before its timestamp is published.

Readers would find it a moment later, too: they wait. So nothing but time is lost if it comes late, and now
and then it may, as while the feed still reads from the disk. That it is late as a rule is a violation.
"""

from __future__ import annotations

from typing import Any

import pytest

from adjudicator.leadership import Leadership
from journal.messages import Record
from storage.replica_writer import ReplicaWriter

from .world import Process, ViolationError, running

_LATE_MIN = 20  # fewer prove nothing
_Place = tuple[Process, str]  # and the cluster


class Publications:
    """Counts the publications of a run, until the patch is undone."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.early = self.late = 0
        self._received: dict[_Place, int] = {}  # the newest timestamp that storage was fed
        self._published: dict[_Place, int] = {}
        receive, publish = ReplicaWriter.receive, Leadership._publish

        def watch_feed(writer: ReplicaWriter, records: list[Record]) -> None:
            replica = writer.environment.directory.parent
            self._received[_here(), replica.parent.name] = records[-1].timestamp
            receive(writer, records)

        def watch_clock(leadership: Leadership, timestamp: int) -> None:
            has_copy = _has_copy(leadership)
            publish(leadership, timestamp)
            self._note((_here(), leadership.cluster), timestamp, has_copy=has_copy)

        patch.setattr(ReplicaWriter, "receive", watch_feed)
        patch.setattr(Leadership, "_publish", watch_clock)

    def check(self) -> None:
        """Raise ViolationError if storage was late more often than not."""
        if self.late > self.early + _LATE_MIN:
            raise ViolationError(
                f"storage was late for {self.late} of {self.late + self.early} commits"
            )

    def _note(self, place: _Place, timestamp: int, *, has_copy: bool) -> None:
        received, before = self._received.get(place, 0), self._published.get(place)
        self._published[place] = timestamp
        if has_copy and before is not None and received >= before:
            self.early += received >= timestamp
            self.late += received < timestamp


def _has_copy(leadership: Leadership) -> bool:
    """Return whether what is committed is in the log of the leader's zone."""
    appender: Any = leadership._appender
    if appender._own is None:
        return False
    return bool(appender.leader._followers[appender._own].matched >= appender.leader.commit)


def _here() -> Process:
    thread = running()
    assert thread is not None
    return thread.process
