"""Who runs a job: the statement that waits for it, or the background where none does."""

from __future__ import annotations

import pytest
from memory_server import MemoryStore, Server

from dsql.catalog.catalog import Catalog
from dsql.catalog.jobs import new_job, read_job, write_job
from dsql.ddl.job_runner import JobRunner, Store
from dsql.transaction.manager import TransactionManager

START = 1_000_000_000


class Background:
    """A runner over a store in memory; its naps move the clock."""

    def __init__(self) -> None:
        store = MemoryStore()
        self.manager = TransactionManager(store, store, store, None)
        self.now, self.naps = START, 0
        empty = Catalog(1, [], [], [])
        self.runner = JobRunner(Store(self.manager.begin, lambda _: empty, lambda: self.now))

    def nap(self, seconds: float) -> None:
        self.naps += seconds > 0
        self.now += round(seconds * 1_000_000)

    def submit(self, *, synchronous: bool) -> bytes:
        (job,) = self.submit_all(1, synchronous=synchronous)
        return job

    def submit_all(self, count: int, *, synchronous: bool) -> list[bytes]:
        """Submit jobs in one transaction, which has taken as long as there have been naps."""
        jobs = [new_job("INDEX_BUILD", START) for _ in range(count)]
        transaction = self.manager.begin()
        for job in jobs:
            job.synchronous = synchronous
            write_job(transaction, job)
        transaction.commit()
        return [job.identifier for job in jobs]

    def move(self, identifier: bytes) -> None:
        """Have the job's session do some of it."""
        transaction = self.manager.begin()
        job = read_job(transaction, identifier)
        assert job is not None
        job.update_time = self.now
        write_job(transaction, job)
        transaction.commit()

    def status(self, identifier: bytes) -> str:
        job = read_job(self.manager.begin(), identifier)
        assert job is not None
        return job.status


@pytest.fixture
def background() -> Background:
    return Background()


def test_job_that_nobody_waits_for_is_run_at_once(background: Background) -> None:
    job = background.submit(synchronous=False)
    background.runner.run_pending(background.nap)
    assert (background.status(job), background.naps) == ("completed", 0)


def test_the_log_of_a_failed_job_holds_no_values(caplog: pytest.LogCaptureFixture) -> None:
    server = Server("postgres")
    peer = server.connect()
    peer.query("create table t (id int primary key, a text)")
    peer.query("insert into t values (1, 'secret'), (2, 'secret')")
    for index in ("unique index async on t (a)", "index async on t ((a::int))"):
        with caplog.at_level("DEBUG"):
            peer.query(f"create {index}")
    server.stop()
    found = [record for record in caplog.records if record.message == "background job failed"]
    assert [vars(record)["sqlstate"] for record in found] == ["23505", "22P02"]
    assert not any("secret" in str(vars(record)) for record in caplog.records)


def test_job_of_a_statement_that_has_died_is_taken_back(background: Background) -> None:
    job = background.submit(synchronous=True)
    background.runner.run_pending(background.nap)
    assert background.status(job) == "failed"
    assert background.now - START >= 5_000_000


def test_job_that_its_statement_finishes_is_left_alone(background: Background) -> None:
    job = background.submit(synchronous=True)

    def finish(seconds: float) -> None:
        background.nap(seconds)
        background.runner.run(job, lambda _: None)

    background.runner.run_pending(finish)
    assert (background.status(job), background.naps) == ("completed", 1)


def test_job_that_its_session_will_come_to_is_left_alone(background: Background) -> None:
    background.nap(60)  # a transaction that was long before it committed
    first, second = background.submit_all(2, synchronous=True)

    def work(seconds: float) -> None:
        background.nap(seconds)
        background.move(first)
        assert background.status(second) == "submitted"
        if background.naps > 100:
            for job in (first, second):
                background.runner.run(job, lambda _: None)

    background.runner.run_pending(work)
    assert (background.status(first), background.status(second)) == ("completed", "completed")


def test_jobs_of_another_transaction_keep_none_alive(background: Background) -> None:
    dead = background.submit(synchronous=True)
    alive = background.submit(synchronous=True)

    def work(seconds: float) -> None:
        background.nap(seconds)
        background.move(alive)
        if background.status(dead) == "failed":
            background.runner.run(alive, lambda _: None)

    background.runner.run_pending(work)
    assert (background.status(dead), background.status(alive)) == ("failed", "completed")
