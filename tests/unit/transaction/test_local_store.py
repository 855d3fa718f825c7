"""A session's own keys: like a dictionary, whatever the order of commits, and bounded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsql.encoding.keyspace import FIRST_LOCAL, keyspace_range, prefix
from dsql.errors import SqlError
from dsql.executor.temporary import unnamed_file
from dsql.limits import KEY_BYTES_MAX
from dsql.transaction.local_store import LocalSpace, LocalStore

MEGABYTE = 1024 * 1024
TABLE, OTHER = FIRST_LOCAL + 20_000, FIRST_LOCAL + 20_001


@pytest.fixture
def space() -> Iterator[LocalSpace]:
    space = LocalSpace(unnamed_file, 64 * MEGABYTE)
    yield space
    space.close()


@pytest.fixture
def store(space: LocalSpace) -> LocalStore:
    return space.new_store(lambda: 8 * MEGABYTE)


def test_a_store_is_what_a_dictionary_would_be(space: LocalSpace) -> None:
    long = st.integers(480, KEY_BYTES_MAX - 8).map(lambda length: b"k" * length)
    tails = st.builds(lambda start, end: start + end, st.just(b"") | long, st.binary(max_size=2))
    keys = st.builds(
        lambda table, tail: prefix(table) + b"\1" + tail, st.sampled_from((TABLE, OTHER)), tails
    )
    writes = st.lists(st.tuples(keys, st.none() | st.binary(max_size=5)), max_size=60)

    @settings(max_examples=60, deadline=None)
    @given(commits=st.lists(writes, max_size=4), low=keys, high=keys, gives_up=st.booleans())
    def check(
        commits: list[list[tuple[bytes, bytes | None]]], low: bytes, high: bytes, gives_up: bool
    ) -> None:
        store, model = space.new_store(lambda: 8 * MEGABYTE), dict[bytes, bytes]()
        for commit in commits:
            last = dict(commit)  # each key stands once
            store.apply(list(last.items()))
            model = {k: v for k, v in (model | last).items() if v is not None}
        if gives_up:
            store.apply([(prefix(TABLE), None)])
            model = {k: v for k, v in model.items() if not k.startswith(prefix(TABLE))}
        for start, end in ((low, high), keyspace_range(TABLE), keyspace_range(OTHER)):
            expected = sorted((k, v) for k, v in model.items() if start <= k < end)
            assert list(store.scan(start, end)) == expected
            assert list(store.scan(start, end, reverse=True)) == expected[::-1]
        touched = {key for commit in commits for key, _ in commit}
        assert {key: store.get(key) for key in touched} == {key: model.get(key) for key in touched}
        store.close()

    check()


def test_scans_go_on_over_many_chunks(store: LocalStore) -> None:
    rows = [(prefix(TABLE) + number.to_bytes(4, "big"), b"%d" % number) for number in range(5_000)]
    store.apply(list(rows))
    assert list(store.scan(*keyspace_range(TABLE))) == rows
    assert list(store.scan(*keyspace_range(TABLE), reverse=True)) == rows[::-1]


def test_what_is_written_to_a_keyspace_that_is_given_up_is_not_kept(store: LocalStore) -> None:
    store.apply([(prefix(TABLE) + b"a", b"1"), (prefix(TABLE), None)])
    assert list(store.scan(*keyspace_range(TABLE))) == []


def test_stores_of_one_process_do_not_see_each_other(space: LocalSpace, store: LocalStore) -> None:
    other = space.new_store(lambda: MEGABYTE)
    store.apply([(prefix(TABLE) + b"a", b"1")])
    assert other.get(prefix(TABLE) + b"a") is None
    store.close()
    again = space.new_store(lambda: MEGABYTE)
    assert again.number == store.number
    assert again.get(prefix(TABLE) + b"a") is None


def test_more_than_the_limit_is_refused_before_anything_is_written(store: LocalStore) -> None:
    rows = [(prefix(TABLE) + number.to_bytes(4, "big"), bytes(1_000)) for number in range(9_000)]
    with pytest.raises(
        SqlError, match=r"temporary file size exceeds temp_file_limit \(8192kB\)"
    ) as full:
        store.reserve(list(rows))
    assert full.value.sqlstate == "53400"
    assert list(store.scan(*keyspace_range(TABLE))) == []


def test_a_keyspace_that_was_given_up_makes_room(store: LocalStore) -> None:
    rows = [(prefix(TABLE) + number.to_bytes(4, "big"), bytes(100)) for number in range(40_000)]
    store.apply(list(rows))
    store.apply([(prefix(TABLE), None)])
    store.reserve([(prefix(OTHER), bytes(7 * MEGABYTE))])
    assert store.size < MEGABYTE


def test_a_session_that_ends_gives_its_pages_to_the_next_one(space: LocalSpace) -> None:
    rows = [(prefix(TABLE) + number.to_bytes(4, "big"), bytes(1_000)) for number in range(7_000)]
    for _ in range(20):  # sixty-four megabytes would be full long before
        store = space.new_store(lambda: 16 * MEGABYTE)
        store.reserve(list(rows))
        store.apply(list(rows))
        store.close()
    assert space.sizes == []
