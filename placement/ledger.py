"""What a query processor was given, and what it may say therefore. No I/O.

It may be hostile. It may not say what nobody says here, or more than anybody has to say; nor that something
has started, parked or ended, or that it is full, and has not got it, or no cluster; nor give back another
socket than it was given, a session that cannot have been silent for long enough and was not asked to leave,
or more than a session's record. Sockets are named by their inodes, times are of a monotonic clock.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from dsql.session.control import (
    EARS_BYTES_MAX,
    TOLD_AT_ONCE,
    Adopted,
    Busy,
    Ended,
    Full,
    LookAround,
    Moved,
    Parked,
    Ready,
    Signal,
    Started,
    Surviving,
    ToAgent,
    Told,
    Used,
)
from dsql.session.record import MOVED_BYTES_MAX, RECORD_BYTES_MAX
from placement.sessions import Keys
from placement.vouchers import Voucher

# Who finds no adjudicator asks again every few milliseconds. Each session adds one more: it may want jobs.
# Starts, parkings and ends of sessions do not count: each follows one that we have sent.
MESSAGES_PER_SECOND_MAX = 500
_ACTIVITY_BYTES_MAX = 8 * 1024  # what one session says of itself


class _Given(NamedTuple):
    """A session's socket, which no other one has, and since when the process has it."""

    socket: int
    since: float


