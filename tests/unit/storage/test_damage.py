"""Pages of a valid environment are overwritten: whatever LMDB makes of it, the replica is whole in the end.

DSQL_DAMAGE_SEED and DSQL_DAMAGE_CASES say which damages are tried, and how many.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import random
import resource
import shutil
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dsql.rpc.boot import current_boot
from storage import follower as follower_module
from storage.applier import Applier
from storage.environment import (
    ENVIRONMENT,
    DisorderError,
    ReadableEnvironment,
    WritableEnvironment,
)
from storage.follower import Follower
from storage.opening import open_replica
from storage.replica_writer import FollowerSettings
from storage.trial import CRASHES_MAX, KINDS, Trial, crashes

SEED = int(os.environ.get("DSQL_DAMAGE_SEED", "1"))
CASES = int(os.environ.get("DSQL_DAMAGE_CASES", "12"))
ROWS = 1_500
PAGE_BYTES = 4096
RUNS_MAX = 8
HANG_SECONDS = 5  # the supervisor kills what stands still; here an alarm does
WRONG = 3


def process(work: Any) -> int:
    """Run `work` in a child; return what `os.waitstatus_to_exitcode` makes of its end."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        faulthandler.disable()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # LMDB says what it asserts
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(HANG_SECONDS)
        status = work()
    finally:
        os._exit(status)


def rows_of(environment: WritableEnvironment) -> dict[bytes, bytes]:
    with environment.environment.begin(db=environment.databases.main) as transaction:
        return {bytes(key): bytes(value[12:]) for key, value in transaction.cursor()}


class Damaged:
    """A replica, closed, and a journal that goes on behind it."""

    def __init__(self, directory: Path, journal: Any, feeder: Any) -> None:
        self.directory = directory
        self.journal = journal
        keys = [b"k%06d" % (number * 7919 % ROWS) for number in range(ROWS)]
        for start in range(0, ROWS, 100):
            journal.append(
                feeder.record([(key, b"first" * 8) for key in keys[start : start + 100]])
            )
        environment = open_replica(directory, [], current_boot())
        Applier(environment, lambda: 0.0).apply(journal.records)
        environment.close()
        for start in range(0, ROWS, 500):
            journal.append(feeder.record([(key, b"second") for key in keys[start : start + 200]]))
        self.expected = dict.fromkeys(keys, b"first" * 8)
        for start in range(0, ROWS, 500):
            self.expected |= dict.fromkeys(keys[start : start + 200], b"second")
        self.timestamp = feeder.timestamp

    @property
    def data(self) -> Path:
        return self.directory / ENVIRONMENT / "data.mdb"

    def follow(self) -> int:
        """What the zone's process does with it, until every page has been looked at."""
        return asyncio.run(self._follow())

    async def _follow(self) -> int:
        follower_module._RETRY_SECONDS = 0.01  # in the child alone
        settings = FollowerSettings(
            delay_seconds=0.0, checkpoint_seconds=0.01, scrub_seconds=0.01, scrub_share=1.0
        )
        with ThreadPoolExecutor(1) as executor:
            follower = Follower(
                "c", self.directory, [], self.journal, executor, current_boot(), settings
            )
            task = asyncio.create_task(follower.run())
            await follower.reach(self.timestamp)
            looked_at = follower.scrubbed_at
            while follower.scrubbed_at == looked_at:
                await asyncio.sleep(0.002)
            environment = await follower.reach(self.timestamp)
            right = rows_of(environment) == self.expected
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return 0 if right else WRONG


def damage(data: Path, chance: random.Random) -> None:
    pages = bytearray(data.read_bytes())
    used = len(bytes(pages).rstrip(b"\0")) // PAGE_BYTES + 1
    for _ in range(chance.choice((1, 1, 3, used))):
        start = chance.randrange(used) * PAGE_BYTES
        kind = chance.randrange(4)
        if kind == 0:
            pages[start : start + PAGE_BYTES] = chance.randbytes(PAGE_BYTES)
        elif kind == 1:
            pages[start : start + PAGE_BYTES] = bytes(PAGE_BYTES)
        elif kind == 2:  # a page that looks right, with nodes that lie anywhere
            pages[start + 16 : start + 216] = chance.randbytes(200)
        else:
            pages[start + 12 : start + 16] = chance.randbytes(4)  # where its nodes end
    data.write_bytes(pages)


