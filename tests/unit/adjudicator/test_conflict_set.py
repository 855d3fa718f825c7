"""The conflict matrix, and what may be forgotten when."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjudicator import conflict_set
from adjudicator.conflict_set import DATA_CONFLICT, SCHEMA_CONFLICT, ConflictSet
from adjudicator.messages import KeyEntry, WriteSetKeys
from dsql.transaction.interface import Mode

E, N, S, B, C = Mode.EXCLUSIVE, Mode.NON_KEY, Mode.SHARE, Mode.BLIND, Mode.CATALOG
MEETS = {(E, E), (E, N), (E, S), (N, E), (N, N), (S, E), (C, E)}


def commit(conflicts: ConflictSet, start: int, key: bytes, mode: int, now: int = 0) -> int:
    """The wall clock shows the time that has elapsed."""
    conflicts.elapsed = now
    return conflicts.decide(start, [], [KeyEntry(key, int(mode))], now)


@pytest.mark.parametrize("later", list(Mode))
@pytest.mark.parametrize("earlier", list(Mode))
def test_concurrent_pair_conflicts_exactly_where_the_matrix_says(earlier, later):
    conflicts = ConflictSet(0, 0)
    assert commit(conflicts, 0, b"k", earlier) > 0
    outcome = commit(conflicts, 0, b"k", later)
    assert (outcome <= 0) == ((later, earlier) in MEETS)
    if outcome <= 0:
        assert outcome == (SCHEMA_CONFLICT if later == C else DATA_CONFLICT)


@pytest.mark.parametrize("mode", list(Mode))
def test_commit_that_the_snapshot_includes_is_no_conflict(mode):
    conflicts = ConflictSet(0, 0)
    first = commit(conflicts, 0, b"k", E)
    assert commit(conflicts, first, b"k", mode) > first


def test_check_is_remembered_like_a_write():
    conflicts = ConflictSet(0, 0)
    assert conflicts.decide(0, [KeyEntry(b"k", int(E))], [], 0) > 0
    assert commit(conflicts, 0, b"k", N) == DATA_CONFLICT


def test_refused_transaction_leaves_no_trace():
    conflicts = ConflictSet(0, 0)
    commit(conflicts, 0, b"a", E)
    entries = [KeyEntry(b"a", int(E)), KeyEntry(b"b", int(E))]
    assert conflicts.decide(0, [], entries, 0) == DATA_CONFLICT
    assert commit(conflicts, 0, b"b", E) > 0


def test_outdated_catalog_wins_over_a_data_conflict():
    conflicts = ConflictSet(0, 0)
    commit(conflicts, 0, b"catalog", E)
    commit(conflicts, 0, b"row", E)
    checks = [KeyEntry(b"catalog", int(C))]
    assert conflicts.decide(0, checks, [KeyEntry(b"row", int(E))], 0) == SCHEMA_CONFLICT


def test_timestamps_rise_though_the_clock_falls():
    conflicts = ConflictSet(0, 100)
    given_out = [commit(conflicts, 100, b"%d" % now, E, now) for now in (500, 200, 0, 600)]
    assert given_out == [500, 501, 502, 600]


def test_timestamp_is_above_a_start_that_is_ahead_of_the_clock():
    assert commit(ConflictSet(0, 0), 700, b"k", E, now=500) == 701


def test_whoever_began_before_the_floor_conflicts():
    conflicts = ConflictSet(50, 60)
    assert commit(conflicts, 49, b"k", E) == DATA_CONFLICT
    assert commit(conflicts, 50, b"k", E) > 60


def test_mode_that_does_not_exist_is_an_error():
    with pytest.raises(ValueError, match="mode 9"):
        commit(ConflictSet(0, 0), 0, b"k", 9)


def test_idle_time_does_not_refuse_the_newest_snapshot():
    """The newest snapshot of an idle cluster may be hours old, and nothing was forgotten behind it."""
    conflicts = ConflictSet(0, 0, window=10)
    first = commit(conflicts, 0, b"a", E, now=1_000_000)
    second = commit(conflicts, first, b"b", E, now=5_000_000_000)
    third = commit(conflicts, second, b"a", E, now=9_000_000_000)
    assert 0 < first < second < third
    assert commit(conflicts, third, b"a", E, now=19_000_000_000) > third


def test_old_keys_go_and_the_set_stays_small():
    conflicts = ConflictSet(0, 0, window=3_000_000)
    last = 0
    for number in range(3_000):
        last = commit(conflicts, last, b"%d" % number, E, now=number * 10_000)
    assert len(conflicts) < 600
    assert conflicts.floor > 0


def test_too_many_keys_shorten_the_window():
    conflicts = ConflictSet(0, 0, keys_max=100)
    last = 0
    for number in range(3_000):
        last = commit(conflicts, last, b"%d" % number, E, now=number * 100_000)
    assert len(conflicts) < 200


operations = st.tuples(
    st.integers(0, 40), st.sampled_from([b"a", b"b", b"c"]), st.sampled_from(list(Mode))
)


@settings(max_examples=60, deadline=None)
@given(st.lists(operations, max_size=60))
def test_forgetting_never_lets_a_conflict_through(steps):
    """Against a model that keeps everything: what the model refuses is refused."""
    conflicts = ConflictSet(0, 0, window=5_000_000)
    committed: list[tuple[int, bytes, Mode]] = []
    now = 0
    for age, key, mode in steps:
        now += 700_000
        start = max(0, conflicts.last - age * 300_000)
        outcome = commit(conflicts, start, key, mode, now)
        conflict = any(
            other_key == key and timestamp > start and (mode, other) in MEETS
            for timestamp, other_key, other in committed
        )
        assert not (conflict and outcome > 0)
        if outcome > 0:
            committed.append((outcome, key, mode))


@given(
    decisions=st.lists(
        st.tuples(
            st.integers(0, 12),
            st.lists(st.tuples(st.integers(0, 9), st.sampled_from(list(Mode))), max_size=6),
            st.lists(st.tuples(st.integers(0, 9), st.sampled_from([E, N, B])), max_size=6),
        ),
        max_size=12,
    )
)
@settings(max_examples=60, deadline=None)
def test_entries_looked_at_together_end_like_those_looked_at_one_by_one(decisions):
    together, one_by_one = ConflictSet(0, 0, window=5), ConflictSet(0, 0, window=5)
    for now, (start, *both) in enumerate(decisions):
        checks, writes = ([KeyEntry(b"%d" % n, int(mode)) for n, mode in part] for part in both)
        outcomes = []
        for conflicts, many in ((together, 1), (one_by_one, 1_000)):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(conflict_set, "_MANY", many)
                conflicts.elapsed = now
                outcomes.append(conflicts.decide(start, checks, writes, now))
                outcomes.append((len(conflicts), conflicts.floor, conflicts.met))
        assert outcomes[:2] == outcomes[2:]


def test_unknown_mode_among_many_entries_is_refused():
    entries = [KeyEntry(b"%d" % number, 0) for number in range(100)]
    with pytest.raises(ValueError, match="there is no mode 9"):
        ConflictSet(0, 0).decide(0, [], [*entries, KeyEntry(b"k", 9)], 1)


def test_set_forgets_as_fast_as_a_load_fills_it():
    conflicts = ConflictSet(0, 0, keys_max=1_000)
    for second in range(40):
        entries = [KeyEntry(b"%d %d" % (second, number), 0) for number in range(500)]
        conflicts.elapsed = second * 2_000_000
        conflicts.decide(second * 2_000_000, [], entries, second * 2_000_000 + 1)
    assert len(conflicts) <= 2_000


YEARS = 10 * 365 * 86_400 * 1_000_000


@pytest.mark.parametrize("step", [YEARS, -YEARS])
def test_step_of_the_wall_clock_makes_nothing_older_and_keeps_nothing_longer(step):
    conflicts = ConflictSet(0, YEARS, window=3_000_000)
    last = commit_at(conflicts, conflicts.last, b"before", elapsed=0, wall=2 * YEARS)
    began = last
    last = commit_at(conflicts, last, b"k", elapsed=1, wall=2 * YEARS + step)
    for number in range(100):
        last = commit_at(conflicts, last, b"%d" % number, elapsed=2 + number, wall=2 * YEARS)
    assert commit_at(conflicts, began, b"other", elapsed=103, wall=2 * YEARS) > 0
    assert commit_at(conflicts, began, b"k", elapsed=104, wall=2 * YEARS) == DATA_CONFLICT
    for number in range(1_000):
        last = commit_at(conflicts, last, b"%d" % number, elapsed=number * 20_000, wall=2 * YEARS)
    assert len(conflicts) < 300


def commit_at(conflicts: ConflictSet, start: int, key: bytes, *, elapsed: int, wall: int) -> int:
    conflicts.elapsed = elapsed
    return conflicts.decide(start, [], [KeyEntry(key, int(E))], wall)


@settings(max_examples=60, deadline=None)
@given(
    history=st.lists(
        st.lists(
            st.tuples(st.sampled_from([b"a", b"b", b"c", b"d"]), st.sampled_from(list(Mode))),
            max_size=3,
        ),
        max_size=12,
    ),
    cuts=st.sets(st.integers(0, 11)),
    asked=st.lists(operations, max_size=20),
)
def test_set_that_has_recalled_the_log_decides_as_the_one_that_wrote_it(history, cuts, asked):
    old = ConflictSet(0, 0)
    log = []
    for entries in history:
        keys = [KeyEntry(key, int(mode)) for key, mode in entries]
        write_set = WriteSetKeys(b"", old.last, [], keys)
        log.append((old.decide(old.last, [], keys, 0), write_set))
    new = ConflictSet(old.last, old.last)
    for cut in sorted({*cuts, 0}, reverse=True):
        piece, log = log[cut:], log[:cut]
        if piece:
            assert new.recall(piece, piece[0][0] - 1)
    for age, key, mode in asked:
        start = max(new.floor, old.last - age)
        entries = [KeyEntry(key, int(mode))]
        assert old.decide(start, [], entries, 0) == new.decide(start, [], entries, 0)
