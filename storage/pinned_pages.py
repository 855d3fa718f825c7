"""Keeping LMDB from using pages again that a reader of another process may still be walking.

LMDB knows by its table of readers which old pages nobody needs. The table lies in lock.mdb, and whoever can
write there can crash or block the writer. So readers open the environment without locks, and only the
writer's own process is in the table: here it holds read transactions, *pins*, that stand for everybody's.

    pins     t1 ------ t2 ------ t3 ------> newest commit
             |  `kept` on the board: a read whose LMDB transaction is at least as new had all of its pages

A pin goes when no read can be under way that began before the next one. What readers show is a hint as to
that (`storage.reader_slot`): one that shows nothing, or something else than when the writer last looked,
began later than that. One that shows the same for KEEP_SECONDS is not waited for any longer: a read is a
get, or one chunk of a scan. Who has read for too long finds `kept` above its LMDB transaction, and reads
again. Until then it may have seen anything, or have crashed, in its own process.

The publication comes before the pages are used again, in the order of stores that readers see
(`dsql.rpc.memory_order`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from storage.board import KEPT, Board

if TYPE_CHECKING:
    import lmdb

    from storage.databases import LmdbTransaction
    from storage.reader_slot import ReaderSlots

KEEP_SECONDS = 1.0
_LOOK_SECONDS = 0.01
_LOOKING_MAX = 0.01  # of the writer's time


class PinnedPages:
    """The pins of one environment: a few, or up to KEEP_SECONDS / _LOOK_SECONDS while somebody reads on."""

    def __init__(
        self,
        environment: lmdb.Environment,
        board: Board,
        slots: ReaderSlots,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environment = environment
        self._board = board
        self._slots = slots
        self._monotonic = monotonic
        self._shown: dict[int, tuple[int, float]] = {}  # by slot: what it shows, at most since when
        self._pins: deque[tuple[float, LmdbTransaction]] = deque()
        now = monotonic()
        self._pin(now)
        self._next_look = now + _LOOK_SECONDS
        self._publish()  # what a former writer kept is not kept any more

    def renew(self) -> None:
        """Pin what has just been committed, now and then, and let go of what nobody reads any more."""
        now = self._monotonic()
        if now < self._next_look:
            return
        needed_since = self._needed_since(now)
        self._pin(now)
        pins, gone = self._pins, []
        while pins[1][0] <= needed_since:
            gone.append(pins.popleft()[1])
        if gone:
            self._publish()
        for transaction in gone:
            transaction.abort()
        looking = self._monotonic() - now
        self._next_look = now + max(_LOOK_SECONDS, looking / _LOOKING_MAX)

    def close(self) -> None:
        """Let go of everything: the environment is closed or grows next."""
        for _, transaction in self._pins:
            transaction.abort()
        self._pins.clear()

    def _needed_since(self, now: float) -> float:
        """Return the moment before which no read began that is still under way and worth waiting for."""
        looked_at = self._pins[-1][0]
        shown = {}
        for slot, timestamp in self._slots.reading().items():
            before = self._shown.get(slot)
            same = before is not None and before[0] == timestamp
            shown[slot] = before if same and before else (timestamp, looked_at)
        self._shown = shown
        oldest = min((since for _, since in shown.values()), default=looked_at)
        return max(oldest, now - KEEP_SECONDS)

    def _pin(self, now: float) -> None:
        self._pins.append((now, self._environment.begin()))

    def _publish(self) -> None:
        self._board.let_go(KEPT, self._pins[0][1].id())
