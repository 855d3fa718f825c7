"""A query processor: transactions one after another, through the product's own blocking code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adjudicator.client import AdjudicatorClient
from dsql.errors import DataConflictError, SqlError
from dsql.rpc.clock import ClockUnavailableError, PublishedClock
from dsql.transaction.interface import Mode
from dsql.transaction.manager import TransactionManager, transaction_ids
from placement.assignment import Assigner
from storage.client import LocalReplica

from .history import LEVELS, READ_COMMITTED, SERIALIZABLE, Attempt, History
from .installation import ZONES, Installation
from .world import Process

KEYS = [b"key%02d" % number for number in range(12)]
_CONFLICTS = ("40001",)
_OUTAGES = ("58000", "08007", "53100", "72000", "08P01", "57P03", "08006")


class Session:
    """One client and its query processor, which is replaced when it dies."""

    def __init__(
        self, installation: Installation, cluster: str, name: str, history: History
    ) -> None:
        self.name = name
        self.stopping = False
        self.decided = 0  # so many attempts were committed or aborted
        self.process: Process | None = None
        self._given: Any = None  # a zone and a connection to its adjudicator, not used yet
        self._attempt: Attempt
        self._installation = installation
        self._cluster = cluster
        self._world = installation.world
        self._history = history

    def start(self) -> None:
        """Start the query processor, unless it lives."""
        if self.process is None or not self.process.alive:
            self.process = process = Process(self._world, self.name, self._installation.machine)
            process.spawn(self._main)

    @property
    def idle(self) -> None:
        """True while no query processor runs."""
        return self.process is None or not self.process.alive

    def kill(self) -> None:
        """Kill the query processor: whatever it had begun stays unknown to its client."""
        if self.process is not None and self.process.alive:
            self._world.note(f"{self.name} is killed")
            self.process.kill()

    def _main(self) -> None:
        layout = self._installation.layout
        chance = self._world.chance
        assigner = Assigner(layout, ZONES[0], sandbox=False, park_seconds=1.0)
        # As an agent does at once, also for who will only read: by that the cluster is woken.
        self._given = assigner.connect_adjudicator(self._cluster, "")
        preferred = sorted(ZONES, key=lambda _: chance.random())
        try:
            replica = LocalReplica([layout.storage(az, self._cluster) for az in preferred])
            clock = self._open_clock(assigner)
        except (SqlError, OSError) as error:
            self._world.note(f"{self.name} cannot start: {error}")
            self._end()
            return
        client = AdjudicatorClient(list(ZONES), lambda az: self._connect(assigner, az))
        manager = TransactionManager(replica, client, clock, new_id=self._new_id(transaction_ids()))
        while not self.stopping:
            self._sleep(chance.expovariate(1 / self._history.pace))
            self._transact(manager, replica)
        client.close()
        replica.close()
        self._end()

    def _end(self) -> None:
        if self.process is not None:
            self.process.kill()

    def _open_clock(self, assigner: Assigner) -> PublishedClock:
        while True:
            try:
                clock = self._installation.layout.clock(self._cluster)
                return PublishedClock(clock, self._installation.machine.boot)
            except ClockUnavailableError:
                self._sleep(0.05)
                if self._given is None:
                    self._given = assigner.connect_adjudicator(self._cluster, "")

    def _connect(self, assigner: Assigner, az: str) -> Any:
        connection, self._given = self._given, None
        if connection is None or az not in ("", connection[0]):
            connection = assigner.connect_adjudicator(self._cluster, az)
        if connection is None:
            raise ConnectionRefusedError("no adjudicator answers")
        return connection

    def _sleep(self, seconds: float) -> None:
        thread = self._world.running
        assert thread is not None
        thread.sleep(int(seconds * 1_000_000))

    def _new_id(self, new_id: Callable[[], bytes]) -> Callable[[], bytes]:
        """Have the attempt that runs know by which ids it was asked for."""

        def noted() -> bytes:
            found = new_id()
            self._attempt.transaction_ids.append(found)
            return found

        return noted

    def _transact(self, manager: TransactionManager, replica: LocalReplica) -> None:
        world, chance = self._world, self._world.chance
        self._attempt = attempt = Attempt(self.name, world.now, chance.choice(LEVELS))
        self._history.attempts.append(attempt)
        transaction = manager.begin()
        try:
            if attempt.level == SERIALIZABLE:
                transaction.trace_reads()
            attempt.start = transaction.start_timestamp
            attempt.started_at = world.now
            for key in chance.sample(KEYS, chance.randint(1, 5)):
                self._look_again(transaction, attempt)
                value = transaction.get(key)
                attempt.reads.append((key, value, transaction.start_timestamp))
                # A replica that is found to be damaged is left, and what it has said before stays read.
                attempt.misled |= self._is_misleading(replica)
                if chance.random() < 0.3:
                    self._sleep(chance.uniform(0, 0.02))
                elif chance.random() < 0.01:
                    self._sleep(chance.uniform(0, 4))
            if chance.random() < 0.15:
                attempt.misled |= self._is_misleading(replica)
                rows = list(transaction.scan(KEYS[0], KEYS[-1] + b"\0"))
                at = transaction.start_timestamp
                attempt.scans.append((KEYS[0], KEYS[-1] + b"\0", rows, at))
            if chance.random() < 0.8:
                self._write(transaction, attempt)
            asks = transaction.has_writes
            transaction.commit()
            attempt.timestamp = transaction.commit_timestamp if asks else 0
            attempt.outcome = "committed"
        except SqlError as error:
            if error.sqlstate in _CONFLICTS:
                attempt.outcome = "aborted"
            elif error.sqlstate in _OUTAGES:
                attempt.outcome = "unknown" if error.sqlstate == "08007" else "failed"
            else:
                raise
            attempt.error = error.sqlstate
        finally:
            attempt.misled |= self._is_misleading(replica)
            transaction.rollback()
        attempt.ended_at = world.now
        self.decided += attempt.outcome in ("committed", "aborted")
        world.note(f"{self.name} {attempt}")

    def _look_again(self, transaction, attempt: Attempt) -> None:
        """Begin the next statement. Raises DataConflictError."""
        if attempt.level == READ_COMMITTED and not transaction.look_again():
            raise DataConflictError

    def _is_misleading(self, replica: LocalReplica) -> bool:
        """Return whether rows may be wrong in the zone that is read."""
        return replica.directory.parent.parent.name in self._installation.misleading

    def _write(self, transaction, attempt: Attempt) -> None:
        chance = self._world.chance
        keys = chance.sample(KEYS, chance.randint(1, 4))
        writes = chance.randint(0, len(keys))
        for key in keys[writes:]:
            mode = chance.choice((Mode.SHARE, Mode.EXCLUSIVE, Mode.CATALOG))
            self._begin_write(transaction, attempt, key)
            transaction.check(key, mode)
            attempt.checks.append((key, mode))
        for key in keys[:writes]:
            mode = chance.choice((Mode.EXCLUSIVE, Mode.NON_KEY, Mode.NON_KEY))
            self._begin_write(transaction, attempt, key)
            if chance.random() < 0.1:
                transaction.delete(key, mode)
                attempt.writes.append((key, mode, None))
                continue
            value = b"%s/%d" % (self.name.encode(), self._world.number())
            transaction.put(key, value, mode)
            attempt.writes.append((key, mode, value))

    def _begin_write(self, transaction, attempt: Attempt, key: bytes) -> None:
        if attempt.found_at and self._world.chance.random() < 0.3:
            self._sleep(self._world.chance.uniform(0, 0.02))
        self._look_again(transaction, attempt)
        attempt.found_at[key] = transaction.start_timestamp