class Ledger:
    """Of one process. `work`: its sessions by number, and perhaps a run of jobs, which has no keys."""

    def __init__(self) -> None:
        self.cluster: str | None = None
        self.work: dict[int, Keys | None] = {}
        self.full = False  # it wants no more sessions
        self.ready_at: float | None = None
        self.park_seconds = 0.0
        self._given: dict[int, _Given] = {}  # by session
        self._unstarted: set[int] = set()
        self._may_leave = 0  # sessions that were asked to, and have not
        self.looks_around = False  # it has asked what other sessions do
        self._asked: dict[
            int, int
        ] = {}  # parts that it may still say, by the number of the question
        self._counting_from = 0.0  # and since then it has said
        self._messages = 0

    # What it is told

    def give(self, number: int, keys: Keys, client: int, now: float) -> None:
        """It is given a session."""
        self.work[number] = keys
        self._given[number] = _Given(client, now)
        self._unstarted.add(number)

    def give_back(self, number: int) -> None:
        """It is given again what it has let go when nobody was there to take it."""
        assert number in self._given, "it has shown a voucher"
        self._unstarted.add(number)

    def give_run(self, number: int) -> None:
        """It is given a run of its cluster's background jobs."""
        assert None not in self.work.values(), "a cluster has one run at a time"
        self.work[number] = None

    def ask_to_leave(self, count: int) -> None:
        """So many of its sessions are asked to leave."""
        self._may_leave = min(len(self.work), self._may_leave + count)

    def ask(self, inquiry: int) -> None:
        """It is asked what its sessions do, and may say that in so many parts."""
        self._asked[inquiry] = len(self.work) // TOLD_AT_ONCE + 2

    # What it says, after it was looked for what is wrong with that

    def started(self, number: int) -> None:
        """It has taken a session up."""
        self._unstarted.remove(number)

    def ended(self, number: int) -> Keys | None:
        """A session, or the run, is over; return its keys."""
        self._given.pop(number, None)
        return self.work.pop(number)

    def told(self, inquiry: int, *, last: bool) -> None:
        """It has said what some of its sessions do."""
        self._asked[inquiry] -= 1
        if last:
            del self._asked[inquiry]

    def departed(self, message: Parked | Moved) -> Keys:
        """A session has left it; return its keys."""
        if isinstance(message, Moved):
            self._may_leave = max(0, self._may_leave - 1)
        keys = self.ended(message.number)
        assert keys is not None, "a run of jobs has no socket"
        return keys

    def complaint(self, message: ToAgent, sockets: list[int], now: float) -> str:
        """Return what is wrong with a message, and what comes with it, at this moment; "" for nothing."""
        if isinstance(message, Started):
            return "" if message.number in self._unstarted else "has begun what it was not given"
        if isinstance(message, Parked | Moved):
            return self._complaint_of_departed(message, sockets, now)
        if isinstance(message, Ended):
            begun = message.number in self.work and message.number not in self._unstarted
            return "" if begun else "has finished what it was not given"
        if isinstance(message, Surviving | Adopted):
            return "shows what nobody has asked for"
        if isinstance(message, Told):
            most = _ACTIVITY_BYTES_MAX * len(message.activities)
            fits = (
                len(message.activities) <= TOLD_AT_ONCE
                and sum(map(len, message.activities)) <= most
            )
            return (
                ""
                if fits and self._asked.get(message.inquiry)
                else "tells what nobody has asked for"
            )
        if isinstance(message, LookAround | Signal) and self.cluster is None:
            return "asks about others before it was assigned"
        if isinstance(message, LookAround) and self.looks_around:
            return "asks twice"
        if isinstance(message, Full | Busy | Used) and self.cluster is None:
            return "is busy before it was assigned"
        twice = (self.ready_at is not None and isinstance(message, Ready)) or (
            self.full and isinstance(message, Full)
        )
        return "says too much" if twice or self._says_too_much(now) else ""

    def _complaint_of_departed(
        self, message: Parked | Moved, sockets: list[int], now: float
    ) -> str:
        given = self._given.get(message.number)
        if given is None or message.number in self._unstarted:
            return "gives back what it was not given"
        if sockets != [given.socket]:
            return "gives back another socket"
        most = MOVED_BYTES_MAX if isinstance(message, Moved) else RECORD_BYTES_MAX
        said = 0 if isinstance(message, Moved) else len(message.activity)
        ears = None if isinstance(message, Moved) else message.ears
        heard = 0 if ears is None else sum(len(channel) + 1 for channel in ears.channels)
        if len(message.record) > most or said > _ACTIVITY_BYTES_MAX or heard > EARS_BYTES_MAX:
            return "gives back what is no session"
        if isinstance(message, Moved):
            asked = self._may_leave > 0 or not self.park_seconds  # then all move all the time
            return "" if asked else "gives back a session unasked"
        if now - given.since < self.park_seconds:
            return "parks too soon"
        return "" if math.isfinite(message.deadline) else "parks for ever"

    def _says_too_much(self, now: float) -> bool:
        if now >= self._counting_from + 1:
            self._counting_from, self._messages = now, 0
        self._messages += 1
        return self._messages > MESSAGES_PER_SECOND_MAX + len(self.work)

    # What it shows to a new agent

    def take_over(
        self, message: ToAgent, voucher: Voucher | None, sockets: list[int], now: float
    ) -> str:
        """Note what it shows by a voucher that was opened; return what is wrong with that, "" for nothing.

        What else it says is for the agent that has gone.
        """
        if not isinstance(message, Surviving | Parked | Moved | Adopted):
            return "says too much" if self._says_too_much(now) else ""
        if isinstance(message, Adopted):
            self.full = message.full
            if not message.voucher:
                return "shows work and no cluster" if self.work else ""
        if voucher is None or self.cluster not in (None, voucher.cluster):
            return "shows what it was not given"
        self.cluster = voucher.cluster
        if isinstance(message, Adopted):
            return ""
        if isinstance(message, Parked | Moved) and (
            voucher.number != message.number or voucher.keys is None
        ):
            return "gives back what it was not given"
        return self._take_over_work(voucher, sockets)

    def _take_over_work(self, voucher: Voucher, sockets: list[int]) -> str:
        number, keys = voucher.number, voucher.keys
        if not number or number in self.work or sockets != ([voucher.socket] if keys else []):
            return "shows what it has not got"
        self.work[number] = None if keys is None else Keys(*keys)
        if keys is not None:
            self._given[number] = _Given(voucher.socket, float("-inf"))
        return ""
