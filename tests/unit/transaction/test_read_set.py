"""What a serializable transaction is said to have read."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from dsql.encoding.keyspace import FIRST_LOCAL, catalog_version_key, keyspace_range, prefix
from dsql.transaction.read_set import ReadSet

ONE, OTHER = prefix(20_000), prefix(20_001)
LOW, HIGH = keyspace_range(20_000)


def rows(*names: bytes) -> Iterator[tuple[bytes, bytes]]:
    return iter([(ONE + name, b"") for name in names])


def test_a_scan_to_the_end_has_read_its_whole_range():
    reads = ReadSet()
    assert len(list(reads.follow(rows(b"a", b"b"), LOW, HIGH, reverse=False))) == 2
    assert reads.ranges() == ((LOW, HIGH),)


def test_a_scan_has_read_as_far_as_it_has_come():
    reads = ReadSet()
    forth = reads.follow(rows(b"a", b"b"), LOW, HIGH, reverse=False)
    assert reads.ranges() == ()
    next(forth)
    assert reads.ranges() == ((LOW, ONE + b"a\0"),)
    del forth
    assert reads.ranges() == ((LOW, ONE + b"a\0"),)
    back = reads.follow(rows(b"y", b"x"), LOW, HIGH, reverse=True)
    next(back)
    assert set(reads.ranges()) == {(LOW, ONE + b"a\0"), (ONE + b"y", HIGH)}


def test_neither_the_catalog_nor_what_is_the_sessions_own_is_read():
    reads = ReadSet()
    for key in (catalog_version_key(), prefix(5) + b"x", prefix(FIRST_LOCAL + 20_000) + b"x"):
        reads.add_key(key)
        list(reads.follow(iter(()), key, key + b"x", reverse=False))
    assert not reads


def test_a_read_set_that_grows_too_large_takes_its_largest_keyspace_as_a_whole():
    reads = ReadSet(bytes_max=2_000)
    reads.add_key(OTHER + b"k")
    running = reads.follow(rows(b"a", b"b"), LOW, HIGH, reverse=False)
    next(running)
    for number in range(1_000):
        reads.add_key(ONE + b"%d" % number)
    assert reads.keys() == (OTHER + b"k",)
    assert reads.ranges() == ((LOW, HIGH),)
    list(running)
    assert reads.ranges() == ((LOW, HIGH),)


def test_keys_that_are_written_need_not_be_told():
    reads = ReadSet()
    reads.add_key(ONE + b"a")
    reads.add_key(ONE + b"b")
    assert reads.keys(without=[ONE + b"a"]) == (ONE + b"b",)


NAMES = st.binary(max_size=2)


@given(st.lists(NAMES), st.lists(st.tuples(NAMES, NAMES)), st.integers(0, 400))
def test_a_record_covers_what_was_read(keys, ranges, bytes_max):
    reads = ReadSet(bytes_max)
    for key in keys:
        reads.add_key(ONE + key)
    for low, high in ranges:
        list(reads.follow(iter(()), ONE + low, ONE + high, reverse=False))
    moved = ReadSet(bytes_max)
    moved.take_up(reads.record())
    for found in (reads, moved):
        for key in keys:
            assert ONE + key in set(found.keys()) or found.ranges() == ((LOW, HIGH),)
        for low, high in ranges:
            assert low >= high or any(a <= ONE + low and ONE + high <= b for a, b in found.ranges())
