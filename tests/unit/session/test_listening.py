"""LISTEN, NOTIFY and UNLISTEN of sessions with one store behind them."""

from __future__ import annotations

import struct

import pytest
from memory_server import Peer, Server, letters

from dsql.hub.waiter import Blocking
from dsql.limits import HEARD_BYTES_MAX
from dsql.session.listening import Listening

Answers = list[tuple[str, bytes]]


def heard(answers: Answers) -> list[tuple[int, str, str]]:
    """The notifications among them."""
    found = []
    for kind, body in answers:
        if kind == "A":
            channel, payload, rest = body[4:].split(b"\0")
            assert not rest
            found.append((struct.unpack("!i", body[:4])[0], channel.decode(), payload.decode()))
    return found


def payloads(answers: Answers) -> list[str]:
    return [payload for _, _, payload in heard(answers)]


@pytest.fixture
def pair(postgres: Server) -> tuple[Peer, Peer]:
    """Two sessions; the first listens to "news"."""
    listener, speaker = postgres.connect(), postgres.connect()
    listener.query("LISTEN news")
    return listener, speaker


@pytest.mark.one_process
def test_a_listener_hears_who_has_told_its_channel_what(pair: tuple[Peer, Peer]) -> None:
    listener, speaker = pair
    speaker.query("NOTIFY news, 'it rains'; NOTIFY weather, 'it rains'")
    speaker.query("SELECT pg_notify('news', 'still')")
    speaker.query("NOTIFY news")
    speaker_id = heard(listener.query("SELECT 1"))
    assert [told[1:] for told in speaker_id] == [
        ("news", "it rains"),
        ("news", "still"),
        ("news", ""),
    ]
    assert {told[0] for told in speaker_id} == {8}


@pytest.mark.one_process
def test_what_a_session_tells_itself_comes_before_it_is_ready(pair: tuple[Peer, Peer]) -> None:
    listener, _ = pair
    assert letters(listener.query("NOTIFY news, 'a'")) == "CAZ"
    assert letters(listener.query("BEGIN; NOTIFY news, 'b'")) == "CCZ"
    assert letters(listener.query("COMMIT")) == "CAZ"


@pytest.mark.one_process
def test_a_session_in_a_transaction_hears_behind_its_end(pair: tuple[Peer, Peer]) -> None:
    listener, speaker = pair
    listener.query("BEGIN")
    speaker.query("NOTIFY news, 'a'")
    assert not heard(listener.query("SELECT 1"))
    assert not heard(listener.query("SELECT nothing"))
    assert payloads(listener.query("ROLLBACK")) == ["a"]


@pytest.mark.one_process
def test_the_same_is_told_once_in_a_transaction_and_what_is_taken_back_never(
    pair: tuple[Peer, Peer],
) -> None:
    listener, speaker = pair
    speaker.query("BEGIN; NOTIFY news, 'a'; NOTIFY news, 'b'; NOTIFY news, 'a'; SAVEPOINT s")
    speaker.query("NOTIFY news, 'c'; NOTIFY news, 'b'; ROLLBACK TO s; NOTIFY news, 'd'; COMMIT")
    speaker.query("BEGIN; NOTIFY news, 'no'; ROLLBACK")
    speaker.query("NOTIFY news, 'no'; SELECT nothing")
    assert payloads(listener.query("SELECT 1")) == ["a", "b", "d"]


@pytest.mark.one_process
def test_listen_acts_at_the_commit_and_not_before(pair: tuple[Peer, Peer]) -> None:
    listener, speaker = pair
    listener.query("BEGIN; LISTEN more; SAVEPOINT s; LISTEN none; UNLISTEN news; ROLLBACK TO s")
    speaker.query("NOTIFY more, 'too early'")
    assert not heard(listener.query("COMMIT"))
    speaker.query("NOTIFY more, 'a'; NOTIFY none, 'b'; NOTIFY news, 'c'")
    assert payloads(listener.query("SELECT 1")) == ["a", "c"]
    listener.query("BEGIN; LISTEN late; UNLISTEN *; ROLLBACK")
    assert listener.rows("SELECT * FROM pg_listening_channels()") == [[b"news"], [b"more"]]


@pytest.mark.one_process
def test_a_transaction_that_begins_to_listen_hears_itself(postgres: Server) -> None:
    peer = postgres.connect()
    assert payloads(peer.query("BEGIN; LISTEN own; NOTIFY own, 'a'; COMMIT")) == ["a"]


