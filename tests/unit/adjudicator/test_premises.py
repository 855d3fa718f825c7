"""What a transaction has read, and when it has found what it writes, decides with what it writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjudicator.conflict_set import DATA_CONFLICT, SCHEMA_CONFLICT, ConflictSet
from adjudicator.messages import KeyEntry, PremisesRead, WriteSetKeys
from adjudicator.recent_writes import DisjointRanges, RecentWrites
from dsql.transaction.interface import Mode

E, N, S, B, C = map(int, (Mode.EXCLUSIVE, Mode.NON_KEY, Mode.SHARE, Mode.BLIND, Mode.CATALOG))
KEYS = st.integers(0, 20).map(lambda number: b"%02d" % number)
SECOND = 1_000_000


def write(conflicts: ConflictSet, key: bytes, mode: int = E) -> int:
    return conflicts.decide(conflicts.last, [], [KeyEntry(key, mode)], 0)


def reading(
    conflicts: ConflictSet,
    start: int,
    *,
    keys: tuple[bytes, ...] = (),
    ranges: tuple[tuple[bytes, bytes], ...] = (),
) -> int:
    premises = PremisesRead((), (), keys, ranges)
    return conflicts.decide(start, [], [KeyEntry(b"own", B)], 0, premises)


@pytest.mark.parametrize("mode", [E, N])
def test_a_key_that_was_written_since_it_was_read_is_a_conflict(mode):
    conflicts = ConflictSet(0, 0)
    start = write(conflicts, b"k")
    assert reading(conflicts, start, keys=(b"k",)) > 0
    met = write(conflicts, b"k", mode)
    assert reading(conflicts, start, keys=(b"k",)) == DATA_CONFLICT
    assert conflicts.met == met
    assert reading(conflicts, conflicts.last, keys=(b"k",)) > 0


def test_a_lock_that_changes_nothing_is_none_within_a_range():
    conflicts = ConflictSet(0, 0)
    conflicts.decide(0, [KeyEntry(b"k", E)], [KeyEntry(b"z", E)], 0)
    assert reading(conflicts, 0, ranges=((b"a", b"m"),)) > 0


@pytest.mark.parametrize("mode", [E, N, B])
def test_what_was_written_in_a_range_since_it_was_read_is_a_conflict(mode):
    conflicts = ConflictSet(0, 0)
    start = write(conflicts, b"k", mode)
    met = write(conflicts, b"k", mode)
    write(conflicts, b"zzz")
    assert reading(conflicts, start, ranges=((b"a", b"b"), (b"k", b"l"))) == DATA_CONFLICT
    assert conflicts.met >= met
    assert reading(conflicts, start, ranges=((b"a", b"k"), (b"l", b"m"))) > 0
    assert reading(conflicts, met, ranges=((b"k", b"l"),)) > 0


def test_an_old_write_of_a_key_hides_none_in_a_range():
    conflicts = ConflictSet(0, 0)
    start = write(conflicts, b"a")
    write(conflicts, b"k")
    assert reading(conflicts, start, keys=(b"a",), ranges=((b"k", b"l"),)) == DATA_CONFLICT


def test_what_a_former_leader_has_committed_counts():
    conflicts = ConflictSet(100, 100)
    older = [
        (number, WriteSetKeys(b"", 0, [], [KeyEntry(b"%02d" % number, B)])) for number in (50, 60)
    ]
    conflicts.recall(older, 40)
    assert reading(conflicts, 55, ranges=((b"50", b"51"),)) > 0
    assert reading(conflicts, 55, ranges=((b"60", b"61"),)) == DATA_CONFLICT


def test_what_was_forgotten_is_a_conflict():
    conflicts = ConflictSet(0, 0, window=10 * SECOND)
    start = write(conflicts, b"k", B)
    for second in range(1, 40):
        conflicts.elapsed = second * SECOND
        write(conflicts, b"other", B)
    assert len(conflicts) < 20
    assert reading(conflicts, start, ranges=((b"x", b"y"),)) == DATA_CONFLICT


def test_each_key_counts_from_when_it_was_found():
    conflicts = ConflictSet(0, 0)
    start = write(conflicts, b"a")
    changed = write(conflicts, b"b")
    entries = [KeyEntry(b"a", N), KeyEntry(b"b", N)]
    late = PremisesRead((), (0, changed - start), (), ())
    assert conflicts.decide(start, [], entries, 0) == DATA_CONFLICT
    assert conflicts.decide(start, [], entries, 0, late) > changed
    assert conflicts.decide(start, [], entries, 0, late) == DATA_CONFLICT


def test_a_check_counts_from_when_it_was_found():
    conflicts = ConflictSet(0, 0)
    start = write(conflicts, b"version")
    changed = write(conflicts, b"version")
    checks = [KeyEntry(b"version", C)]
    late = PremisesRead((changed - start,), (), (), ())
    assert conflicts.decide(start, checks, [], 0) == SCHEMA_CONFLICT
    assert conflicts.decide(start, checks, [], 0, late) > changed


def test_a_commit_is_behind_all_that_it_has_seen():
    conflicts = ConflictSet(0, 0)
    premises = PremisesRead((), (500,), (), ())
    assert conflicts.decide(10, [], [KeyEntry(b"a", E)], 0, premises) > 510


def test_delays_of_another_write_set_are_refused():
    with pytest.raises(ValueError, match="delays"):
        ConflictSet(0, 0).decide(0, [], [KeyEntry(b"a", E)], 0, PremisesRead((), (1, 2), (), ()))


@given(st.lists(st.tuples(KEYS, KEYS), max_size=6), KEYS)
def test_disjoint_ranges_have_what_one_of_the_ranges_has(ranges, key):
    assert DisjointRanges(ranges).has(key) == any(low <= key < high for low, high in ranges)


@given(
    st.lists(st.lists(KEYS, max_size=6), max_size=60),
    st.lists(st.tuples(KEYS, KEYS), max_size=2),
    st.integers(0, 60),
)
def test_recent_writes_find_what_looking_at_each_finds(commits, ranges, start):
    writes = RecentWrites()
    for timestamp, keys in enumerate(commits, 1):
        writes.keys += keys
        writes.end_commit(timestamp)
    found = writes.newest_within(DisjointRanges(ranges), start)
    meeting = [
        timestamp
        for timestamp, keys in enumerate(commits, 1)
        if timestamp > start and any(low <= key < high for key in keys for low, high in ranges)
    ]
    assert bool(found) == bool(meeting)
    assert not meeting or meeting[-1] <= found <= len(commits)
