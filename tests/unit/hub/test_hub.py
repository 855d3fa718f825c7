"""Tasks that wait, are woken, are preempted, and leave nobody out."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from dsql.hub.hub import Hub
from dsql.hub.waiter import NEVER, Source

Run = Callable[..., None]


class Clock:
    """Time that passes while the hub sleeps; no test waits for real."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture
def run(hub: Hub) -> Run:
    """Run tasks until all have ended."""

    def run(*tasks: Callable[[], None]) -> None:
        for task in tasks:
            hub.spawn(task)
        hub.run(lambda: not hub.tasks)

    return run


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def soon(hub: Hub) -> None:
    """Give everybody a turn."""
    hub.wait(hub.monotonic())


def until(hub: Hub, condition: Callable[[], bool]) -> None:
    while not condition():
        soon(hub)


def test_every_ready_task_has_one_turn_in_a_round(hub: Hub, run: Run) -> None:
    turns: list[str] = []

    def task(name: str) -> Callable[[], None]:
        def live() -> None:
            for _ in range(3):
                turns.append(name)
                soon(hub)

        return live

    run(task("a"), task("b"), task("c"))
    assert turns == ["a", "b", "c"] * 3


def test_what_is_put_off_to_the_end_of_a_round_comes_after_all_turns(hub: Hub, run: Run) -> None:
    happened: list[str] = []
    hub.at_round_end = lambda: happened.append("end")
    run(lambda: happened.append("a"), lambda: happened.append("b"))
    assert happened == ["a", "b", "end"]


