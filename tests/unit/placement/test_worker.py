"""What a query processor says to its agent is not trusted."""

from __future__ import annotations

import array
import asyncio
import os
import random
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from msgspec.structs import replace

from dsql.rpc import packets
from dsql.rpc.watchdog import DUMP_SIGNAL
from dsql.session.control import (
    Adjudicator,
    Adopt,
    Adopted,
    Assign,
    Busy,
    Cancel,
    Ended,
    Evacuate,
    Full,
    Moved,
    NeedAdjudicator,
    Parked,
    Ping,
    Pong,
    Ready,
    Resume,
    RunJobs,
    Serve,
    Started,
    Surviving,
    ToAgent,
    WantJobs,
    decode_from_agent,
    encode,
)
from dsql.session.record import RECORD_BYTES_MAX
from placement.ledger import MESSAGES_PER_SECOND_MAX
from placement.sessions import Keys, ParkedRecord
from placement.vouchers import Voucher, Vouchers
from placement.worker import Worker

ASSIGNMENT = Assign("c", "dsql", [], None)
KEYS = Keys(1, 1)
VOUCHERS = Vouchers(b"secret")


class Events:
    def __init__(self) -> None:
        self.ended: list[tuple[int, Keys | None]] = []
        self.started: list[int] = []
        self.cut: list[int] = []
        self.parked: list[ParkedRecord] = []
        self.moved: list[ParkedRecord] = []
        self.busy: list[Busy] = []
        self.full = 0
        self.pongs = 0
        self.adopted = 0
        self.jobs_wanted = 0
        self.lost = asyncio.Event()

    def on_ready(self, worker: Worker, seconds: float) -> None:
        del worker, seconds

    def on_cut(self, worker: Worker, number: int) -> None:
        del worker
        self.cut.append(number)

    def on_ended(self, worker: Worker, number: int, keys: Keys | None) -> None:
        del worker
        self.ended.append((number, keys))

    def on_started(self, worker: Worker, number: int) -> None:
        del worker
        self.started.append(number)

    def on_parked(self, worker: Worker, session: ParkedRecord) -> None:
        del worker
        os.close(session.client)
        self.parked.append(session)

    def on_moved(self, worker: Worker, session: ParkedRecord) -> None:
        del worker
        os.close(session.client)
        self.moved.append(session)

    def on_busy(self, worker: Worker, busy: Busy) -> None:
        del worker
        self.busy.append(busy)

    def on_pong(self, worker: Worker) -> None:
        del worker
        self.pongs += 1

    def on_full(self, worker: Worker) -> None:
        del worker
        self.full += 1

    def on_jobs_wanted(self, worker: Worker) -> None:
        del worker
        self.jobs_wanted += 1

    def on_adopted(self, worker: Worker) -> None:
        del worker
        self.adopted += 1

    def on_lost(self, worker: Worker) -> None:
        del worker
        self.lost.set()


class Hostile:
    """A worker whose process only sleeps, and the process's end of its control socket."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["sleep", "60"])
        self.events = Events()
        self.control, ours = packets.pair()
        self.worker = Worker(1, ours, os.pidfd_open(self.process.pid), self.events, VOUCHERS)

    def serve(self, number: int, keys: Keys = KEYS) -> None:
        self.worker._ledger.cluster = "c"
        with open(os.devnull) as client:
            self.worker.serve(number, b"", client.fileno(), keys)

    @contextmanager
    def given(self, number: int) -> Iterator[socket.socket]:
        """A session's socket, as the process has it."""
        self.worker._ledger.cluster = "c"
        client, other = socket.socketpair()
        with client, other:
            self.worker.serve(number, b"", client.fileno(), KEYS)
            yield client

    def park(self, parked: Parked | Moved, client: socket.socket) -> None:
        packets.send(self.control, encode(parked), (client.fileno(),))

    def say(self, *messages: ToAgent) -> None:
        for message in messages:
            self.control.send(encode(message))

    def heard(self) -> list[object]:
        """Return what it was told."""
        messages: list[object] = []
        self.control.setblocking(False)
        while True:
            try:
                packet, descriptors = packets.receive(self.control)
            except BlockingIOError:
                return messages
            packets.close_all(descriptors)
            messages.append(decode_from_agent(packet))

    async def is_killed(self) -> bool:
        await asyncio.wait_for(self.events.lost.wait(), 5)
        return self.process.wait(5) == -signal.SIGKILL


