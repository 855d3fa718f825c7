"""What the agent makes of decisions when relays and query processors go away in the midst of them."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from adjudicator.messages import decode_status, encode_heard
from dsql.control.layout import Layout
from dsql.rpc import packets
from dsql.rpc.framing import FrameDecoder, frame
from dsql.session.control import Busy, Ears
from dsql.session.handed import HandedSession
from placement.agent import HostAgent
from placement.agent_settings import AgentSettings
from placement.dissolution import NOTICE_SECONDS
from placement.keeping import Keep, decode
from placement.listening import Listening
from placement.messages import Accepted, Cancel, HandOver, Message, Refused, encode
from placement.parking import ParkedSession
from placement.pending import START_SECONDS_MAX, STARTS_MAX, PendingSession
from placement.pool_settings import PoolSettings
from placement.sessions import Keys, ParkedRecord


class FakeWorker:
    """A query processor that takes everything, until it is `gone`. `cancelled`: numbers.

    It takes nothing up before `begin`.
    """

    cluster = "c"
    ready = True

    def __init__(self, agent: HostAgent, process_id: int) -> None:
        self.process_id = process_id
        self.work: dict[int, Keys | None] = {}
        self.cancelled: list[tuple[int, int]] = []
        self.resumed: list[tuple[int, bytes, bool]] = []
        self.shed_counts: list[int] = []
        self.released: list[int] = []
        self.mourned: list[tuple[int, ...]] = []
        self.heard = 0  # up to where, says the agent, the last one that was resumed
        self.equipped = False
        self.gone = False
        self.terminated = False
        self.temporary = 0, 0
        self._agent = agent

    def adopt(self) -> None:
        pass

    def serve(self, number: int, _packet: bytes, _client: int, keys: Keys) -> None:
        self._send()
        self.work[number] = keys

    def resume(
        self, number: int, record: bytes, _client: int, keys: Keys, *, parks: bool, heard: int
    ) -> None:
        self._send()
        self.heard = heard
        self.work[number] = keys
        self.resumed.append((number, record, parks))

    def hangs(self, since: float, now: float, seconds: float) -> bool:
        return now - since > seconds

    def kill(self) -> None:
        self.die()

    def abort(self) -> None:
        self.die()

    def terminate(self) -> None:
        self.terminated = True

    def ping(self) -> None:
        pass

    def retire(self) -> None:
        pass

    def mourn(self, process_ids: tuple[int, ...]) -> None:
        self.mourned.append(process_ids)

    def at_end(self, ended: Callable[[], None]) -> None:
        ended()

    def equip(self) -> None:
        self.equipped = True

    def release(self, number: int) -> None:
        self.released.append(number)

    def shed(self, count: int) -> None:
        self.shed_counts.append(count)

    def begin(self, *numbers: int) -> None:
        for number in numbers or tuple(self.work):
            self._agent.on_started(self, number)  # type: ignore[arg-type]

    def park(self, number: int, deadline: float = 1e9, ears: Ears | None = None) -> socket.socket:
        """Give a session back; return its client's end of the socket."""
        ours, theirs = socket.socketpair()
        keys = self.work.pop(number)
        assert keys is not None
        client = os.dup(theirs.fileno())
        parked = ParkedRecord(number, keys, client, b"record", deadline, ears=ears)
        theirs.close()
        self._agent.on_parked(self, parked)  # type: ignore[arg-type]
        return ours

    def move(self, number: int) -> socket.socket:
        """Do what `park` does with a session that goes on elsewhere."""
        ours, theirs = socket.socketpair()
        keys = self.work.pop(number)
        assert keys is not None
        with theirs:
            moved = ParkedRecord(number, keys, os.dup(theirs.fileno()), b"record")
            self._agent.on_moved(self, moved)  # type: ignore[arg-type]
        return ours

    def run_jobs(self, number: int) -> None:
        self._send()
        self.work[number] = None

    def cancel(self, number: int, secret_key: int) -> None:
        self.cancelled.append((number, secret_key))

    def end(self, number: int) -> None:
        self._agent.on_ended(self, number, self.work.pop(number))  # type: ignore[arg-type]

    def die(self) -> None:
        self.gone = True
        self._agent.on_lost(self)  # type: ignore[arg-type]

    def _send(self) -> None:
        if self.gone:
            self._agent.on_lost(self)  # type: ignore[arg-type]
            raise ConnectionError


