"""Versions against a trivial model: a dictionary of version lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsql.encoding.long_keys import INLINE_BYTES
from dsql.errors import SqlError
from storage.client import LocalReplica
from storage.mvcc import DamagedRowError, make_version, version_at

Versions = dict[bytes, list[tuple[int, bytes | None]]]

# Keys that stress the borders: short ones, prefixes of each other, and groups of long ones.
STEM = b"s" * (INLINE_BYTES - 1)
KEYS = [
    b"a",
    b"a\x00",
    b"b",
    STEM,
    STEM + b"x",
    *(STEM + b"x" + bytes([byte]) * 3 for byte in range(6)),
    STEM + b"x" + b"\xff" * 1_400,
    STEM + b"y",
    STEM + b"yy",
    b"t",
]
keys = st.sampled_from(KEYS)
transactions = st.lists(
    st.lists(st.tuples(keys, st.none() | st.binary(max_size=3)), min_size=1, max_size=5),
    min_size=1,
    max_size=12,
)


def visible(versions: Versions, timestamp: int) -> dict[bytes, bytes]:
    found = {}
    for key, history in versions.items():
        values = [value for at, value in history if at <= timestamp]
        if values and values[-1] is not None:
            found[key] = values[-1]
    return found


def apply_both(replica: Any, versions: Versions, batch: list[Any]) -> None:
    replica.apply(*(list(dict(writes).items()) for writes in batch))
    first = replica.feeder.timestamp - 10 * (len(batch) - 1)
    for number, writes in enumerate(batch):
        for key, value in dict(writes).items():
            versions.setdefault(key, []).append((first + 10 * number, value))


def check_snapshot(local: LocalReplica, versions: Versions, timestamp: int, bounds: Any) -> None:
    snapshot = local.snapshot(timestamp)
    expected = visible(versions, timestamp)
    assert {key: snapshot.get(key) for key in KEYS} == {key: expected.get(key) for key in KEYS}
    for low, high in [(b"", b"\xff"), bounds]:
        wanted = sorted((key, value) for key, value in expected.items() if low <= key < high)
        assert list(snapshot.scan(low, high)) == wanted
        assert list(snapshot.scan(low, high, reverse=True)) == wanted[::-1]


@given(
    history=transactions,
    batch_size=st.integers(1, 3),
    collect_at=st.integers(0, 12),
    bounds=st.tuples(keys, keys),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_snapshot_equals_the_model(
    make_replica: Callable[..., Any],
    history: list[Any],
    batch_size: int,
    collect_at: int,
    bounds: tuple[bytes, bytes],
) -> None:
    replica = make_replica()
    versions: Versions = {}
    horizon = 1_000
    for number, start in enumerate(range(0, len(history), batch_size)):
        apply_both(replica, versions, history[start : start + batch_size])
        if number == collect_at:
            horizon = replica.feeder.timestamp
            replica.pass_time(8)
    local = LocalReplica([replica.directory])
    for timestamp in range(horizon, replica.feeder.timestamp + 1, 5):
        check_snapshot(local, versions, timestamp, bounds)
    local.close()


def test_reads_below_the_horizon_fail_instead_of_lying(replica: Any) -> None:
    first = replica.apply([(b"a", b"1")])
    replica.apply([(b"a", b"2")])
    local = LocalReplica([replica.directory])
    snapshot = local.snapshot(first)
    assert snapshot.get(b"a") == b"1"
    local.release()
    replica.pass_time(8)
    for read in (lambda: snapshot.get(b"a"), lambda: list(snapshot.scan(b"", b"z"))):
        with pytest.raises(SqlError, match="snapshot too old"):
            read()
    local.close()


def test_superseded_versions_and_tombstones_go_after_the_grace(replica: Any) -> None:
    for _ in range(20):
        replica.apply([(b"a", b"1"), (b"b", b"1"), (STEM + b"long", b"1")])
    replica.apply([(b"b", None), (STEM + b"long", None)])
    assert (replica.count("main"), replica.count("undo")) == (3, 59)
    replica.pass_time(4)
    assert replica.count("undo") == 59
    replica.pass_time(4)
    assert (replica.count("main"), replica.count("undo")) == (1, 0)


def test_active_snapshot_keeps_what_it_needs(replica: Any) -> None:
    first = replica.apply([(b"a", b"1")])
    local = LocalReplica([replica.directory])
    snapshot = local.snapshot(first)
    replica.apply([(b"a", b"2")])
    replica.pass_time(60)
    assert snapshot.get(b"a") == b"1"
    local.release()
    replica.pass_time(3)
    assert replica.count("undo") == 0
    local.close()


def test_snapshot_above_the_age_limit_no_longer_holds_versions_back(replica: Any) -> None:
    first = replica.apply([(b"a", b"1")])
    local = LocalReplica([replica.directory])
    snapshot = local.snapshot(first)
    replica.apply([(b"a", b"2")])
    replica.pass_time(320)
    with pytest.raises(SqlError, match="snapshot too old"):
        snapshot.get(b"a")
    local.close()


def test_new_reader_on_a_long_idle_cluster_is_not_too_old(replica: Any) -> None:
    """The published clock is that of the last commit, however long ago; the next commit may be
    applied here before it is published."""
    first = replica.apply([(b"a", b"1")])
    replica.pass_time(400)
    replica.apply([(b"a", b"2")])
    replica.pass_time(2)
    local = LocalReplica([replica.directory])
    assert local.snapshot(first).get(b"a") == b"1"
    local.close()


def test_key_deleted_and_written_again_does_not_come_back_in_between(replica: Any) -> None:
    replica.apply([(b"%d" % number, b"old") for number in range(600)])
    deleted = replica.apply([(b"%d" % number, None) for number in range(600)])
    replica.pass_time(7)
    local = LocalReplica([replica.directory])
    snapshot = local.snapshot(deleted)
    replica.apply([(b"%d" % number, b"new") for number in range(600)])
    assert list(snapshot.scan(b"", b"\xff")) == []
    assert snapshot.get(b"5") is None
    local.close()


def test_deleting_what_never_was_leaves_nothing(replica: Any) -> None:
    replica.apply([(b"a", None)])
    assert (replica.count("main"), replica.count("undo")) == (0, 0)


@pytest.mark.parametrize("existed", [False, True])
@pytest.mark.parametrize(
    "writes", [[b"1", None], [None, b"1"], [b"1", b"2"], [None, None], [b"1", None, b"2", None]]
)
def test_write_set_that_names_a_key_twice_ends_with_the_last(
    replica: Any, existed: bool, writes: list[bytes | None]
) -> None:
    before = replica.apply([(b"a", b"0")] if existed else [])
    last = replica.apply([(b"a", value) for value in writes])
    local = LocalReplica([replica.directory])
    assert local.snapshot(before).get(b"a") == (b"0" if existed else None)
    assert local.snapshot(last).get(b"a") == writes[-1]
    local.close()
    replica.pass_time(8)
    assert replica.count("main") == (writes[-1] is not None)
    assert replica.count("undo") == 0


def test_long_bounds_cut_between_short_and_long_keys(replica: Any) -> None:
    border = b"k" * INLINE_BYTES
    keys = [border, border + b"a", border + b"b", border + b"c", b"l"]
    last = replica.apply([(key, b"") for key in keys])
    only_short = replica.apply([(key, None) for key in keys[1:4]])
    local = LocalReplica([replica.directory])
    for timestamp, present in ((last, keys), (only_short, [border, b"l"])):
        snapshot = local.snapshot(timestamp)
        for low in [*keys, border + b"ab"]:
            for high in [*keys, border + b"ab"]:
                wanted = [key for key in present if low <= key < high]
                assert [key for key, _ in snapshot.scan(low, high)] == wanted
                backward = [key for key, _ in snapshot.scan(low, high, reverse=True)]
                assert backward == wanted[::-1]
    local.close()


def test_scan_goes_on_over_changes_between_its_chunks(replica: Any) -> None:
    count = 5_000
    first = replica.apply([(b"%06d" % number, b"1") for number in range(count)])
    local = LocalReplica([replica.directory])
    snapshot = local.snapshot(first)
    for reverse in (False, True):
        seen = []
        for key, value in snapshot.scan(b"", b"\xff", reverse=reverse):
            if len(seen) % 500 == 0:
                replica.apply([(b"%06d" % number, b"2") for number in range(0, count, 7)])
                replica.apply([(key, None), (key + b"'", b"3")])
            assert value == b"1"
            seen.append(key)
        assert seen == sorted((b"%06d" % number for number in range(count)), reverse=reverse)
    local.close()


@given(
    batches=st.lists(
        st.tuples(
            st.sampled_from([1, 20, 300, 600]),
            st.lists(st.tuples(st.integers(0, 700), st.none() | st.binary(max_size=3)), max_size=4),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_loads_of_new_keys_mixed_with_others_end_like_single_writes(
    make_replica: Callable[..., Any], batches: Any
) -> None:
    replica = make_replica(map_bytes=1 << 22)
    local = LocalReplica([replica.directory])
    versions: Versions = {}
    timestamps = []
    for number, (count, others, long) in enumerate(batches):
        writes: dict[bytes, bytes | None] = {
            b"key%03d" % (key + 100 * number): b"new" for key in range(count)
        }
        writes |= {b"key%03d" % key: value for key, value in others}
        if long:
            writes[STEM + b"x" * 9] = b"long"
        timestamps.append(replica.apply(list(writes.items())))
        for key, value in writes.items():
            versions.setdefault(key, []).append((timestamps[-1], value))
    for timestamp in timestamps:
        rows = local.snapshot(timestamp).scan(b"", b"\xff")
        assert dict(rows) == visible(versions, timestamp)
    local.close()


def test_key_that_a_load_names_twice_keeps_its_last_value(replica: Any) -> None:
    keys = [b"key%03d" % number for number in range(100)]
    timestamp = replica.apply(
        [(key, b"1") for key in keys] + [(b"key005", b"2"), (b"key006", None)]
    )
    local = LocalReplica([replica.directory])
    rows = dict(local.snapshot(timestamp).scan(b"", b"\xff"))
    local.close()
    assert rows == {key: b"1" for key in keys if key != b"key006"} | {b"key005": b"2"}
    assert replica.count("undo") == 0


def test_snapshot_may_have_what_was_ever_written(replica: Any) -> None:
    long = STEM + b"x" * 9
    timestamp = replica.apply([(b"a", b"1"), (long, b"2")])
    local = LocalReplica([replica.directory])
    snapshot = local.snapshot(timestamp)
    assert snapshot.may_have([b"c", b"a"])
    assert snapshot.may_have([long])
    assert not snapshot.may_have([b"c", long + b"x"])
    local.close()


def test_wrong_timestamp_of_a_row_does_not_make_it_one_that_comes_later():
    class NothingSuperseded:
        def get(self, key: bytes, db: Any) -> None: ...

    version = make_version(b"key", 5, b"value")
    damaged = bytes((version[0], 1)) + version[2:]
    assert version_at(NothingSuperseded(), None, b"key", version, 4) is None
    with pytest.raises(DamagedRowError):
        version_at(NothingSuperseded(), None, b"key", damaged, 5)
