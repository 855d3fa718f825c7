"""The host agent: turns what happens on its host into the pool's decisions, and those into packets.

    relay --HandOver[client]--> agent --Serve[client]--> query processor --Ended--> agent
    agent --Fork--> seed --Forked[control, pidfd], or NotForked--> agent ... seed --Died--> agent
    seed --Survivor[control, pidfd]--> agent --Adopt--> query processor --Surviving, Adopted--> agent
    agent --LoadReport--> placement --Cancel--> agent --Cancel--> query processor
    query processor --WantJobs--> agent --RunJobs--> query processor of the same cluster
    query processor --Full--> agent --Retire--> query processor
    query processor --Parked[client]--> agent ... input ... --Resume[client]--> any of the same cluster
    query processor --Busy--> agent --Shed--> query processor
    query processor --Moved[client]--> agent --Resume[client]--> another of the same cluster
    agent --Keep[client]--> keeper --Keep[client]--> the next agent (placement.keeping)

Whatever runs in a query processor, a session or a run of background jobs, has a number, never given again.
The agent opens every connection that a query processor uses, and binds it to the cluster before it hands
it over. Of a session that runs it keeps no secret but the key that allows its cancellation; of one that was
given and not yet taken up, or is parked, socket and record as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable
from random import SystemRandom

from dsql.control.layout import Layout
from dsql.control.secret_file import read_or_make
from dsql.rpc.link_server import LinkServer
from dsql.rpc.process import condition_of
from dsql.rpc.tick import until_tick
from dsql.session.control import Busy, Signal, Told
from dsql.transaction.usage import Usage
from placement import decisions
from placement.account import Account, temporary_tables
from placement.adoptions import Adoptions
from placement.agent_settings import AgentSettings
from placement.assignment import Assigner
from placement.background import BackgroundRuns
from placement.crashes import Crashes
from placement.dispatch import Dispatch
from placement.dissolution import Dissolution
from placement.graves import Graves
from placement.keeping import Keeping
from placement.key_ring import KeyRing
from placement.listening import Listening
from placement.metering import Metering
from placement.parking import ParkedSession, ParkingLot
from placement.pending import PendingJobs, PendingSession
from placement.pool import QueryProcessorPool
from placement.reception import Reception
from placement.reporting import Reporting
from placement.seed_line import SeedLine
from placement.sessions import Keys, ParkedRecord
from placement.surveys import Surveys
from placement.vouchers import Vouchers
from placement.watch import Watch
from placement.worker import Worker

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5
RECONNECT_SECONDS = 0.05
REFILL_SECONDS = 0.01
QUIET_SECONDS = 0.25
WAKE_SECONDS = 1.0  # for all that are parked, so that their clients hear of the end
TERMINATE_SECONDS = 1.0
_WAKE_STEP_SECONDS = 0.01


class HostAgent:
    """All query processors of one host, seen from relays, seed and placement service."""

    def __init__(
        self, layout: Layout, settings: AgentSettings, link: LinkServer | None = None
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._pool = QueryProcessorPool(settings.pool, SystemRandom())
        self._assigner = Assigner(
            layout, settings.az, sandbox=settings.sandbox, park_seconds=settings.park_seconds
        )
        self._background = BackgroundRuns()
        self._workers: dict[int, Worker] = {}
        self._crashes = Crashes(self._report_crash)
        self._watch = Watch(condition_of)
        self._surveys = Surveys()
        self._dissolution = Dissolution(layout)
        self._lot = ParkingLot(self._wake, self._end_parked)
        self._listening = Listening(self._assigner, self._lot)
        self._keeping = Keeping(layout.socket("keeper"), settings.name, self._on_found)
        self._keys = KeyRing()
        self._metering = Metering(layout, settings.name)
        self._graves = Graves(self._workers)
        self._vouchers = Vouchers(read_or_make(layout.voucher_key))
        self._adoptions = Adoptions(self._assigner, self._is_elsewhere)
        self._account = Account(
            settings,
            self._pool,
            self._lot,
            address=str(layout.socket(settings.name)),
            link="" if link is None else link.name,
        )
        self._dispatch = Dispatch(
            self._pool,
            self._workers,
            self._lot,
            self._keeping,
            self._keys,
            self._background,
            self._account,
            self._act,
        )
        self._seed = SeedLine(layout.socket(settings.seed), self)
        self._reporting = Reporting(
            layout.socket("placement"), self._account.report, self._keys.cancel
        )
        self.drained: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._leaving = False
        self._parks = True
        self._closing = False
        self._deserted = asyncio.Event()  # no query processor is left, while closing
        self._loop = asyncio.get_running_loop()
        self._linked = link is not None
        self._reception = Reception(layout.socket(settings.name), self, link)

    async def run(self) -> None:
        """Keep the connections to seed and placement service and the pool going until cancelled."""
        while True:
            self._connect()
            self._tick()
            tick = until_tick(self._loop.time(), TICK_SECONDS)
            await asyncio.sleep(tick if self.ready else RECONNECT_SECONDS)

    async def stop(self) -> None:
        """Take no more sessions and end those that there are: in peace for a while, then by force."""
        self._reception.close()
        await self._wake_parked()
        self._closing = self._dispatch.closing = True
        for worker in self._workers.values():
            worker.terminate()
        if self._workers:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._deserted.wait(), TERMINATE_SECONDS)
        self._reporting.close()
        self._seed.close()
        for worker in list(self._workers.values()):
            worker.kill()
        self._listening.close()
        self._lot.close()
        self._keeping.close()
        await self._metering.close()

    async def leave(self, seconds: float) -> None:
        """Leave every session to its query processor, or to the keeper, until the next agent comes.

        Whoever comes is served up to the moment in which no relay finds this agent any more, and by the
        next one from then on. So is who is parked; without a keeper, query processors have to take these.
        """
        self._leaving = True
        await self._give_away(seconds)
        for worker in list(self._workers.values()):
            worker.equip()
        self._reporting.close()
        await asyncio.sleep(QUIET_SECONDS)  # what was placed here a moment ago still comes
        self._lot.rest()
        await self._give_away(seconds)

    async def _give_away(self, seconds: float) -> None:
        if self._keeping.connected:
            await self._settle(seconds)
        else:
            await self._wake_parked(seconds)

    async def _wake_parked(self, seconds: float = WAKE_SECONDS) -> None:
        """Give the parked sessions, and who would be parked now, to query processors."""
        self._leaving, self._parks = True, False
        self._lot.wake_all()
        await self._settle(seconds)

    async def _settle(self, seconds: float) -> None:
        """Wait until query processors have what they were given."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._dispatch.under_way:
                    await asyncio.sleep(_WAKE_STEP_SECONDS)

    def drain(self, seconds: float) -> None:
        """See placement.reception.Desk."""
        if not self.drained.done():
            self.drained.set_result(seconds)

    def reseed(self) -> None:
        """See placement.reception.Desk."""
        self._seed.renew()

    @property
    def ready(self) -> bool:
        """True while sessions can be taken."""
        return self._seed.connected and self._reporting.connected

    def status(self) -> dict[str, object]:
        """See placement.reception.Desk."""
        return self._account.status(
            code=self._seed.code,
            query_processors=len(self._workers),
            sessions=len(self._keys),
            **({"linked_relays": self._reception.linked} if self._linked else {}),
            **({"kept": len(self._lot)} if self._keeping.connected else {}),
            **temporary_tables(self._workers.values()),
            usage=self._metering.describe(),
        )

    def _tick(self) -> None:
        now = time.monotonic()
        hanging = (
            *self._dispatch.starts.hanging(now),
            *self._watch.look(self._workers.values(), now),
        )
        for worker in (*hanging, *self._adoptions.overdue(now)):
            self._pool.hangs(worker.process_id)
            worker.abort()
        for deleted in self._dissolution.look(self._pool.loads(), now):
            self._dissolve(*deleted)
        self._act(self._pool.tick(now))
        self._reception.tick(now)
        self._metering.tick(now)
        self._assigner.keep_open(self._pool.loads())
        for cluster in self._background.due(time.monotonic()):
            self._run_jobs(cluster)

    def _dissolve(self, cluster: str, overdue: bool) -> None:
        """End what a deleted cluster still has here; of parked sessions nobody can tell the clients."""
        self._lot.lose(cluster, self._keeping.forget)
        self._background.dissolved(cluster)
        self._assigner.forget(cluster)
        self._act(self._pool.dissolved(cluster))
        for worker in [one for one in self._workers.values() if one.cluster == cluster]:
            worker.kill() if overdue else worker.terminate()

    # Seed and placement service

    def _connect(self) -> None:
        self._seed.connect()
        self._keeping.connect(self._lot)
        if not self._leaving:
            self._reporting.connect()

    def on_forked(self, process_id: int, control: socket.socket, pidfd: int) -> None:
        """See placement.seed_line.SeedEvents."""
        self._take_in(process_id, control, pidfd)
        self._act(self._pool.forked(process_id, time.monotonic()))

    def on_survivor(self, process_id: int, control: socket.socket, pidfd: int) -> None:
        """See placement.seed_line.SeedEvents."""
        self._adoptions.begin(self._take_in(process_id, control, pidfd), time.monotonic())

    def _take_in(self, process_id: int, control: socket.socket, pidfd: int) -> Worker:
        known = self._workers.get(process_id)
        if known is not None:
            known.close()  # it has died unseen, or this agent was away from the seed for a moment
        worker = Worker(process_id, control, pidfd, self, self._vouchers)
        self._workers[process_id] = worker
        return worker

    def on_not_forked(self) -> None:
        """See placement.seed_line.SeedEvents."""
        self._pool.fork_failed(time.monotonic())

    def on_died(self, process_id: int, status: int) -> None:
        """See placement.seed_line.SeedEvents."""
        level = logging.WARNING if status else logging.INFO
        details = {"process_id": process_id, "status": status}
        logger.log(level, "query processor ended", extra=details)
        worker = self._workers.get(process_id)
        if worker is not None:
            worker.close()
        self._crashes.died(process_id, status)

    def on_renewed(self) -> None:
        """See placement.seed_line.SeedEvents."""
        self._act(self._pool.renewed(time.monotonic()))

    def on_seed_lost(self) -> None:
        """See placement.seed_line.SeedEvents."""
        self._crashes.seed_lost(self._workers)
        self._pool.seed_lost()

    def on_adopted(self, worker: Worker) -> None:
        """See placement.worker.WorkerEvents."""
        sessions = self._adoptions.complete(worker)
        if sessions is None:
            return
        now, cluster = time.monotonic(), worker.cluster
        assert cluster is not None, "it has shown whose it is"
        for number, keys in sessions.items():
            self._keys.served(worker, number, keys)
            self._account.saw(keys)
        for number in worker.work.keys() - sessions.keys():
            self._background.adopted(number, cluster)
        self._act(self._pool.adopted(worker.process_id, cluster, worker.work, now))
        self._background.assigned(cluster, now)
        if worker.full:
            self._act(self._pool.full(worker.process_id, now))
        self._reporting.schedule()

    def _is_elsewhere(self, number: int, keys: Keys) -> bool:
        served = self._keys.server_of(keys) is not None
        return served or number in self._lot or number in self._dispatch

    def _report_crash(self, cluster: str) -> None:
        """Have replicas looked at that a process was reading when it ended, if there are any."""
        with contextlib.suppress(LookupError):
            self._assigner.report_crash(cluster)

    # Work

    def arrived(self, session: PendingSession) -> int:
        """See placement.reception.Desk."""
        self._account.saw(session.keys)
        return self._dispatch.admit(session)

    def withdrawn(self, number: int) -> None:
        """See placement.reception.Desk."""
        self._dispatch.withdrawn(number)

    def _wake(self, session: ParkedSession) -> None:
        self._dispatch.await_arrival(session)
        now = time.monotonic()
        self._act(self._pool.session_woken(session.number, session.cluster, now))

    def _end_parked(self, session: ParkedSession) -> None:
        self._keeping.forget(session)
        session.settle()
        self._pool.session_left(session.cluster)
        self._reporting.schedule()

    def _run_jobs(self, cluster: str) -> None:
        self._dispatch.admit(PendingJobs(cluster, self._background.refused))

    # Query processors

    def on_ready(self, worker: Worker, seconds: float) -> None:
        """See placement.worker.WorkerEvents."""
        del worker
        self._account.assignments.append(seconds)

    def on_started(self, worker: Worker, number: int) -> None:
        """See placement.worker.WorkerEvents."""
        self._dispatch.started(worker, number)

    def on_parked(self, worker: Worker, parked: ParkedRecord) -> None:
        """See placement.worker.WorkerEvents."""
        assert worker.cluster is not None, "it has served somebody"
        session = ParkedSession(worker.cluster, parked)
        self._keys.left(worker, parked.number, parked.keys)
        self._act(self._pool.parked(worker.process_id, parked.number, time.monotonic()))
        if self._parks and self._lot.has_room(session):
            self._lot.park(session)
            self._keeping.keep(session)
        else:
            session.parks = False
            self._wake(session)

    def _on_found(self, session: ParkedSession) -> None:
        """An earlier agent has parked a session, and left it behind."""
        liar = self._keys.server_of(session.keys)
        if liar is not None:  # it has shown what it had long let go: the keeper knows better
            logger.error("query processor lies", extra={"process_id": liar.process_id})
            liar.kill()
        self._account.saw(session.keys)
        self._pool.found(session.cluster)
        self._lot.park(session)
        self._reporting.schedule()

    def on_moved(self, worker: Worker, moved: ParkedRecord) -> None:
        """See placement.worker.WorkerEvents."""
        assert worker.cluster is not None, "it has served somebody"
        session = ParkedSession(worker.cluster, moved)
        session.woken_at = time.monotonic()
        session.left = worker
        self._keys.left(worker, moved.number, moved.keys)
        self._dispatch.await_arrival(session)
        self._act(self._pool.moved(worker.process_id, moved.number, session.woken_at))

    def on_busy(self, worker: Worker, busy: Busy) -> None:
        """See placement.worker.WorkerEvents."""
        if self._leaving:
            return  # nobody moves any more
        pressure = (busy.share + busy.ready) / 100
        now = time.monotonic()
        self._act(self._pool.busy_with(worker.process_id, pressure, now, long=busy.long))

    def on_cut(self, _worker: Worker, number: int) -> None:
        """See placement.worker.WorkerEvents."""
        self._background.lost(number, time.monotonic())

    def on_ended(self, worker: Worker, number: int, keys: Keys | None) -> None:
        """See placement.worker.WorkerEvents."""
        self._keys.left(worker, number, keys)
        self._act(self._pool.ended(worker.process_id, number, time.monotonic()))
        if worker.cluster is not None and self._background.ended(number):
            self._run_jobs(worker.cluster)
        self._reporting.schedule()

    def on_look_around(self, worker: Worker, inquiry: int) -> None:
        """See placement.worker.WorkerEvents."""
        cluster = worker.cluster
        assert cluster is not None, "else it was refused"
        workers = [one for one in self._workers.values() if one.cluster == cluster and one.ready]
        parked = [session.activity for session in self._lot if session.cluster == cluster]
        seen = filter(None, (*parked, *self._keys.activities(cluster)))
        self._surveys.begin(worker, inquiry, {worker, *workers}, seen)

    def on_told(self, worker: Worker, told: Told) -> None:
        """See placement.worker.WorkerEvents."""
        self._surveys.told(worker, told.inquiry, told.activities, told.last)

    def on_signal(self, worker: Worker, wanted: Signal) -> None:
        """See placement.worker.WorkerEvents. Who is parked runs nothing, and is woken to be ended."""
        cluster = worker.cluster
        assert cluster is not None, "else it was refused"
        if self._keys.signal(cluster, wanted.process_id, ends=wanted.ends) or not wanted.ends:
            return
        for session in self._lot:
            if session.cluster == cluster and session.keys.process_key == wanted.process_id:
                session.ended = True
                self._lot.wake(session)
                return

    def on_pong(self, worker: Worker) -> None:
        """See placement.worker.WorkerEvents."""
        self._watch.answered(worker.process_id)

    def on_used(self, worker: Worker, usage: Usage) -> None:
        """See placement.worker.WorkerEvents."""
        assert worker.cluster is not None, "it was assigned"
        self._metering.add(worker.cluster, usage)

    def on_full(self, worker: Worker) -> None:
        """See placement.worker.WorkerEvents."""
        self._act(self._pool.full(worker.process_id, time.monotonic()))

    def on_jobs_wanted(self, worker: Worker) -> None:
        """See placement.worker.WorkerEvents."""
        if worker.cluster is not None and self._background.wanted(worker.cluster):
            self._run_jobs(worker.cluster)

    def on_lost(self, worker: Worker) -> None:
        """See placement.worker.WorkerEvents."""
        known = self._workers.pop(worker.process_id, None) is not None
        self._graves.lost(worker, self._dispatch.starts)
        self._adoptions.lost(worker)
        for number, keys in worker.work.items():
            self._keys.left(worker, number, keys)
            self._background.lost(number, time.monotonic())
        self._crashes.lost(worker)
        self._surveys.lost(worker)
        if self._closing:
            if not self._workers:
                self._deserted.set()
        elif known:
            self._act(self._pool.died(worker.process_id, time.monotonic()))
            self._reporting.schedule()  # its cluster may be nowhere now
        self._dispatch.lost(worker)

    def _act(self, actions: list[decisions.Action]) -> None:
        for action in actions:
            match action:
                case decisions.Fork():
                    # A session that was just given away comes first, unless another one waits.
                    self._loop.call_later(0 if self._pool.waiting else REFILL_SECONDS, self._fork)
                case decisions.Assign(worker, cluster):
                    self._assign(self._workers[worker], cluster)
                case decisions.Serve(worker, session):
                    self._dispatch.start(worker, session)
                case decisions.Retire(worker):
                    self._workers[worker].retire()
                case decisions.End(worker):
                    self._workers[worker].kill()
                case decisions.Shed(worker, count):
                    self._workers[worker].shed(count)
                case decisions.Refuse(session, sqlstate, text):
                    self._dispatch.refuse(session, sqlstate, text)
        if actions:
            self._reporting.schedule()

    def _fork(self) -> None:
        try:
            self._seed.fork(
                sandbox=self._settings.sandbox, memory_bytes=self._settings.memory_bytes
            )
        except ConnectionError:
            self._pool.seed_lost()  # the pool asks again with the next tick

    def _assign(self, worker: Worker, cluster: str) -> None:
        try:
            assignment = self._assigner.assignment(cluster)
            slots = self._assigner.open_slots(assignment)
        except (LookupError, OSError) as error:
            logger.error("cannot assign", extra={"cluster": cluster, "reason": str(error)})
            worker.kill()
            return
        worker.assign(assignment, slots, lambda az: self._assigner.connect_adjudicator(cluster, az))
        self._graves.assigned(worker, cluster)
        self._background.assigned(cluster, time.monotonic())


async def serve(
    layout: Layout,
    settings: AgentSettings,
    *,
    link: LinkServer | None = None,
    on_ready: Callable[[], None],
) -> None:
    """Run a host agent until cancelled, or drained: then this process has to end soon.

    Ready once it has a seed and a placement service. Relays of other hosts come by `link`.
    """
    agent = HostAgent(layout, settings, link)
    running = asyncio.create_task(agent.run())
    try:
        while not agent.ready and not running.done():
            await asyncio.sleep(0.01)
        on_ready()
        await asyncio.wait((running, agent.drained), return_when=asyncio.FIRST_COMPLETED)
        if agent.drained.done():
            logger.info("draining")
            await agent.leave(agent.drained.result())
            return
        running.result()
    finally:
        running.cancel()
        if not agent.drained.done():
            await asyncio.shield(agent.stop())