class FakeHost(HostAgent):
    """An agent whose query processors are forked by the test."""

    def fork(self, process_id: int) -> FakeWorker:
        worker = FakeWorker(self, process_id)
        self._workers[process_id] = worker  # type: ignore[assignment]
        self._act(self._pool.forked(process_id, time.monotonic()))
        return worker

    def _assign(self, *_: object) -> None:
        pass

    @property
    def sessions(self) -> int:
        """Return how many the pool counts."""
        return sum(load.sessions for load in self._pool.loads().values())

    @property
    def parked(self) -> int:
        """Return how many the pool counts."""
        return sum(load.parked for load in self._pool.loads().values())


@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHost]:
    monkeypatch.chdir(tmp_path)
    layout = Layout(Path())
    layout.cluster("c").mkdir(parents=True)
    layout.record("c").touch()
    host = FakeHost(layout, AgentSettings(pool=PoolSettings(warm=0)))
    yield host
    host._reception.close()
    host._lot.close()


async def wait_until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.001)


def session(process_key: int, answer: Callable[[Message], None] = lambda _: None) -> PendingSession:
    handed = HandedSession(
        "c", "u", "postgres", "arn", {}, process_key, -process_key, "local", None
    )
    return PendingSession(HandOver(1, b""), handed, os.open(os.devnull, os.O_RDONLY), answer)


async def test_session_whose_relay_goes_away_with_the_one_before_it_is_not_counted(
    host: FakeHost,
) -> None:
    numbers: list[int] = []
    unlucky = session(1, lambda _: host.withdrawn(numbers[1]))
    unlucky.starts = STARTS_MAX - 1
    numbers += [host.arrived(one) for one in (unlucky, session(2), session(3))]
    dead = FakeWorker(host, 10)
    dead.gone = True
    host._workers[10] = dead  # type: ignore[assignment]
    host._act(host._pool.forked(10, time.monotonic()))
    assert list(host.fork(11).work) == [numbers[2]]
    assert host.sessions == 1


async def test_sessions_that_a_dead_process_was_to_serve_go_to_the_next_one(host: FakeHost) -> None:
    numbers = [host.arrived(session(key)) for key in range(1, 4)]
    dead = FakeWorker(host, 10)
    dead.gone = True
    host._workers[10] = dead  # type: ignore[assignment]
    host._act(host._pool.forked(10, time.monotonic()))
    assert host._pool.waiting == 3
    assert sorted(host.fork(11).work) == numbers
    assert host.sessions == 3


async def test_session_that_many_processes_died_under_is_refused(host: FakeHost) -> None:
    answers: list[Message] = []
    host.arrived(session(1, answers.append))
    for process_id in range(10, 13):
        dead = FakeWorker(host, process_id)
        dead.gone = True
        host._workers[process_id] = dead  # type: ignore[assignment]
        host._act(host._pool.forked(process_id, time.monotonic()))
    assert [type(answer) for answer in answers] == [Refused]
    assert host.sessions == 0


async def test_a_cancel_finds_its_session_among_many_by_its_key(host: FakeHost) -> None:
    host.fork(10)
    numbers = {key: host.arrived(session(key)) for key in range(1, 6)}
    worker: Any = host._workers[10]
    worker.end(numbers[2])
    for key in (2, 4, 9):
        host._reporting.received(encode(Cancel(key, 77)), [])
    assert worker.cancelled == [(numbers[4], 77)]
    worker.die()
    host._reporting.received(encode(Cancel(4, 77)), [])
    assert len(worker.cancelled) == 1
    assert host.status()["sessions"] == 0


async def test_a_key_that_came_back_belongs_to_the_later_session(host: FakeHost) -> None:
    worker = host.fork(10)
    first, second = host.arrived(session(1)), host.arrived(session(1))
    worker.end(first)
    host._reporting.received(encode(Cancel(1, 0)), [])
    assert worker.cancelled == [(second, 0)]


async def test_jobs_of_a_process_that_died_are_run_again(host: FakeHost) -> None:
    first = host.fork(10)
    number = host.arrived(session(1))
    first.begin()
    host.on_jobs_wanted(first)  # type: ignore[arg-type]
    (run,) = set(first.work) - {number}
    first.die()
    assert list(host._background.due(float("inf"))) == ["c"]
    host._run_jobs("c")
    assert list(host.fork(11).work.values()) == [None]
    assert run not in host.fork(12).work