@pytest.fixture
async def hostile() -> AsyncIterator[Hostile]:
    hostile = Hostile()
    yield hostile
    hostile.process.kill()
    hostile.process.wait()
    hostile.control.close()
    hostile.worker.close()


@pytest.mark.parametrize("seed", range(5))
async def test_nonsense_is_the_end(hostile: Hostile, seed: int) -> None:
    hostile.control.send(b"\xc1" + random.Random(seed).randbytes(1_000))
    assert await hostile.is_killed()


async def test_nesting_is_the_end(hostile: Hostile) -> None:
    hostile.control.send(b"\x92\xa5ready" + b"\x91" * 100_000)
    assert await hostile.is_killed()


async def test_text_that_is_none_is_the_end(hostile: Hostile) -> None:
    hostile.control.send(encode(Ready(["x"]))[:-1] + b"\xff")
    assert await hostile.is_killed()


async def test_closing_the_control_socket_is_the_end(hostile: Hostile) -> None:
    hostile.control.close()
    assert await hostile.is_killed()


@pytest.mark.parametrize(
    "messages",
    [
        [Ready([]), Ready([])],
        [Ended(1)],
        [Started(1)],
        [Full()],
        [Busy(100, 0, long=False)],
    ],
    ids=[
        *("ready twice", "ended what it was not given"),
        *("began what it was not given", "full before it was assigned"),
        "busy before it was assigned",
    ],
)
async def test_what_nobody_says_is_the_end(hostile: Hostile, messages: list[ToAgent]) -> None:
    hostile.say(*messages)
    assert await hostile.is_killed()
    assert not hostile.events.ended
    assert not hostile.events.full
    assert not hostile.events.busy


@pytest.mark.parametrize("number", [2, 0, -1, 2**63])
async def test_ending_somebody_elses_session_is_the_end(hostile: Hostile, number: int) -> None:
    hostile.serve(1)
    hostile.say(Started(1), Ended(number))
    assert await hostile.is_killed()
    assert not hostile.events.ended
    assert list(hostile.worker.work) == [1]


async def test_ending_twice_is_the_end(hostile: Hostile) -> None:
    hostile.serve(1)
    hostile.worker.run_jobs(2)
    hostile.say(Started(1), Ended(1), Ended(2), Ended(2))
    assert await hostile.is_killed()
    assert hostile.events.ended == [(1, KEYS), (2, None)]


async def test_ending_what_was_not_taken_up_is_the_end(hostile: Hostile) -> None:
    hostile.serve(1)
    hostile.say(Ended(1))
    assert await hostile.is_killed()
    assert not hostile.events.ended


async def test_a_session_comes_back_with_its_socket(hostile: Hostile) -> None:
    with hostile.given(1) as client:
        hostile.say(Started(1))
        hostile.park(Parked(1, b"record", 5.0), client)
        while not hostile.events.parked:
            await asyncio.sleep(0)
    (parked,) = hostile.events.parked
    assert (parked.number, parked.keys, parked.record, parked.deadline) == (1, KEYS, b"record", 5.0)
    assert not hostile.worker.work
    hostile.serve(1)
    assert not hostile.events.lost.is_set()


@pytest.mark.parametrize(
    "parked",
    [
        Parked(2, b"record", 5.0),
        Parked(1, bytes(RECORD_BYTES_MAX + 1), 5.0),
        Parked(1, b"record", float("nan")),
        Parked(1, b"record", float("inf")),
    ],
    ids=["not given", "too large", "no time", "never"],
)
async def test_parking_what_is_no_session_of_its_own_is_the_end(
    hostile: Hostile, parked: Parked
) -> None:
    with hostile.given(1) as client:
        hostile.say(Started(1))
        hostile.park(parked, client)
        assert await hostile.is_killed()
    assert not hostile.events.parked


