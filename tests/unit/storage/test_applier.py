from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsql.rpc.boot import current_boot
from journal.messages import Record
from storage.applier import Applier, SequenceGapError
from storage.client import LocalReplica
from storage.environment import ENVIRONMENT, WritableEnvironment, WriterPresentError
from storage.reader_slot import START, ReaderSlot


def test_records_applied_before_are_skipped(replica: Any) -> None:
    records = [replica.feeder.record([(b"a", b"%d" % number)]) for number in range(5)]
    replica.applier.apply(records[:3])
    replica.applier.apply(records)
    replica.applier.apply(records[2:4])
    assert replica.applier.position.sequence == 5
    assert replica.count("undo") == 4


def test_gap_in_the_feed_is_refused(replica: Any) -> None:
    replica.feeder.record([])
    with pytest.raises(SequenceGapError):
        replica.applier.apply([replica.feeder.record([])])


def test_heartbeat_raises_the_watermark(replica: Any) -> None:
    replica.applier.apply([replica.feeder.heartbeat()])
    assert replica.environment.position.watermark == replica.feeder.timestamp


def test_environment_grows_beyond_its_first_map_under_readers(
    make_replica: Callable[..., Any], tmp_path: Path
) -> None:
    replica = make_replica(map_bytes=1 << 17)
    replica.apply([(b"a", b"1")])
    reader = _spawn(_READER, replica.directory)
    assert reader.stdout is not None
    assert reader.stdout.readline() == "1\n"
    for number in range(40):
        replica.apply([(b"b%d" % number, bytes(100_000))])
    last = replica.apply([(b"a", b"2")])
    assert reader.stdin is not None
    print(last, file=reader.stdin, flush=True)
    assert reader.stdout.readline() == "2\n"
    reader.communicate()


def test_second_writer_of_a_replica_is_refused(replica: Any) -> None:
    script = _OPEN_WRITER.format(str(replica.directory / ENVIRONMENT))
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert WriterPresentError.__name__ in ended.stderr


def test_killed_applier_goes_on_where_it_was(tmp_path: Path, feeder: Any) -> None:
    """kill -9 in the middle of applying; the environment is used as it is and the feed replayed."""
    directory = tmp_path / "replica"
    for round_number in range(3):
        process = _spawn(_APPLIER, directory)
        assert process.stdout is not None
        for _ in range(30 + 10 * round_number):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    environment = WritableEnvironment(directory / ENVIRONMENT, current_boot())
    try:
        reached = environment.position.sequence
        assert reached >= 50
        applier = Applier(environment, time.monotonic)
        records = [
            feeder.record([(b"counter", b"%d" % number), (b"k%d" % number, b"x")])
            for number in range(1, reached + 51)
        ]
        local = LocalReplica([directory])
        snapshot = local.snapshot(environment.position.watermark)
        assert snapshot.get(b"counter") == b"%d" % reached
        applier.apply(records)
        snapshot = local.snapshot(environment.position.watermark)
        assert snapshot.get(b"counter") == b"%d" % (reached + 50)
        assert len(list(snapshot.scan(b"k", b"l"))) == reached + 50
        local.close()
    finally:
        environment.close()