def test_a_failed_task_is_logged_and_harms_no_other(
    hub: Hub, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def fail() -> None:
        raise ValueError("here")

    run(fail, lambda: done.append("other"))
    assert done == ["other"]
    assert "task failed" in caplog.text


def test_waits_end_in_the_order_of_their_deadlines(hub: Hub, run: Run) -> None:
    ended: list[int] = []
    start = hub.monotonic()

    def task(rank: int) -> Callable[[], None]:
        def live() -> None:
            hub.wait(start + rank / 1000)
            ended.append(rank)

        return live

    run(*map(task, (3, 1, 2)))
    assert ended == [1, 2, 3]


def test_an_earlier_deadline_counts_and_a_later_one_does_not_come_early() -> None:
    clock = Clock()
    hub = Hub(clock)
    waited: list[float] = []

    def task() -> None:
        for seconds in (3600, 0.5, 3600, 2):
            start, deadline = clock.now, clock.now + seconds
            while clock.now < deadline and not woken:
                hub.wait(deadline)
            waited.append(clock.now - start)
            woken.clear()

    def other() -> None:
        for index in range(4):
            if index % 2 == 0:
                woken.append(True)
                hub.wake(waiting)
            else:
                clock.now += 1.9
            soon(hub)
            soon(hub)
        clock.now += 1
        soon(hub)

    woken: list[bool] = []
    waiting = hub.spawn(task)
    hub.spawn(other)
    hub.run(lambda: hub.tasks < 2)
    hub.close()
    assert waited == pytest.approx([0, 1.9, 0, 2.9])


def test_timers_that_are_void_are_not_kept(hub: Hub, run: Run) -> None:
    """A wait of an hour and a short one in turn, as a session's and its commits'."""
    later = hub.monotonic() + 3600

    def sleeper() -> None:
        for _ in range(2_000):
            hub.wait(later)
            hub.wait(hub.monotonic())

    sleeping = hub.spawn(sleeper)

    def waker() -> None:
        while hub.tasks > 1:
            hub.wake(sleeping)
            soon(hub)

    run(waker)
    assert len(hub._timers) < 100


def test_a_wake_up_ends_a_wait_once(hub: Hub, run: Run) -> None:
    ended: list[int] = []

    def wait() -> None:
        for number in range(2):
            hub.wait(NEVER)
            ended.append(number)

    waiting = hub.spawn(wait)

    def wake() -> None:
        hub.wake(waiting)
        hub.wake(waiting)
        soon(hub)
        assert ended == [0]
        hub.wake(waiting)

    run(wake)
    assert ended == [0, 1]


def test_what_wakes_a_running_task_ends_its_next_wait(hub: Hub, run: Run) -> None:
    """As a signal handler does that comes between the task's last look and its wait."""

    def task() -> None:
        hub.wake(hub.current)
        hub.wait(NEVER)

    run(task)


def test_a_wake_up_is_not_lost_on_who_has_given_way(hub: Hub, run: Run) -> None:
    def task() -> None:
        hub.give_way()  # there the other one wakes it
        hub.wait(NEVER)

    preempted = hub.spawn(task)
    run(lambda: hub.wake(preempted))


def test_a_task_that_computes_is_preempted_by_a_timer(hub: Hub, run: Run) -> None:
    turns: list[int] = []
    computing = True

    def compute() -> None:
        nonlocal computing
        while len(turns) < 5:
            sum(range(1_000))
        computing = False

    def take_turns() -> None:
        while computing:
            turns.append(1)
            soon(hub)

    before = signal.signal(signal.SIGPROF, lambda *_: hub.give_way())
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    try:
        run(compute, take_turns)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    assert len(turns) >= 5


def test_a_deadline_comes_beside_a_task_that_computes_and_nothing_else_happens(
    hub: Hub, run: Run
) -> None:
    order: list[str] = []

    def compute() -> None:
        overdue = hub.monotonic() + 5
        while not order and hub.monotonic() < overdue:
            hub.give_way()
        order.append("computed")

    def wait() -> None:
        hub.wait(hub.monotonic() + 0.01)
        order.append("waited")

    run(compute, wait)
    assert order == ["waited", "computed"]


def test_a_signal_that_makes_a_task_ready_ends_the_sleep(hub: Hub, run: Run) -> None:
    """The kernel goes on waiting behind a handler."""
    sleeping = hub.spawn(lambda: hub.wait(NEVER))
    before = signal.signal(signal.SIGALRM, lambda *_: hub.wake(sleeping))
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        run()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_task_is_alone_until_another_joins_and_is_hurried_then(hub: Hub, run: Run) -> None:
    seen: list[bool] = []
    hurried: list[str] = []

    def joins() -> None:
        seen.append(hub.alone)

    def alone() -> None:
        hub.on_hurry(lambda: hurried.append("first"))
        seen.append(hub.alone)
        hub.spawn(joins)  # as an agent's message does, in a signal handler
        seen.append(hub.alone)
        soon(hub)
        seen.append(hub.alone)

    run(alone)
    assert seen == [True, False, False, True]
    assert hurried == ["first"]


def read(source: Source, connected: socket.socket) -> bytes:
    try:
        return connected.recv(100, socket.MSG_DONTWAIT)
    except BlockingIOError:
        source.readable = False
        return b""


def receive(hub: Hub, source: Source, connected: socket.socket) -> bytes:
    while not (data := read(source, connected)):
        hub.await_input(source, NEVER)
    return data


def test_input_wakes_who_waits_for_it(
    hub: Hub, run: Run, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    received: list[bytes] = []

    def reader() -> None:
        source = hub.watch(ours.fileno())
        while len(received) < 3:
            received.append(receive(hub, source, ours))

    def writer() -> None:
        for number in range(3):
            theirs.send(b"%d" % number)
            until(hub, lambda expected=number: len(received) > expected)

    run(reader, writer)
    assert received == [b"0", b"1", b"2"]


def test_input_that_came_before_the_wait_ends_it(
    hub: Hub, run: Run, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair

    def reader() -> None:
        source = hub.watch(ours.fileno())
        assert read(source, ours) == b""
        theirs.send(b"late")  # between the read and the wait
        assert receive(hub, source, ours) == b"late"

    run(reader)


def test_input_of_a_busy_task_is_noticed_when_others_run_meanwhile(
    hub: Hub, run: Run, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair

    def reader() -> None:
        source = hub.watch(ours.fileno())
        assert read(source, ours) == b""
        theirs.send(b"early")
        hub.give_way()  # the event is delivered here, and only once
        assert receive(hub, source, ours) == b"early"

    run(reader, lambda: soon(hub))


def test_the_other_ends_end_is_input(
    hub: Hub, run: Run, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair

    def reader() -> None:
        source = hub.watch(ours.fileno())
        source.readable = False
        assert hub.await_input(source, NEVER)
        assert source.gone

    run(reader, theirs.close)


def test_a_wait_for_input_ends_at_its_deadline(
    hub: Hub, run: Run, pair: tuple[socket.socket, socket.socket]
) -> None:
    def reader() -> None:
        source = hub.watch(pair[0].fileno())
        source.readable = False
        assert not hub.await_input(source, hub.monotonic() + 0.001)

    run(reader)


def test_who_fills_a_buffer_goes_on_when_it_is_read(
    hub: Hub, run: Run, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    data = os.urandom(3_000_000)
    received = bytearray()

    def writer() -> None:
        source, sent = hub.watch(ours.fileno()), 0
        while sent < len(data):
            try:
                sent += ours.send(data[sent:], socket.MSG_DONTWAIT)
            except BlockingIOError:
                hub.await_room(source, NEVER)

    def reader() -> None:
        source = hub.watch(theirs.fileno())
        while len(received) < len(data):
            received.extend(receive(hub, source, theirs))

    run(writer, reader)
    assert received == data


def test_a_number_that_is_used_again_is_another_source(hub: Hub, run: Run) -> None:
    """Two sockets have events in one look; who is told of the first closes the second."""
    pairs = [socket.socketpair() for _ in range(3)]
    sources: list[Source] = []
    replaced: list[Source] = []

    def replace(other: int) -> None:
        if not replaced:
            hub.forget(sources[other])
            os.dup2(pairs[2][0].fileno(), pairs[other][0].fileno())
            replaced.append(hub.watch(pairs[other][0].fileno()))

    def task() -> None:
        for index, (ours, _) in enumerate(pairs[:2]):
            sources.append(hub.watch(ours.fileno(), lambda other=1 - index: replace(other)))
        for _, theirs in pairs[:2]:
            theirs.close()
        soon(hub)
        assert not replaced[0].gone

    try:
        run(task)
        assert replaced
    finally:
        for one in (end for both in pairs for end in both):
            one.close()


def test_what_is_forgotten_wakes_nobody(
    hub: Hub, run: Run, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    told: list[int] = []

    def task() -> None:
        source = hub.watch(ours.fileno(), lambda: told.append(1))
        soon(hub)
        hub.forget(source)
        theirs.send(b"x")
        soon(hub)

    run(task)
    assert not told


def test_a_wait_shorter_than_the_kernels_unit_is_no_spin(hub: Hub, run: Run) -> None:
    rounds: list[int] = []
    hub.at_round_end = lambda: rounds.append(1)

    def task() -> None:
        started = time.monotonic()
        while time.monotonic() < started + 0.0005:
            hub.wait(started + 0.0005)

    run(task)
    assert len(rounds) < 5