async def test_giving_back_another_socket_is_the_end(hostile: Hostile) -> None:
    with hostile.given(1), hostile.given(2) as other:
        hostile.say(Started(1), Started(2))
        hostile.park(Parked(1, b"record", 5.0), other)
        assert await hostile.is_killed()
    assert not hostile.events.parked


async def test_parking_without_a_socket_is_the_end(hostile: Hostile) -> None:
    with hostile.given(1):
        hostile.say(Started(1), Parked(1, b"record", 5.0))
        assert await hostile.is_killed()


async def test_parking_what_was_not_taken_up_is_the_end(hostile: Hostile) -> None:
    with hostile.given(1) as client:
        hostile.park(Parked(1, b"record", 5.0), client)
        assert await hostile.is_killed()


async def test_parking_sooner_than_a_client_can_have_been_silent_is_the_end(
    hostile: Hostile,
) -> None:
    hostile.worker.assign(replace(ASSIGNMENT, park_seconds=1000.0), [], lambda _: None)
    with hostile.given(1) as client:
        hostile.say(Started(1))
        hostile.park(Parked(1, b"record", 5.0), client)
        assert await hostile.is_killed()
    assert not hostile.events.parked


async def test_as_many_sessions_move_as_were_asked_to(hostile: Hostile) -> None:
    hostile.worker.assign(ASSIGNMENT, [], lambda _: None)
    with hostile.given(1) as first, hostile.given(2) as second:
        hostile.say(Started(1), Started(2))
        hostile.worker.shed(1)
        hostile.park(Moved(2, b"record"), second)
        while not hostile.events.moved:
            await asyncio.sleep(0)
        hostile.park(Moved(1, b"record"), first)
        assert await hostile.is_killed()
    (moved,) = hostile.events.moved
    assert (moved.number, moved.keys, moved.record) == (2, KEYS, b"record")


async def test_load_is_told_and_bounded(hostile: Hostile) -> None:
    hostile.worker.assign(ASSIGNMENT, [], lambda _: None)
    hostile.say(Busy(100, 250, long=True))
    while not hostile.events.busy:
        await asyncio.sleep(0)
    assert hostile.events.busy == [Busy(100, 250, long=True)]
    hostile.say(Busy(101, 0, long=True))
    assert await hostile.is_killed()


async def test_last_words_of_a_process_count(hostile: Hostile) -> None:
    hostile.serve(1)
    hostile.say(Started(1))
    hostile.worker.kill()
    assert hostile.events.started == [1]
    assert await hostile.is_killed()


async def test_a_sign_is_passed_on(hostile: Hostile) -> None:
    hostile.worker.ping()
    assert hostile.heard() == [Ping()]
    hostile.say(Pong(2, 8_192))
    while not hostile.events.pongs:
        await asyncio.sleep(0)
    assert hostile.worker.temporary == (2, 8_192)