def _spawn(script: str, directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


_OPEN_WRITER = """
from pathlib import Path
from dsql.rpc.boot import current_boot
from storage.environment import WritableEnvironment
WritableEnvironment(Path({!r}), current_boot())
"""

_READER = """
import sys
from pathlib import Path
from storage.client import LocalReplica
local = LocalReplica([Path(sys.argv[1])])
print(local.snapshot(local.watermark).get(b"a").decode(), flush=True)
print(local.snapshot(int(sys.stdin.readline())).get(b"a").decode(), flush=True)
"""

_APPLIER = """
import sys, time
from pathlib import Path
import msgspec
from dsql.transaction.interface import WriteSet
from journal.messages import Record
from storage.applier import Applier
from dsql.rpc.boot import current_boot
from storage.environment import ENVIRONMENT, WritableEnvironment

environment = WritableEnvironment(Path(sys.argv[1]) / ENVIRONMENT, current_boot())
applier = Applier(environment, time.monotonic)
number = environment.position.sequence
while True:
    number += 1
    writes = [(b"counter", 0, b"%d" % number), (b"k%d" % number, 0, b"x")]
    payload = msgspec.msgpack.encode(WriteSet(bytes(16), 0, [], writes))
    applier.apply([Record(number, 1, 1_000 + 10 * number, 0, payload)])
    print(number, flush=True)
"""


YEARS = 10 * 365 * 86_400 * 1_000_000


@pytest.mark.parametrize("step", [0, YEARS])
@pytest.mark.parametrize("held", [False, True])
def test_step_of_the_wall_clock_neither_takes_versions_early_nor_keeps_them_longer(
    replica: Any, step: int, held: bool
) -> None:
    """Ahead by years, then back: timestamps jump, and go on from there by little."""
    first = replica.apply([(b"a", b"first")])
    with closing(ReaderSlot.claim(replica.directory)) as slot:
        slot.words[START] = first if held else 0
        replica.feeder.timestamp += step
        for number in range(3):
            replica.apply([(b"a", b"%d" % number)])
        replica.pass_time(4)
        assert replica.count("undo") == 3
        replica.pass_time(240)
        assert replica.count("undo") == 3 * held
        replica.pass_time(70)  # the transaction age limit
        assert not replica.count("undo")


def test_keyspace_is_emptied_once_no_older_snapshot_can_need_it(replica: Any) -> None:
    gone, kept = b"\x00\x00\x40\x00", b"\x00\x00\x40\x01"
    rows = [(gone + bytes((number // 256, number % 256)), b"row") for number in range(6_000)]
    before = replica.apply(*([row] for row in rows[:3]), rows[3:], [(kept + b"k", b"stays")])
    replica.apply([(gone, None)])
    local = LocalReplica([replica.directory])
    assert len(list(local.snapshot(before).scan(gone, kept))) == len(rows)
    local.release()
    local.close()
    replica.pass_time(4)
    assert replica.count("main") == len(rows) + 1
    replica.pass_time(4)
    assert (replica.count("main"), replica.count("undo")) == (1, 0)


def test_keyspace_is_emptied_in_bounded_steps(replica: Any) -> None:
    gone = b"\x00\x00\x40\x00"
    replica.apply([(gone + number.to_bytes(2, "big"), b"row") for number in range(1_000)])
    replica.apply([(gone, None)])
    replica.apply([(b"other", b"row")])
    replica.pass_time(4)
    for _ in range(4):
        replica.seconds += 1
        replica.applier.collect(versions_max=30)
    assert 0 < replica.count("main") < 1_000
    replica.pass_time(1)
    assert (replica.count("main"), replica.count("undo")) == (1, 0)


LIES = [b"", b"\xc1", b"\x91" * 50_000, msgspec.msgpack.encode([b"", 0, [], [[b"k", 0, {}]]])]


@pytest.mark.parametrize("payload", LIES, ids=["empty", "no msgpack", "deep", "value of no kind"])
def test_record_that_is_no_write_set_writes_nothing_and_stops_nothing(
    replica: Any, payload: bytes
) -> None:
    feeder = replica.feeder
    lie = feeder.record([])
    lie = Record(lie.sequence, lie.epoch, lie.timestamp, lie.kind, payload)
    replica.applier.apply([lie, feeder.record([(b"", b"no key"), (b"a", b"1")])])
    assert replica.environment.position.sequence == 2
    assert replica.count("main") == 1


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.binary(max_size=5) | st.just(bytes(4)) | st.just(b"k" * 600),
                st.none() | st.binary(max_size=9),
            ),
            max_size=6,
        ),
        max_size=6,
    )
)
def test_any_keys_and_values_are_applied_and_collected(
    replica: Any, transactions: list[list[tuple[bytes, bytes | None]]]
) -> None:
    replica.apply(*transactions, [(b"last", b"1")])
    replica.pass_time(12)
    assert replica.environment.position.sequence == replica.feeder.sequence
