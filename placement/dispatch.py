"""Work on its way to a query processor: sessions and runs of jobs that have come and are not in its hands.

    admit, await_arrival --the pool says Serve--> start --Started--> over
                                                    |--its query processor is lost--> to another one
          --the pool says Refuse, withdrawn--> over

Whatever runs has a number, never given again.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping

from placement import decisions
from placement.account import Account
from placement.background import BackgroundRuns
from placement.keeping import Keeping
from placement.key_ring import KeyRing
from placement.parking import ParkedSession, ParkingLot
from placement.pending import STARTS_MAX, Pending, PendingJobs, PendingSession
from placement.pool import QueryProcessorPool
from placement.starting import Starts
from placement.worker import Worker


class Dispatch:
    """`starts`: what was given and not taken up yet; the rest of what is under way waits for `start`.

    `workers` are the query processors by process id, kept up to date by others. `act` carries out what the
    pool decides. `closing`: nothing is given to a second one any more.
    """

    def __init__(
        self,
        pool: QueryProcessorPool,
        workers: Mapping[int, Worker],
        lot: ParkingLot,
        keeping: Keeping,
        keys: KeyRing,
        background: BackgroundRuns,
        account: Account,
        act: Callable[[list[decisions.Action]], None],
    ) -> None:
        self.starts = Starts()
        self.closing = False
        self._pool = pool
        self._workers = workers
        self._lot = lot
        self._keeping = keeping
        self._keys = keys
        self._background = background
        self._account = account
        self._act = act
        self._pending: dict[int, Pending] = {}
        # Rising with the clock, so that they are no earlier agent's either, whose sessions live on.
        self._numbers = itertools.count(time.monotonic_ns() // 1_000)

    @property
    def under_way(self) -> int:
        """How much has not been taken up."""
        return len(self._pending) + len(self.starts)

    def __contains__(self, number: int) -> bool:
        """Return whether this waits for a query processor."""
        return number in self._pending

    def admit(self, pending: Pending) -> int:
        """Something new has come; return its number."""
        number = next(self._numbers)
        self._pending[number] = pending
        jobs = isinstance(pending, PendingJobs)
        arrived = self._pool.jobs_arrived if jobs else self._pool.session_arrived
        self._act(arrived(number, pending.cluster, time.monotonic()))
        return number

    def await_arrival(self, session: ParkedSession) -> None:
        """A session that was elsewhere needs a query processor; the pool is told by whoever calls."""
        self._pending[session.number] = session
        self._keys.departs(session)

    def withdrawn(self, number: int) -> None:
        """The relay of a session that may still wait went away."""
        pending = self._pending.pop(number, None)
        if isinstance(pending, PendingSession):
            self._pool.session_withdrawn(number, pending.cluster)
            pending.drop()

    def start(self, process_id: int, number: int) -> None:
        """Give what waits to a query processor, as the pool has decided."""
        worker, pending = self._workers.get(process_id), self._pending.get(number)
        if pending is None:  # its relay went away with one that was started before it
            self._act(self._pool.ended(process_id, number, time.monotonic()))
            return
        try:
            if worker is None:
                raise ConnectionError("the query processor is gone")
            if isinstance(pending, ParkedSession):
                self._keeping.forget(pending)
            pending.start(worker, number)
        except ConnectionError:
            # It died while nobody looked, and the pool knows by now.
            self._start_elsewhere(number, pending)
            return
        del self._pending[number]
        if isinstance(pending, PendingSession | ParkedSession):
            self._keys.served(worker, number, pending.keys)
            self.starts.begin(number, pending, worker, time.monotonic())
        else:
            self._background.started(number, pending.cluster)

    def started(self, worker: Worker, number: int) -> None:
        """A query processor has taken something up."""
        pending = self.starts.end(number)
        if pending is not None:
            pending.settle()
        if isinstance(pending, ParkedSession):
            self._arrived(worker, pending)

    def _arrived(self, worker: Worker, session: ParkedSession) -> None:
        self._keys.arrived(session)
        if session.cancelled:
            worker.cancel(session.number, session.keys.secret_key)
        if session.ended:
            worker.end_session(session.number)
        times = self._account.moves if session.left else self._lot.wakes
        times.append(time.monotonic() - session.woken_at)

    def lost(self, worker: Worker) -> None:
        """A query processor is gone: what it has not taken up starts in another one."""
        for number in worker.work:
            pending = self.starts.end(number)
            if pending is not None:
                self._pending[number] = pending
                self._start_elsewhere(number, pending)

    def _start_elsewhere(self, number: int, pending: Pending) -> None:
        if pending.starts < STARTS_MAX and not self.closing:
            jobs = isinstance(pending, PendingJobs)
            arrived = self._pool.jobs_arrived if jobs else self._pool.session_returned
            self._act(arrived(number, pending.cluster, time.monotonic()))
        else:
            self.refuse(number, "57P03", decisions.CANNOT_START)

    def refuse(self, number: int, sqlstate: str, text: str) -> None:
        """Give something up that waits, and say why."""
        pending = self._pending.pop(number, None)
        if pending is not None:
            pending.refuse(sqlstate, text)
        if isinstance(pending, ParkedSession):
            self._keeping.forget(pending)
            self._keys.arrived(pending)
