"""Reading a storage replica from a query processor of the same host, without a process in between.

A read at start timestamp T needs a replica whose watermark has reached T. Usually the own AZ's has, or
will within microseconds: spin a little, giving the processor away each time, then sleep in growing
steps. Whoever has to sleep leaves for any replica, opened before, that has reached T: so readers come to
the leader's zone, which has it first. For one that stands still for `stall_seconds` those are
opened that were not yet. One that turns out to be damaged, or is given up by its writer, is left in
the midst of a read (`storage.snapshot`), and not entered again until it has been made anew.

Many activities of a process read at once. Each has its own timestamp; the process shows the oldest of
them, in all replicas that it has open. Who enters another replica takes only those along that begin
later: the others read on where they are, and what they read from is unmapped with the last of them.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import lmdb

from dsql.hub.waiter import Blocking, Waiter
from dsql.rpc.boot import current_boot
from storage.board import DELAYING, RETIRED, WATERMARK, BoardUnavailableError
from storage.environment import ENVIRONMENT, ReadableEnvironment
from storage.range_counts import count_rows
from storage.reader_slot import ELSEWHERE, START, ReaderSlot
from storage.snapshot import LocalSnapshot, no_replica

log = logging.getLogger(__name__)

_NOWHERE = memoryview(bytes(8 * RETIRED) + b"\1" + bytes(7)).cast("Q")  # words of no board, retired
# Less than a zone that does not lead takes to hear of a commit (`journal.appender`): whose own zone that is
# would wait for so long after each, and never come to the leader's.
STALL_SECONDS = 0.002
_SPINS = 30
_SLEEP_SECONDS_MIN = 0.000_05
_SLEEP_SECONDS_MAX = 0.002
_NONE = 1 << 64  # above every timestamp


class LocalReplica:
    """The replicas of one cluster that lie on this host, the preferred one first.

    Open it in the process that reads (LMDB environments do not survive a fork). Snapshots are shown to
    the garbage collection of all replicas from `snapshot` until `release`, so that the loss of one does not
    end a long transaction; each reader has one at a time.
    """

    def __init__(
        self,
        replicas: Sequence[Path],
        slots: Sequence[ReaderSlot] = (),
        *,
        stall_seconds: float = STALL_SECONDS,
        deadline_seconds: float = 10.0,
        waiter: Waiter | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`replicas`: their directories (`Layout.storage`).

        `pause` lets the running activity wait; it may raise, to end that. `waiter` knows whether there are
        others.

        `slots`: one for each replica, the caller's; own ones are made if there are none. Raises SqlError
        58000 if no replica can be opened in time.
        """
        self._directories = [replica / ENVIRONMENT for replica in replicas]
        self._own_slots = [] if slots else [ReaderSlot.claim(replica) for replica in replicas]
        self._slots = dict(zip(self._directories, slots or self._own_slots, strict=True))
        self._shown = [slot.words for slot in self._slots.values()]
        self._stall_seconds = stall_seconds
        self._deadline_seconds = deadline_seconds
        self._waiter: Waiter = waiter or Blocking()
        self._pause = pause
        self._boot = current_boot()
        self._open: dict[Path, ReadableEnvironment] = {}
        self._damaged: set[Path] = set()
        self._readers: dict[object, int] = {}
        self._oldest = _NONE  # of their timestamps
        self._environment: ReadableEnvironment
        self._snapshot: LocalSnapshot
        try:
            self._enter(self._first_available())
        except BaseException:
            self.close()
            raise

    @property
    def directory(self) -> Path:
        """The directory of the replica in use."""
        return self._directory.parent

    @property
    def watermark(self) -> int:
        """How far the replica in use has come."""
        return self._words[WATERMARK]

    @property
    def stored_bytes(self) -> int:
        """How much the replica in use takes on disk, superseded versions and free pages included."""
        environment = self._environment.environment
        pages: int = environment.info()["last_pgno"] + 1
        page_bytes: int = environment.stat()["psize"]
        return pages * page_bytes

    def count_rows(self, low: bytes, high: bytes) -> float | None:
        """Return about how many rows lie in [low, high); None if that cannot be said now."""
        environment = self._environment
        page_bytes: int = environment.environment.stat()["psize"]
        return count_rows(environment.directory, page_bytes, low, high)

    def snapshot(self, timestamp: int, reader: object = None) -> LocalSnapshot:
        """Return the snapshot at `timestamp`, once a replica has reached it. Raises SqlError 58000.

        It is shown for `reader`, whoever that is, until its `release` or next snapshot.
        """
        readers = self._readers
        if reader in readers:
            self.release(reader)
        if self._words[WATERMARK] < timestamp:
            self._wait(timestamp)
        readers[reader] = timestamp
        if timestamp < self._oldest:
            self._oldest = timestamp
            for words in self._shown:
                words[START] = timestamp
        snapshot = self._snapshot
        if snapshot.timestamp != timestamp:
            self._snapshot = snapshot = LocalSnapshot(self._environment, timestamp, self._leave)
        return snapshot

    def release(self, reader: object = None) -> None:
        """Let garbage collection have what only the snapshot of `reader` needed, if it has one."""
        readers = self._readers
        if readers.pop(reader, _NONE) != self._oldest:
            return
        if readers:
            self._oldest = oldest = min(readers.values())
        else:
            self._oldest, oldest = _NONE, 0
        for words in self._shown:
            words[START] = oldest

    def _show(self) -> None:
        """Say in which replicas the snapshots may be read: in every one that is open."""
        for directory, slot in self._slots.items():
            slot.words[ELSEWHERE] = int(directory not in self._open)

    def close(self) -> None:
        """Unmap every environment, and give up what slots were made here."""
        for environment in self._open.values():
            environment.close()
        self._open.clear()
        for slot in self._own_slots:
            slot.close()

    def _enter(self, directory: Path) -> None:
        self._directory = directory
        self._environment = environment = self._open[directory]
        self._words = environment.board.words
        self._slot = self._slots[directory]
        self._snapshot = LocalSnapshot(environment, 0)

    def _first_available(self) -> Path:
        deadline = time.monotonic() + self._deadline_seconds
        while True:
            for directory in self._directories:
                if self._try_open(directory):
                    return directory
            if time.monotonic() >= deadline:
                raise no_replica()
            self._pause(_SLEEP_SECONDS_MAX)

    def _try_open(self, directory: Path) -> bool:
        opened = self._open.get(directory)
        if opened is not None:
            if not opened.board.words[RETIRED]:
                return directory not in self._damaged
            self._let_go(directory)
        try:
            environment = ReadableEnvironment(directory, self._boot)
        except (BoardUnavailableError, OSError, lmdb.Error):
            # Not there yet, being replaced, or out of reach of this process's sandbox.
            return False
        if environment.board.words[RETIRED]:
            environment.close()
            return False
        self._open[directory] = environment
        self._show()
        return True

    def _let_go(self, directory: Path) -> None:
        """Keep a given up environment no longer than those who still read from it."""
        left = self._open.pop(directory)
        self._damaged.discard(directory)
        self._show()
        if left is self._environment:
            self._words = _NOWHERE

    def _wait(self, timestamp: int) -> None:
        if self._waiter.alone:
            words = self._words
            if words[DELAYING]:
                self._slot.wake_writer()
            for _ in range(_SPINS):
                os.sched_yield()
                if words[WATERMARK] >= timestamp:
                    return
        self._slot.wake_writer()  # it may have begun to hold back, or will when the records come
        self._wait_long(timestamp)

    def _wait_long(self, timestamp: int) -> None:
        now = time.monotonic()
        deadline = now + self._deadline_seconds
        seen, stalled_at = self._words[WATERMARK], now + self._stall_seconds
        pause = _SLEEP_SECONDS_MIN
        while True:
            watermark = self._words[WATERMARK]
            if watermark >= timestamp:
                return
            now = time.monotonic()
            if now >= deadline:
                raise no_replica()
            if self._enter_ahead(timestamp):
                return
            if watermark != seen:
                seen, stalled_at = watermark, now + self._stall_seconds
            elif now >= stalled_at or self._words[RETIRED]:
                self._fail_over(timestamp)
            if self._words[DELAYING]:
                self._slot.wake_writer()
            self._pause(pause)
            pause = min(pause * 2, _SLEEP_SECONDS_MAX)

    def _enter_ahead(self, timestamp: int) -> bool:
        """Enter one of the replicas that were opened before if it has reached `timestamp`."""
        for directory, environment in self._open.items():
            words = environment.board.words
            if (
                words[WATERMARK] >= timestamp
                and not words[RETIRED]
                and directory not in self._damaged
            ):
                self._enter(directory)
                return True
        return False

    def _leave(
        self, left: ReadableEnvironment, timestamp: int, damage: Exception | None
    ) -> ReadableEnvironment:
        """Return another replica that has reached `timestamp`; see LocalSnapshot. Raises SqlError 58000."""
        directory = left.directory
        if damage is not None and self._open.get(directory) is left:
            log.error("%s is damaged: %r", directory, damage)
            self._damaged.add(directory)
            self._slots[directory].report_damage()
        deadline = time.monotonic() + self._deadline_seconds
        while not (self._enter_ahead(timestamp) or self._fail_over(timestamp)):
            if time.monotonic() >= deadline:
                raise no_replica()
            self._pause(_SLEEP_SECONDS_MAX)
        return self._environment

    def _fail_over(self, timestamp: int) -> bool:
        """Enter the first replica that has reached `timestamp`, the own one opened anew included."""
        for directory in self._directories:
            if self._try_open(directory):
                words = self._open[directory].board.words
                if words[WATERMARK] >= timestamp:
                    self._enter(directory)
                    return True
        if self._open.get(self._directory) is not self._environment:
            self._enter(self._first_available())
        return False