def point_outside(data: Path) -> None:
    """Let both meta pages say that the root lies far beyond the map, and that there are pages there."""
    pages = bytearray(data.read_bytes())
    for meta in (0, PAGE_BYTES):
        pages[meta + 128 : meta + 144] = (1 << 40).to_bytes(8, "little") + (1 << 41).to_bytes(
            8, "little"
        )
    data.write_bytes(pages)


@pytest.fixture
async def damaged(tmp_path: Path, journal: Any, feeder: Any) -> Damaged:
    return Damaged(tmp_path / "replica", journal, feeder)


def test_replica_with_damaged_pages_is_whole_in_the_end(damaged: Damaged, tmp_path: Path) -> None:
    shutil.copytree(damaged.directory, tmp_path / "kept")
    for seed in range(SEED, SEED + CASES):
        shutil.rmtree(damaged.directory)
        shutil.copytree(tmp_path / "kept", damaged.directory)
        damage(damaged.data, random.Random(seed))
        ends = [process(damaged.follow)]
        while ends[-1] < 0 and len(ends) < RUNS_MAX:
            ends.append(process(damaged.follow))
        assert ends[-1] == 0, (seed, ends)


def test_damage_that_lmdb_takes_for_something_else_is_found_out(damaged: Damaged) -> None:
    point_outside(damaged.data)
    assert process(damaged.follow) == 0


def crash_on(is_damaged: Callable[[WritableEnvironment], bool]) -> None:
    """Let this process crash as LMDB would, in the middle of the first transaction on what is damaged."""
    write = Applier._write
    worked_on: list[WritableEnvironment] = []

    def crash_or_write(applier: Applier, *arguments: Any) -> Any:
        environment = applier._environment
        if environment not in worked_on and is_damaged(environment):
            signal.pthread_kill(threading.get_ident(), signal.SIGSEGV)  # before this thread goes on
        worked_on.append(environment)
        return write(applier, *arguments)

    Applier._write = crash_or_write  # type: ignore[method-assign]


def test_what_crashes_its_process_twice_is_set_aside(damaged: Damaged) -> None:
    def follow() -> int:
        crash_on(lambda environment: not environment.restored)
        return damaged.follow()

    ends = [process(follow) for _ in range(CRASHES_MAX + 1)]
    assert ends == [-signal.SIGSEGV] * CRASHES_MAX + [0]


@pytest.mark.parametrize("seed", range(SEED, SEED + 4))
def test_reader_of_damaged_pages_harms_only_itself(damaged: Damaged, seed: int) -> None:
    damage(damaged.data, random.Random(seed))
    before = damaged.data.read_bytes()

    def read() -> int:
        reader = ReadableEnvironment(damaged.directory / ENVIRONMENT, current_boot())
        with reader.environment.begin(db=reader.databases.main) as transaction:
            return len(list(transaction.cursor())) and 0

    process(read)
    assert damaged.data.read_bytes() == before
    assert not crashes(damaged.directory)


def test_versions_out_of_order_are_damage(replica: Any) -> None:
    replica.apply([(b"a", b"1")])
    replica.feeder.timestamp -= 100
    with pytest.raises(DisorderError):
        replica.apply([(b"a", b"2")])


def test_crash_is_counted_once_and_forgotten_when_the_same_work_goes_well(tmp_path: Path) -> None:
    for kind in KINDS:
        for count in (1, 2):
            trial = Trial(tmp_path)
            trial.words[kind] = 1
            trial.close()
            assert crashes(tmp_path) == count
        trial = Trial(tmp_path)
        trial.passed(*(other for other in KINDS if other != kind))
        assert crashes(tmp_path) == 2
        trial.passed(kind)
        trial.close()
        assert not crashes(tmp_path)


def test_only_one_process_has_the_trial(tmp_path: Path) -> None:
    trial = Trial(tmp_path)
    with pytest.raises(BlockingIOError):
        Trial(tmp_path)
    trial.close()
    Trial(tmp_path).close()