async def test_who_hangs_is_asked_where_and_whom_it_can_give_back_and_killed(
    hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("placement.worker.DUMP_SECONDS", 0.01)
    sent: list[int] = []
    send = signal.pidfd_send_signal

    def noted(pidfd: int, number: int) -> None:
        sent.append(number)
        if number == signal.SIGKILL:
            send(pidfd, number)

    monkeypatch.setattr(signal, "pidfd_send_signal", noted)
    hostile.worker.abort()
    hostile.worker.abort()
    assert hostile.heard() == [Evacuate()]
    assert await hostile.is_killed()
    assert sent[:3] == [DUMP_SIGNAL, signal.SIGCONT, signal.SIGKILL]


async def test_who_hangs_may_give_back_all_that_it_has(hostile: Hostile) -> None:
    hostile.worker.assign(ASSIGNMENT, [], lambda _: None)
    with hostile.given(1) as first, hostile.given(2) as second:
        hostile.say(Started(1), Started(2))
        hostile.worker.abort()
        hostile.park(Moved(1, b"one"), first)
        hostile.park(Moved(2, b"two"), second)
        while len(hostile.events.moved) < 2 and not hostile.events.lost.is_set():
            await asyncio.sleep(0)
    assert [moved.record for moved in hostile.events.moved] == [b"one", b"two"]


async def test_a_process_hangs_that_takes_nothing_up(hostile: Hostile) -> None:
    worker = hostile.worker
    assert not worker.hangs(100.0, 119.0, 10.0)  # its sandbox is not closed yet
    assert worker.hangs(100.0, 121.0, 10.0)
    hostile.worker._ledger.ready_at = 105.0
    assert not worker.hangs(100.0, 114.0, 10.0)
    assert worker.hangs(100.0, 116.0, 10.0)


async def test_being_full_again_is_the_end(hostile: Hostile) -> None:
    hostile.worker.assign(ASSIGNMENT, [], lambda _: None)
    hostile.say(Full(), Full())
    assert await hostile.is_killed()
    assert hostile.events.full == 1


async def test_a_cancel_names_its_session_and_needs_its_key(hostile: Hostile) -> None:
    hostile.serve(1, Keys(7, 70))
    hostile.serve(2, Keys(8, -80))
    hostile.worker.run_jobs(3)
    for number, secret_key in ((1, 71), (2, 70), (3, 0), (4, 70), (1, -70)):
        hostile.worker.cancel(number, secret_key)
    hostile.worker.cancel(2, -80)
    heard = hostile.heard()
    assert [message for message in heard if isinstance(message, Cancel)] == [Cancel(2)]
    assert [message.number for message in heard if isinstance(message, Serve)] == [1, 2]


async def test_a_run_that_was_cut_short_is_told_before_its_end(hostile: Hostile) -> None:
    for number, cut in ((1, False), (2, True)):
        hostile.worker._ledger.cluster = "c"
        hostile.worker.run_jobs(number)
        hostile.say(Ended(number, cut))
        while len(hostile.events.ended) < number and not hostile.events.lost.is_set():
            await asyncio.sleep(0)
    assert not hostile.events.lost.is_set()
    assert hostile.events.cut == [2]


async def test_ends_of_many_short_sessions_are_not_too_many_messages(hostile: Hostile) -> None:
    many = range(MESSAGES_PER_SECOND_MAX * 4)
    for number in many:
        hostile.serve(number)
        assert hostile.heard()
        hostile.say(Started(number), Ended(number))
        while len(hostile.events.ended) <= number:
            await asyncio.sleep(0)
    assert not hostile.events.lost.is_set()
    assert not hostile.worker.work


async def test_who_has_many_sessions_may_say_more(hostile: Hostile) -> None:
    hostile.worker._ledger.work = dict.fromkeys(range(MESSAGES_PER_SECOND_MAX), KEYS)
    most = 2 * MESSAGES_PER_SECOND_MAX
    hostile.worker._ledger._counting_from = float("inf")  # the same second for ever
    for _ in range(most):
        hostile.say(WantJobs())
        await asyncio.sleep(0)
    while hostile.events.jobs_wanted < most:
        await asyncio.sleep(0)
    assert not hostile.events.lost.is_set()
    hostile.say(WantJobs())
    assert await hostile.is_killed()


async def test_too_many_messages_are_the_end(hostile: Hostile) -> None:
    hostile.control.setblocking(False)
    sent = 0
    async with asyncio.timeout(10):
        while not hostile.events.lost.is_set():
            try:
                hostile.control.send(encode(WantJobs()))
                sent += 1
            except OSError:
                await asyncio.sleep(0)
    assert hostile.events.jobs_wanted <= MESSAGES_PER_SECOND_MAX * 10
    assert await hostile.is_killed()


async def test_descriptors_that_come_along_are_closed(hostile: Hostile) -> None:
    before = len(os.listdir("/proc/self/fd"))
    rights = array.array("i", [2] * packets.DESCRIPTORS_MAX)
    for _ in range(20):
        hostile.control.sendmsg(
            [encode(WantJobs())], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
        )
    while hostile.events.jobs_wanted < 20:
        await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_who_goes_on_alone_has_a_connection_to_each_zone(hostile: Hostile) -> None:
    def connect(az: str) -> tuple[str, socket.socket] | None:
        if az == "c":
            return None
        ours, theirs = socket.socketpair()
        theirs.close()
        return az or "a", ours

    hostile.worker.assign(replace(ASSIGNMENT, azs=["a", "b", "c"]), [], connect)
    hostile.worker.equip()
    _, *connections = hostile.heard()
    assert connections == [Adjudicator("a"), Adjudicator("b"), Adjudicator("c")]


async def test_process_has_one_connection_to_each_adjudicator(hostile: Hostile) -> None:
    ends: list[socket.socket] = []

    def connect(az: str) -> tuple[str, socket.socket]:
        ours, theirs = socket.socketpair()
        ends.append(theirs)
        return az or "az1", ours

    hostile.worker._adjudicators.connect = connect
    for az in ("", "az2", "az1"):
        hostile.control.send(encode(NeedAdjudicator(az)))
    while len(ends) < 3:
        await asyncio.sleep(0)
    assert ends[0].recv(1) == b""
    for still_open in ends[1:]:
        still_open.setblocking(False)
        with pytest.raises(BlockingIOError):
            still_open.recv(1)
    for end in ends:
        end.close()


class Survivor(Hostile):
    """A process that an earlier agent has given two sessions and a run of jobs, and a new agent asks."""

    def __init__(self) -> None:
        super().__init__()
        self.earlier, self.events = self.worker, Events()
        self.earlier._ledger.cluster = "c"
        self.clients = [socket.socketpair() for _ in range(2)]
        for number, (client, _) in enumerate(self.clients, 1):
            self.earlier.serve(number, b"", client.fileno(), Keys(number, number))
        self.earlier.run_jobs(3)
        told = [message for message in self.heard() if isinstance(message, Serve | RunJobs)]
        self.vouchers = [message.voucher for message in told]
        self.assignment = VOUCHERS.seal(Voucher(1, "c"))
        self.control.setblocking(True)
        self._left_behind = self.control
        self.control, ours = packets.pair()
        pidfd = os.pidfd_open(self.process.pid)
        self.worker = Worker(1, ours, pidfd, self.events, VOUCHERS)
        self.worker.adopt()

    def show(self, voucher: bytes, *clients: socket.socket) -> None:
        packets.send(self.control, encode(Surviving(voucher)), [c.fileno() for c in clients])

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for end in (
            self.control,
            self._left_behind,
            *(end for pair in self.clients for end in pair),
        ):
            end.close()
        self.worker.close()
        self.earlier.close()


@pytest.fixture
async def survivor() -> AsyncIterator[Survivor]:
    survivor = Survivor()
    yield survivor
    survivor.close()


async def until_adopted(survivor: Survivor) -> None:
    async with asyncio.timeout(5):
        while not survivor.events.adopted:
            await asyncio.sleep(0)


async def test_the_next_agent_learns_what_an_earlier_one_has_given(survivor: Survivor) -> None:
    survivor.say(Ended(7), WantJobs())  # for the agent that has gone
    for voucher, (client, _) in zip(survivor.vouchers, survivor.clients, strict=False):
        survivor.show(voucher, client)
    survivor.show(survivor.vouchers[2])
    survivor.say(Adopted(survivor.assignment))
    await until_adopted(survivor)
    assert survivor.worker.cluster == "c"
    assert survivor.worker.work == {1: Keys(1, 1), 2: Keys(2, 2), 3: None}
    assert survivor.heard() == [Adopt()]
    survivor.worker.readopt(ASSIGNMENT, lambda _: None)
    survivor.worker.cancel(1, 1)
    assert survivor.heard() == [Cancel(1)]
    survivor.park(Parked(2, b"record", 1.0), survivor.clients[1][0])
    survivor.say(Ended(1))
    async with asyncio.timeout(5):
        while not survivor.events.ended:
            await asyncio.sleep(0)
    (parked,) = survivor.events.parked
    assert parked.number == 2
    assert not survivor.events.jobs_wanted


@pytest.mark.parametrize("leaving", [Parked(2, b"record", 1.0), Moved(2, b"record")])
async def test_what_no_agent_was_there_to_take_goes_on_where_it_was(
    survivor: Survivor, leaving: Parked | Moved
) -> None:
    (first, _), (second, _) = survivor.clients
    survivor.park(replace(leaving, voucher=survivor.vouchers[1]), second)
    survivor.show(survivor.vouchers[0], first)
    survivor.say(Adopted(survivor.assignment))
    await until_adopted(survivor)
    assert survivor.worker.work == {1: Keys(1, 1), 2: Keys(2, 2)}
    assert survivor.heard() == [Adopt(), Resume(2, b"record", voucher=survivor.vouchers[1])]
    survivor.say(Started(2))
    async with asyncio.timeout(5):
        while not survivor.events.started:
            await asyncio.sleep(0)


@pytest.mark.parametrize("lie", ["no voucher", "another's", "a run's", "shown as well"])
async def test_giving_an_agent_back_what_no_agent_has_given_is_the_end(
    survivor: Survivor, lie: str
) -> None:
    _, (second, _) = survivor.clients
    voucher = {"another's": survivor.vouchers[0], "a run's": survivor.vouchers[2]}.get(
        lie, survivor.vouchers[1]
    )
    if lie == "shown as well":
        survivor.show(voucher, second)
    survivor.park(Parked(2, b"record", 1.0, b"" if lie == "no voucher" else voucher), second)
    assert await survivor.is_killed()
    assert not survivor.events.adopted


async def test_a_process_that_was_nobodys_is_nobodys(survivor: Survivor) -> None:
    survivor.say(Adopted(b""))
    await until_adopted(survivor)
    assert survivor.worker.cluster is None
    assert not survivor.worker.work


@pytest.mark.parametrize("lie", ["forged", "another's", "assignment", "short"])
async def test_a_voucher_that_was_not_given_is_the_end(survivor: Survivor, lie: str) -> None:
    given = Voucher(1, "c", 9, (9, 9), os.fstat(survivor.clients[0][0].fileno()).st_ino)
    voucher = {
        "forged": Vouchers(b"guess").seal(given),
        "another's": VOUCHERS.seal(replace(given, process_id=2)),
        "assignment": survivor.assignment,
        "short": b"x",
    }[lie]
    survivor.show(voucher, survivor.clients[0][0])
    assert await survivor.is_killed()
    assert not survivor.events.adopted


@pytest.mark.parametrize("lie", ["another socket", "no socket", "twice", "another cluster's"])
async def test_what_does_not_go_with_its_voucher_is_the_end(survivor: Survivor, lie: str) -> None:
    (first, other), _ = survivor.clients
    match lie:
        case "another socket":
            survivor.show(survivor.vouchers[0], other)
        case "no socket":
            survivor.show(survivor.vouchers[0])
        case "twice":
            survivor.show(survivor.vouchers[0], first)
            survivor.show(survivor.vouchers[0], first)
        case _:
            survivor.show(survivor.vouchers[0], first)
            survivor.say(Adopted(VOUCHERS.seal(Voucher(1, "d"))))
    assert await survivor.is_killed()
    assert not survivor.events.adopted


async def test_work_without_a_cluster_is_the_end(survivor: Survivor) -> None:
    survivor.show(survivor.vouchers[2])
    survivor.say(Adopted(b""))
    assert await survivor.is_killed()
    assert not survivor.events.adopted


@pytest.mark.parametrize("unasked", [Adopted(b""), Surviving(b"")])
async def test_showing_unasked_is_the_end(hostile: Hostile, unasked: ToAgent) -> None:
    hostile.say(unasked)
    assert await hostile.is_killed()
