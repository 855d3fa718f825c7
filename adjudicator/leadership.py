"""One cluster's leadership: its journal's leader, its commit pipeline and its published clock together.

A leadership claims the next epoch at the cluster's journals (that is the election, and it fences
whoever led before), takes over their log, and opens. What former leaders committed is read back from a
journal while commits already go on (`adjudicator.recall`). It ends when a higher epoch is met, or when it
is told to resign.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable

from adjudicator.admission import Admission, rate_at
from adjudicator.commit_pipeline import Answer, CommitPipeline, Entry
from adjudicator.conflict_set import WINDOW_MICROSECONDS, ConflictSet
from adjudicator.disk_space import DiskSpace
from adjudicator.messages import is_commit
from adjudicator.recall import Recall
from dsql.control.layout import ClusterRecord, Layout
from dsql.rpc.boot import current_boot
from dsql.rpc.clock import Clock, ClockPublisher
from journal.client import (
    BLOCKED_LOOKS,
    Appender,
    Journal,
    LocalReplica,
    Quorum,
    SocketJournal,
)

log = logging.getLogger(__name__)

_RETENTION_SECONDS = 30.0  # how often it is seen to which records are still needed
_DOUBT_LOOKS = 2  # without a commit: are the others there, and do we hear them?


class Leadership:
    """One cluster, claimed and then led from this AZ until a newer leader is met.

    `candidate`: 16 bytes, new for each. `epoch`: the least to claim. `opened(leadership)` is called when it
    leads; requests may come from then on. `doubt` is called when the other zones' journals are late.
    """

    def __init__(
        self,
        layout: Layout,
        az: str,
        record: ClusterRecord,
        journal: Journal,
        local: LocalReplica | None,
        clock: Clock,
        *,
        candidate: bytes,
        epoch: int,
        opened: Callable[[Leadership], None],
        doubt: Callable[[], None],
    ) -> None:
        self.cluster = record.identifier
        self.pipeline: CommitPipeline | None = None
        self._az = az
        others = [layout.socket(f"{other}.journal") for other in record.azs if other != az]
        self._recall = Recall(record.identifier, [journal, *map(SocketJournal, others)])
        self._clock = clock
        self._opened = opened
        self._doubt = doubt
        self._published: ClockPublisher
        self._admission: Admission
        self._clock_file = layout.clock(record.identifier)
        self._zone, self._zones = record.azs.index(az), len(record.azs)
        self._space = DiskSpace(layout.clock(record.identifier).parent)
        self._tasks: list[asyncio.Task[None]] = []
        self._loop = asyncio.get_running_loop()
        self._retain_at = 0.0
        self._marks: deque[tuple[float, int]] = deque()  # when, and how far the log was committed
        replicas = [
            local if local is not None and other == az else layout.socket(f"{other}.journal")
            for other in record.azs
        ]
        self._appender = Appender(
            record.identifier,
            f"{az}.adjudicator",
            replicas,
            self._committed,
            clock=clock,
            quorum=Quorum(len(replicas), len(replicas) // 2 + 1),
            candidate=candidate,
            epoch=epoch,
            on_look=self._look,
        )

    @property
    def epoch(self) -> int:
        """The epoch that is claimed, or led in."""
        return self._appender.leader.epoch

    @property
    def promised(self) -> int:
        """The highest epoch that was met."""
        return self._appender.leader.promised

    @property
    def is_at_rest(self) -> bool:
        """True while it leads, nothing is under way, and every zone in reach has everything."""
        pipeline = self.pipeline
        return pipeline is not None and pipeline.is_idle and not self._appender.leader.restless

    def handle(self, body: bytes, answer: Answer) -> None:
        """Handle a query processor's request. Raises ValueError, struct.error for what nobody sends."""
        if self._admission.is_open or not is_commit(body):
            self._let_in(body, answer)
        else:
            self._admission.take(body, answer)

    def _let_in(self, body: bytes, answer: Answer) -> None:
        pipeline = self.pipeline
        assert pipeline is not None
        leader = self._appender.leader
        pipeline.full = leader.full or self._space.low
        pipeline.blocked = leader.blocked
        pipeline.handle(body, answer)

    async def run(self) -> None:
        """Lead until deposed, resigned or cancelled; then everything under way is unknown."""
        self._published = ClockPublisher(self._clock_file, current_boot(), self._zone, self._zones)
        try:
            async with asyncio.TaskGroup() as self._group:
                await self._appender.run()
                for task in self._tasks:
                    task.cancel()
        finally:
            if self.pipeline is not None:
                self.pipeline.stop()
                self._admission.limit(math.inf)
            self._published.close()

    def resign(self) -> None:
        """Lead no more."""
        self._appender.resign()

    def mend_clock(self) -> None:
        """Put right what is damaged in the clock file."""
        led = self.pipeline is not None and not self._appender.leader.deposed
        if led and self._published.mend():
            log.error("%s: the clock file was damaged and is mended", self.cluster)

    def status(self) -> dict[str, int | float | str]:
        """Tell epoch, phase, newest timestamps and sizes."""
        leader = self._appender.leader
        values: dict[str, int | float | str] = {
            "leader": self._az if self.pipeline is not None else "",
            "epoch": leader.epoch,
            "phase": leader.phase.name,
            "electing": int(self.pipeline is None),
            "stranded": int(leader.stranded),
            "blocked": int(leader.blocked),
            "commit": leader.commit,
            "ahead": leader.ahead,
            "last_sequence": leader.last_sequence,
        }
        if self.pipeline is not None:
            values["clock"] = self._published.latest
            values["conflict_set_keys"] = len(self.pipeline.conflicts)
            values["outcomes"] = len(self.pipeline.outcomes)
            stages = self.pipeline.stages
            values["committed"] = stages.commits
            values["gathering_seconds"] = round(stages.gathering, 6)
            values["journal_seconds"] = round(stages.journal, 6)
            rate = self._admission.rate
            values["throttled"] = int(rate < math.inf)
            values["admitted_bytes_per_second"] = -1 if rate == math.inf else round(rate)
            values["storage_behind_bytes"], values["storage_behind_seconds"] = self._lag()
        return values

    def _committed(self, sequence: int) -> None:
        if self.pipeline is None:
            self._open()
        else:
            self.pipeline.committed(sequence)

    def _look(self) -> None:
        """See whether journals answer, and storage keeps up."""
        leader = self._appender.leader
        if leader.late == _DOUBT_LOOKS:
            self._doubt()
        if self.pipeline is None:
            return
        if leader.blocked and not leader.full:
            if leader.late == BLOCKED_LOOKS:
                log.warning("%s: too few journals answer: commits are refused", self.cluster)
            self.pipeline.blocked = True
            self.pipeline.shed()
        self._limit(math.inf if leader.blocked else rate_at(*self._lag()))

    def _limit(self, rate: float) -> None:
        admission = self._admission
        if rate == admission.rate == math.inf:
            return
        if admission.rate == math.inf:
            log.warning("%s: storage does not keep up: commits are slowed down", self.cluster)
        elif rate == math.inf:
            log.warning("%s: storage keeps up again", self.cluster)
        admission.limit(rate)

    def _lag(self) -> tuple[int, float]:
        """Return how far storage is behind, in bytes and in seconds."""
        backlog = self._appender.leader.backlog
        return backlog.bytes_behind, backlog.seconds_behind(self._loop.time())

    def _open(self) -> None:
        leader = self._appender.leader
        opened = leader.last_timestamp  # that of our EPOCH record
        log.info("%s: %s leads in epoch %d", self.cluster, self._az, leader.epoch)
        self._appender.tell_own()
        self._published.open(opened)
        self.pipeline = CommitPipeline(
            ConflictSet(leader.floor, opened),
            self._clock,
            self._append,
            self._publish,
            self._schedule_flush,
            self._loop.time,
        )
        self._admission = Admission(self._let_in, self.pipeline.turn_away, self._loop.time)
        recalling = self._recall.run(self.pipeline, leader.epoch_sequence)
        self._tasks = [self._group.create_task(recalling)]
        self._opened(self)

    def _append(self, entries: list[Entry]) -> int:
        if self._loop.time() >= self._retain_at:
            self._retain()
        return self._appender.append(entries)

    def _publish(self, timestamp: int) -> None:
        # Our zone's storage has it first, so whoever starts at the new timestamp finds it there.
        self._appender.tell_own()
        self._published.publish(timestamp)

    def _schedule_flush(self) -> None:
        # At the end of this turn of the loop: what arrived together is appended together.
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self.pipeline is not None and not self._appender.leader.deposed:
            self.pipeline.flush()

    def _retain(self) -> None:
        """Let records go that no transaction under way can need: those from a whole window ago."""
        now = self._loop.time()
        self._retain_at = now + _RETENTION_SECONDS
        marks = self._marks
        marks.append((now, self._appender.leader.commit))
        while len(marks) > 1 and marks[1][0] <= now - WINDOW_MICROSECONDS / 1_000_000:
            marks.popleft()
            self._appender.leader.retain_from = marks[0][1]