async def test_jobs_of_a_run_that_was_cut_short_are_run_again(host: FakeHost) -> None:
    worker = host.fork(10)
    host.arrived(session(1))
    worker.begin()
    host.on_jobs_wanted(worker)  # type: ignore[arg-type]
    (run,) = [number for number, keys in worker.work.items() if keys is None]
    host.on_cut(worker, run)  # type: ignore[arg-type]
    worker.end(run)
    assert list(host._background.due(float("inf"))) == ["c"]


async def test_status_tells_processes_sessions_and_who_waits_of_each_cluster(
    host: FakeHost,
) -> None:
    host.arrived(session(1))
    waiting = host.status()
    host.fork(10)
    status = host.status()
    assert [waiting[f"c.{name}"] for name in ("processes", "sessions", "waiting")] == [0, 0, 1]
    assert [status[f"c.{name}"] for name in ("processes", "sessions", "waiting")] == [1, 1, 0]


async def test_status_adds_up_the_temporary_tables_of_each_cluster(host: FakeHost) -> None:
    number = host.arrived(session(1))
    worker = host.fork(10)
    worker.temporary = 2, 8_192
    told = [host.status()[f"c.temporary_{name}"] for name in ("sessions", "bytes")]
    worker.end(number)
    assert (told, host.status()["c.temporary_sessions"]) == ([2, 8_192], 0)


async def test_a_session_is_accepted_when_it_is_taken_up(host: FakeHost) -> None:
    answers: list[Message] = []
    number = host.arrived(session(1, answers.append))
    worker = host.fork(10)
    assert not answers
    worker.begin(number)
    assert answers == [Accepted(1)]


async def test_what_a_process_never_took_up_starts_elsewhere_when_it_dies(host: FakeHost) -> None:
    answers: list[Message] = []
    taken, left = (host.arrived(session(key, answers.append)) for key in (1, 2))
    first = host.fork(10)
    first.begin(taken)
    first.die()
    assert host.sessions == 0
    second = host.fork(11)
    assert list(second.work) == [left]
    second.begin()
    assert answers == [Accepted(1), Accepted(1)]
    assert host.sessions == 1


async def test_others_learn_which_sessions_have_ended_with_a_process(host: FakeHost) -> None:
    """One that it never took up lives on."""
    taken, _ = (host.arrived(session(key)) for key in (1, 2))
    first, second = host.fork(10), FakeWorker(host, 11)
    host._workers[11] = second  # type: ignore[assignment]
    first.begin(taken)
    first.die()
    assert second.mourned == [(1,)]


async def test_a_process_that_takes_nothing_up_is_killed(host: FakeHost) -> None:
    number = host.arrived(session(1))
    first = host.fork(10)
    host._tick()
    assert 10 in host._workers
    host._dispatch.starts.begin(
        number, host._dispatch.starts.end(number), first, -START_SECONDS_MAX
    )  # type: ignore[arg-type]
    host._tick()
    assert 10 not in host._workers
    assert list(host.fork(11).work) == [number]


async def test_input_wakes_a_parked_session(host: FakeHost) -> None:
    number = host.arrived(session(1))
    worker = host.fork(10)
    worker.begin()
    with worker.park(number) as client:
        assert (host.sessions, host.parked, host.status()["parked"]) == (0, 1, 1)
        client.send(b"x")
        await wait_until(lambda: bool(worker.resumed))
        assert worker.resumed == [(number, b"record", True)]
        worker.begin()
        assert (host.sessions, host.parked) == (1, 0)
        assert host.status()["wake_ms"] >= 0  # type: ignore[operator]
        load = host._pool.loads()["c"]
        assert (load.parkings, load.wakes) == (1, 1)


async def test_a_deleted_cluster_keeps_nothing(host: FakeHost) -> None:
    numbers = [host.arrived(session(key)) for key in (1, 2)]
    worker = host.fork(10)
    worker.begin()
    with worker.park(numbers[0]) as client:
        host._layout.record("c").unlink()
        host._tick()
        assert client.recv(1) == b""
    assert worker.terminated
    assert not worker.gone
    host._dissolution._noticed["c"] -= NOTICE_SECONDS
    host._tick()
    assert worker.gone
    assert host._pool.loads() == {}


