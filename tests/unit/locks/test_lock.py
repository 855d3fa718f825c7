"""Who gets an advisory lock, and who waits for whom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsql.locks.deadlock import deadlock_error, find_circle, is_victim
from dsql.locks.lock import FREE, Claim, Lock, LockMode, Tag, decode, encode, lock_key, tag_of

EXCLUSIVE, SHARE = LockMode.EXCLUSIVE, LockMode.SHARE


def claim(number: int, mode: LockMode = EXCLUSIVE, since: int = 0) -> Claim:
    return Claim(bytes((number,)) * 16, number, mode, since)


def owners(claims: tuple[Claim, ...]) -> list[int]:
    return [one.process_id for one in claims]


def asked(lock: Lock, one: Claim) -> Lock:
    return lock.taken(one) or lock.awaited(one)


def test_who_lets_go_gives_the_lock_to_all_whose_turn_it_is() -> None:
    lock = FREE
    for number, mode in enumerate([EXCLUSIVE, SHARE, SHARE, EXCLUSIVE, SHARE], 1):
        lock = asked(lock, claim(number, mode))
    assert (owners(lock.holders), owners(lock.line)) == ([1], [2, 3, 4, 5])
    lock = lock.released(claim(1).owner, EXCLUSIVE)
    assert (owners(lock.holders), owners(lock.line)) == ([2, 3], [4, 5])
    lock = lock.abandoned(claim(4).owner)
    assert (owners(lock.holders), owners(lock.line)) == ([2, 3, 5], [])


def test_who_holds_a_lock_need_not_stand_in_line_for_another_mode_of_it() -> None:
    lock = asked(asked(FREE, claim(1, SHARE)), claim(2))
    assert lock.taken(claim(3, SHARE)) is None
    both = lock.taken(claim(1))
    assert both is not None
    assert both.holds(claim(1).owner, EXCLUSIVE)
    assert both.holds(claim(1).owner, SHARE)


steps = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from(LockMode), st.booleans()), max_size=30
)


@given(steps)
def test_nobody_excludes_another_holder_and_nobody_waits_for_nothing(
    taken: list[tuple[int, LockMode, bool]],
) -> None:
    lock = FREE
    for number, mode, takes in taken:
        one = claim(number, mode)
        lock = asked(lock, one) if takes else lock.released(one.owner, mode)
        lock = decode(encode(lock))
        for first in lock.holders:
            for second in lock.holders:
                assert first.owner == second.owner or first.mode == second.mode == SHARE
        assert all(lock.blockers(waiter) for waiter in lock.line)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.sampled_from((1, 2)))
def test_a_key_names_its_lock(high: int, low: int, kind: int) -> None:
    assert tag_of(lock_key(Tag(high, low, kind))) == (high, low, kind)


def test_in_a_circle_of_three_who_has_waited_longest_gives_way() -> None:
    tags = [Tag(0, number, 1) for number in range(3)]
    locks = {
        tag: Lock((claim(number + 1),), (claim((number + 1) % 3 + 1, since=50 - number),))
        for number, tag in enumerate(tags)
    }
    circles = [find_circle(locks, claim(number).owner) for number in (1, 2, 3)]
    assert [len(circle) for circle in circles] == [3, 3, 3]
    victims = [is_victim(circle, claim(n).owner) for n, circle in enumerate(circles, 1)]
    assert victims == [True, False, False]  # it waits since 48
    assert deadlock_error(circles[0], 5).detail.splitlines() == [
        "Process 1 waits for ExclusiveLock on advisory lock [5,0,2,1]; blocked by process 3.",
        "Process 3 waits for ExclusiveLock on advisory lock [5,0,1,1]; blocked by process 2.",
        "Process 2 waits for ExclusiveLock on advisory lock [5,0,0,1]; blocked by process 1.",
    ]


def test_who_waits_for_somebody_that_waits_for_nobody_is_in_no_circle() -> None:
    tag = Tag(0, 1, 1)
    locks = {tag: Lock((claim(1),), (claim(2), claim(3)))}
    assert not find_circle(locks, claim(3).owner)
