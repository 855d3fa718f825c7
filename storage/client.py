"""Reading a storage replica from a query processor of the same host, without a process in between.

A read at start timestamp T needs a replica whose watermark has reached T. Usually the own AZ's has, or
will within microseconds: spin a little, giving the processor away each time, then sleep in growing
steps. A replica that stands still for `stall_seconds` while it is waited for is left for the first one
of another AZ that has reached T.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from dsql.control.layout import Layout
from dsql.errors import SqlError
from storage.board import DELAYING, RETIRED, WANTED, WATERMARK, BoardUnavailableError
from storage.environment import ENVIRONMENT, ReadableEnvironment, current_boot
from storage.snapshot import LocalSnapshot

_SPINS = 100
_SLEEP_SECONDS_MIN = 0.000_05
_SLEEP_SECONDS_MAX = 0.002


def no_replica() -> SqlError:
    """Return the error of a read that no replica could serve in time."""
    return SqlError("58000", "no storage replica has reached the transaction's start timestamp")


class LocalReplica:
    """The replicas of one cluster that lie on this host, the preferred AZ first.

    Open it in the process that reads (LMDB environments do not survive a fork). Snapshots are shown to
    the replica's garbage collection from `snapshot` until `release`; one is in use at a time.
    """

    def __init__(
        self,
        layout: Layout,
        azs: Sequence[str],
        cluster: str,
        *,
        stall_seconds: float = 0.25,
        deadline_seconds: float = 10.0,
        activate: Callable[[str], None] | None = None,
    ) -> None:
        """`activate(az)` asks an AZ's storage server to open the cluster, if it has not.

        Raises SqlError 58000 if no AZ has a replica within the deadline.
        """
        self._directories = {az: layout.storage(az, cluster) / ENVIRONMENT for az in azs}
        self._stall_seconds = stall_seconds
        self._deadline_seconds = deadline_seconds
        self._activate = activate
        self._boot = current_boot()
        self._open: dict[str, ReadableEnvironment] = {}
        self._snapshot: LocalSnapshot
        self._enter(self._first_available())

    @property
    def az(self) -> str:
        """The AZ that is being read."""
        return self._az

    @property
    def watermark(self) -> int:
        """How far the replica in use has come."""
        return self._words[WATERMARK]

    def snapshot(self, timestamp: int) -> LocalSnapshot:
        """Return the snapshot at `timestamp`, once a replica has reached it. Raises SqlError 58000."""
        if self._words[WATERMARK] < timestamp:
            self._wait(timestamp)
        self._words[self._slot] = timestamp
        snapshot = self._snapshot
        if snapshot.timestamp != timestamp:
            self._snapshot = snapshot = LocalSnapshot(self._environment, timestamp)
        return snapshot

    def release(self) -> None:
        """Let garbage collection have what only the last snapshot needed."""
        self._words[self._slot] = 0

    def close(self) -> None:
        """Unmap every environment."""
        for environment in self._open.values():
            environment.close()
        self._open.clear()

    def _enter(self, az: str) -> None:
        self._az = az
        self._environment = environment = self._open[az]
        self._words = environment.board.words
        self._slot = environment.slot
        self._snapshot = LocalSnapshot(environment, 0)

    def _first_available(self) -> str:
        deadline = time.monotonic() + self._deadline_seconds
        while True:
            for az in self._directories:
                if self._try_open(az):
                    return az
            if time.monotonic() >= deadline:
                raise no_replica()
            time.sleep(_SLEEP_SECONDS_MAX)

    def _try_open(self, az: str) -> bool:
        opened = self._open.get(az)
        if opened is not None:
            if not opened.board.words[RETIRED]:
                return True
            del self._open[az]
            opened.close()
        try:
            self._open[az] = ReadableEnvironment(self._directories[az], self._boot)
        except BoardUnavailableError:
            if self._activate is not None:
                self._activate(az)
            return False
        return True

    def _wait(self, timestamp: int) -> None:
        words = self._words
        if words[WANTED] < timestamp:
            words[WANTED] = timestamp
        if words[DELAYING]:
            self._environment.wake_writer()
        for _ in range(_SPINS):
            os.sched_yield()
            if words[WATERMARK] >= timestamp:
                return
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
            if watermark != seen:
                seen, stalled_at = watermark, now + self._stall_seconds
            elif now >= stalled_at or self._words[RETIRED]:
                self._fail_over(timestamp)
            time.sleep(pause)
            pause = min(pause * 2, _SLEEP_SECONDS_MAX)

    def _fail_over(self, timestamp: int) -> None:
        """Enter the first replica that has reached `timestamp`, the own one opened anew included."""
        self.release()
        for az in self._directories:
            if self._try_open(az) and self._open[az].board.words[WATERMARK] >= timestamp:
                self._enter(az)
                return
        if self._az not in self._open:
            self._enter(self._first_available())