@pytest.mark.one_process
@pytest.mark.parametrize("words", ["UNLISTEN news", "UNLISTEN *", "DISCARD ALL"])
def test_nothing_is_heard_any_more_after(words: str, pair: tuple[Peer, Peer]) -> None:
    listener, speaker = pair
    listener.query("BEGIN")
    speaker.query("NOTIFY news, 'kept and then dropped'")
    listener.query("ROLLBACK" if words == "DISCARD ALL" else "SELECT 1")
    listener.query(words if words == "DISCARD ALL" else f"{words}; COMMIT")
    speaker.query("NOTIFY news, 'b'")
    assert "b" not in payloads(listener.query("SELECT 1"))
    assert listener.rows("SELECT count(*) FROM pg_listening_channels()") == [[b"0"]]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELECT pg_notify('', 'a')", "channel name cannot be empty"),
        ("SELECT pg_notify(NULL, 'a')", "channel name cannot be empty"),
        (f"SELECT pg_notify('{'c' * 64}', 'a')", "channel name too long"),
        (f"SELECT pg_notify('c', '{'p' * 8000}')", "payload string too long"),
        (f"NOTIFY c, '{'p' * 8000}'", "payload string too long"),
    ],
)
def test_what_cannot_be_told_is_refused(statement: str, message: str, postgres: Server) -> None:
    assert postgres.connect().fails(statement) == ("22023", message)


@pytest.mark.one_process
def test_the_longest_names_and_payloads_are_told(postgres: Server) -> None:
    peer = postgres.connect()
    peer.query(f"LISTEN {'c' * 70}")
    told = heard(peer.query(f"NOTIFY {'c' * 80}, '{'p' * 7999}'"))
    assert [(channel, len(payload)) for _, channel, payload in told] == [("c" * 63, 7999)]


@pytest.mark.one_process
def test_a_transaction_that_runs_again_tells_the_same(pair: tuple[Peer, Peer]) -> None:
    listener, speaker = pair
    speaker.query("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0)")
    speaker.query("BEGIN; UPDATE t SET n = n + 1; NOTIFY news, 'a'; SELECT pg_notify('news', 'b')")
    listener.query("UPDATE t SET n = n + 1")
    assert letters(speaker.query("COMMIT")) == "CZ"
    assert payloads(listener.query("SELECT 1")) == ["a", "b"]


def test_a_transaction_that_only_tells_may_be_read_only(postgres: Server) -> None:
    assert "E" not in letters(postgres.connect().query("BEGIN READ ONLY; NOTIFY c; COMMIT"))


def test_the_dsql_profile_has_none_of_it(peer: Peer) -> None:
    for statement in ("LISTEN c", "NOTIFY c", "UNLISTEN c", "SELECT pg_notify('c', 'a')"):
        assert peer.fails(statement)[0] == "0A000"


class Feed:
    """One whose clock a test sets."""

    now = 5

    def latest(self) -> int:
        return self.now

    def join(self, *_: object) -> None:
        pass

    listen = join


class Transaction:
    notifications = ()


def listening_to(feed: Feed, *, ends: list[Exception], wakes: list[bool]) -> Listening:
    found = Listening(feed, lambda: wakes.append(True), ends.append)  # type: ignore[arg-type]
    found.act(1, "c", listens=True)
    found.prepare(Transaction())  # type: ignore[arg-type]
    found.commit(5)
    return found


def test_nothing_is_told_before_a_client_could_read_what_was_committed_with_it() -> None:
    feed, wakes = Feed(), list[bool]()
    listening = listening_to(feed, ends=[], wakes=wakes)
    for timestamp in (6, 8, 9):
        listening.hear(timestamp, (7, "c", str(timestamp)))
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        feed.now = 8 if now > 0.1 else 6

    waiter = Blocking(lambda: now, sleep)
    del wakes[:]
    assert [payload for _, _, payload in listening.take(waiter)] == ["6", "8"]
    assert wakes == [True]  # to be asked again
    feed.now = 9
    assert [payload for _, _, payload in listening.take(waiter)] == ["9"]
    assert listening.usage == 0


def test_who_does_not_take_what_it_hears_ends() -> None:
    """Its client is told so; it never misses something in silence."""
    ends: list[Exception] = []
    listening = listening_to(Feed(), ends=ends, wakes=[])
    for timestamp in range(6, 8 + HEARD_BYTES_MAX // 7999):
        assert not ends
        listening.hear(timestamp, (7, "c", "p" * 7999))
        if listening.usage > 1:
            break
    assert [type(error).__name__ for error in ends] == ["FatalError"]