class FakeKeeping:
    """Takes everything, and notes in which order that and the resumptions came."""

    connected = True

    def __init__(self) -> None:
        self.log: list[tuple[str, int]] = []

    def keep(self, session: ParkedSession) -> None:
        self.log.append(("keep", session.number))
        session.kept = True

    def forget(self, session: ParkedSession) -> None:
        self.log.append(("forget", session.number))
        session.kept = False


async def test_nobody_else_has_a_record_any_more_when_it_is_given_away(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping = FakeKeeping()
    host._keeping = host._dispatch._keeping = keeping  # type: ignore[assignment]
    worker = host.fork(10)
    number = host.arrived(session(1))
    worker.begin(number)
    resume = worker.resume

    def noted(number: int, *given: Any, **parks: bool) -> None:
        keeping.log.append(("resume", number))
        resume(number, *given, **parks)

    monkeypatch.setattr(worker, "resume", noted)
    with worker.park(number) as client:
        client.send(b"x")
        await wait_until(lambda: len(keeping.log) == 3)
    assert keeping.log == [("keep", number), ("forget", number), ("resume", number)]


async def test_a_session_that_waits_is_kept_until_it_is_given_up(host: FakeHost) -> None:
    keeping = FakeKeeping()
    host._keeping = host._dispatch._keeping = keeping  # type: ignore[assignment]
    worker = host.fork(10)
    number = host.arrived(session(1))
    worker.begin(number)
    with worker.park(number) as client:
        worker.die()
        client.send(b"x")
        await wait_until(lambda: host._pool.waiting == 1)
        assert keeping.log == [("keep", number)]  # the next agent would find it parked
        host._dispatch.refuse(number, "57P03", "no")
    assert keeping.log == [("keep", number), ("forget", number)]


def found(number: int, process_key: int) -> tuple[ParkedSession, socket.socket]:
    """Return a session that an earlier agent has parked, and its client's end of the socket."""
    ours, theirs = socket.socketpair()
    with theirs:
        keys = Keys(process_key, -process_key)
        return ParkedSession(
            "c", ParkedRecord(number, keys, os.dup(theirs.fileno()), b"record", 1e9)
        ), ours


async def test_what_an_earlier_agent_has_parked_is_counted_and_woken(host: FakeHost) -> None:
    earlier, client = found(7, 1 << 22 | 5)
    with client:
        host._on_found(earlier)
        assert (host.parked, len(host._lot), host._account.report().number) == (1, 1, 1)
        client.send(b"x")
        await wait_until(lambda: host._pool.waiting == 1)
        worker = host.fork(10)
        assert worker.resumed == [(7, b"record", True)]
        assert (host.sessions, host.parked) == (1, 0)


async def test_a_process_that_shows_what_it_has_long_let_go_ends(host: FakeHost) -> None:
    host.fork(10)
    liar = host.fork(11)
    number = host.arrived(session(5))
    (server,) = (host._workers[n] for n in (10, 11) if number in host._workers[n].work)
    earlier, client = found(number + 1_000, 5)
    with client:
        host._on_found(earlier)
        assert server.gone  # type: ignore[attr-defined]
        assert len(host._lot) == 1
        late = FakeWorker(host, 12)
        late.work = {number + 1_000: Keys(5, -5)}
        host._workers[12] = late  # type: ignore[assignment]
        host._adoptions.begin(late, 0.0)  # type: ignore[arg-type]
        host.on_adopted(late)  # type: ignore[arg-type]
        assert late.gone
    assert not liar.gone or server is liar


async def test_what_is_told_to_its_channels_wakes_a_parked_session_and_nothing_else(
    host: FakeHost,
) -> None:
    zones: dict[str, list[socket.socket]] = {}

    class Clusters:
        def zones(self, cluster: str) -> list[str]:
            return ["az1", "az2"]

        def connect_adjudicator(self, cluster: str, az: str) -> tuple[str, socket.socket]:
            ours, theirs = socket.socketpair()
            zones.setdefault(az, []).append(theirs)
            return az, ours

    host._listening = Listening(Clusters(), host._lot)
    number = host.arrived(session(1))
    worker = host.fork(10)
    worker.begin()
    with worker.park(number, ears=Ears(("news",), 100)):
        await wait_until(lambda: len(zones) == 2)
        asked = FrameDecoder().feed(zones["az2"][0].recv(100))[0]
        name, behind = decode_status(asked)
        assert behind == 100

        def tell(timestamp: int, channel: str) -> None:
            told = msgspec.msgpack.encode(((7, channel, "a"),))
            zones["az2"][0].sendall(frame(encode_heard(name, timestamp, told)))

        tell(110, "weather")
        tell(120, "news")
        await wait_until(lambda: bool(worker.resumed))
        assert worker.heard == 110
    assert not host._listening._clusters
    for end in [*zones["az1"], *zones["az2"]]:
        end.close()


async def test_a_parked_session_whose_client_goes_ends_and_wakes_nobody(host: FakeHost) -> None:
    host._keeping = host._dispatch._keeping = keeping = FakeKeeping()  # type: ignore[assignment]
    numbers = [host.arrived(session(key)) for key in (1, 2)]
    worker = host.fork(10)
    worker.begin()
    worker.park(numbers[0]).close()
    with worker.park(numbers[1]) as client:
        client.shutdown(socket.SHUT_WR)
        await wait_until(lambda: host.parked == 0)
        assert client.recv(1) == b"", "nobody has its socket any more"
    assert worker.resumed == []
    assert sorted(keeping.log) == [(act, one) for act in ("forget", "keep") for one in numbers]
    assert host._pool.loads()["c"].parked == 0


async def test_what_a_client_said_before_it_went_wakes_its_session(host: FakeHost) -> None:
    number = host.arrived(session(1))
    worker = host.fork(10)
    worker.begin()
    with worker.park(number) as client:
        client.send(b"x")
        client.shutdown(socket.SHUT_WR)
        await wait_until(lambda: bool(worker.resumed))


async def test_a_parked_session_is_woken_at_its_deadline_and_no_other_is(host: FakeHost) -> None:
    numbers = [host.arrived(session(key)) for key in range(1, 4)]
    worker = host.fork(10)
    worker.begin()
    soon = time.monotonic() + 0.05
    clients = [worker.park(numbers[0]), worker.park(numbers[1], soon), worker.park(numbers[2])]
    await wait_until(lambda: bool(worker.resumed))
    assert time.monotonic() >= soon
    assert [number for number, _, _ in worker.resumed] == [numbers[1]]
    assert host.parked == 2
    for client in clients:
        client.close()


async def test_parked_sessions_count_as_connections_and_hold_no_process(host: FakeHost) -> None:
    pool = host._settings.pool
    host._pool._settings = replace(pool, sessions_per_cluster_max=2, warm=0, idle_seconds=0.0)
    numbers = [host.arrived(session(key)) for key in (1, 2)]
    worker = host.fork(10)
    worker.begin()
    clients = [worker.park(number) for number in numbers]
    answers: list[Message] = []
    host.arrived(session(3, answers.append))
    assert [type(answer) for answer in answers] == [Refused]
    assert host._pool.busy == 0
    for client in clients:
        client.close()


async def test_a_session_that_there_is_no_room_for_stays_in_a_process(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("placement.parking.PARKED_BYTES_PER_CLUSTER_MAX", 10)
    numbers = [host.arrived(session(key)) for key in (1, 2)]
    worker = host.fork(10)
    worker.begin()
    clients = [worker.park(number) for number in numbers]
    assert worker.resumed == [(numbers[1], b"record", False)]
    for client in clients:
        client.close()


async def test_a_cancel_of_a_parked_session_is_nothing(host: FakeHost) -> None:
    number = host.arrived(session(1))
    worker = host.fork(10)
    worker.begin()
    with worker.park(number) as client:
        host._reporting.received(encode(Cancel(1, 77)), [])
        client.send(b"x")
        await wait_until(lambda: bool(worker.resumed))
        worker.begin()
        assert not worker.cancelled


async def test_a_cancel_on_the_way_to_a_process_is_passed_on_there(host: FakeHost) -> None:
    number = host.arrived(session(1))
    first = host.fork(10)
    first.begin()
    with first.park(number) as client:
        client.send(b"x")
        await wait_until(lambda: bool(first.resumed))
        host._reporting.received(encode(Cancel(1, -1)), [])
        host._reporting.received(encode(Cancel(1, 77)), [])  # somebody else's
        first.die()
        second = host.fork(11)
        assert not second.cancelled
        second.begin()
        assert second.cancelled == [(number, -1)]
        host._reporting.received(encode(Cancel(1, -1)), [])
        assert second.cancelled == [(number, -1)] * 2


async def test_a_session_moves_from_process_to_process(host: FakeHost) -> None:
    numbers = [host.arrived(session(key)) for key in (1, 2)]
    first = host.fork(10)
    first.begin()
    second = host.fork(11)
    host.on_busy(first, Busy(100, 100, long=True))  # type: ignore[arg-type]
    assert first.shed_counts == [1]
    with first.move(numbers[1]):
        assert second.resumed == [(numbers[1], b"record", True)]
        assert list(first.work) == [numbers[0]]
        assert not first.released  # the snapshot of its transaction
        second.begin()
        assert first.released == [numbers[1]]
        status = host.status()
        assert (status["c.sheds"], status["c.moves"], status["c.sessions"]) == (1, 1, 2)
        assert status["move_ms"] >= 0  # type: ignore[operator]
        host._reporting.received(encode(Cancel(2, -2)), [])
        assert second.cancelled == [(numbers[1], -2)]


async def test_what_a_session_left_is_told_if_it_arrives_nowhere(
    host: FakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    number = host.arrived(session(1))
    first = host.fork(10)
    first.begin()
    host._pool.full(10, 0.0)  # nobody takes it back
    with first.move(number) as client:
        for process_id in range(11, 11 + STARTS_MAX):
            assert not first.released
            host.fork(process_id).die()
        assert first.released == [number]
        assert client.recv(1) == b""
    (lost,) = (vars(line) for line in caplog.records if line.message == "parked session lost")
    assert lost["connection"] == 1
    assert not host._keys._arriving


async def test_an_agent_that_stops_wakes_who_is_parked(host: FakeHost) -> None:
    number = host.arrived(session(1))
    worker = host.fork(10)
    worker.begin()
    with worker.park(number):
        waking = asyncio.create_task(host._wake_parked())
        await wait_until(lambda: bool(worker.resumed))
        assert not waking.done()
        worker.begin()
        await waking


async def test_an_agent_that_leaves_kills_nobody_and_serves_who_still_comes(host: FakeHost) -> None:
    parked, running = (host.arrived(session(key)) for key in (1, 2))
    worker = host.fork(10)
    worker.begin()
    with worker.park(parked):
        host.drain(5.0)
        host.drain(1.0)  # once is enough
        leaving = asyncio.create_task(host.leave(await host.drained))
        await wait_until(lambda: bool(worker.resumed))
        worker.begin(parked)
        await wait_until(lambda: worker.equipped)
        host.on_busy(worker, Busy(100, 500, long=True))  # type: ignore[arg-type]
        late = host.arrived(session(3))
        worker.begin(late)
        await leaving
        assert list(worker.work) == [running, parked, late]
        worker.park(running).close()
        assert worker.resumed[-1] == (running, b"record", False)
    assert not worker.gone
    assert not worker.shed_counts


async def test_an_agent_that_leaves_what_is_parked_to_the_keeper_wakes_nobody(
    host: FakeHost,
) -> None:
    parked, late = (host.arrived(session(key)) for key in (1, 2))
    worker = host.fork(10)
    worker.begin()
    keeper, agents = packets.pair()
    agents.setblocking(False)
    host._keeping._connection = agents
    with keeper, agents, worker.park(parked) as client:
        leaving = asyncio.create_task(host.leave(1.0))
        await wait_until(lambda: worker.equipped)
        with worker.park(late):  # at the last moment
            await leaving
            client.send(b"x")
            await asyncio.sleep(0.01)
            kept = [packets.receive(keeper) for _ in range(2)]
            told = [decode(packet) for packet, _ in kept]
            assert [one.number for one in told if isinstance(one, Keep)] == [parked, late]
            packets.close_all(client for _, clients in kept for client in clients)
            assert not select.select([keeper], [], [], 0)[0]  # and nothing was forgotten
    assert not worker.resumed
    host._keeping._connection = None


async def test_a_woken_session_survives_the_process_that_it_woke_in(host: FakeHost) -> None:
    number = host.arrived(session(1))
    first = host.fork(10)
    first.begin()
    with first.park(number) as client:
        client.send(b"x")
        await wait_until(lambda: bool(first.resumed))
        first.die()
        second = host.fork(11)
        assert second.resumed == [(number, b"record", True)]
        assert client.send(b"y") == 1
        second.begin()
