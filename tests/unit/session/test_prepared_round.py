"""Rounds in one packet have the answers that their messages have one by one."""

import sys

import pytest
from memory_server import MOVES, errors, letters, rows, tags

from dsql.wire import client

CALLS_MAX = 45  # of functions in Python, from the bytes that have come to those that are sent
DESCRIBED = (client.describe(b"P"), client.execute(), client.sync())


@pytest.fixture
def prepared(peer):
    peer.query("CREATE TABLE t (id int PRIMARY KEY, name text)")
    peer.query("INSERT INTO t VALUES (1, 'one'), (2, 'two')")
    peer.ask(client.parse("SELECT name FROM t WHERE id = $1", "s"), client.sync())
    return peer


def one_by_one(peer, *messages):
    for message in messages[:-1]:
        peer.send(message + client.message(b"H", b""))
    return peer.ask(messages[-1])


@pytest.mark.parametrize("values", [[b"1"], [b"3"], [None], [b"x"], [b"1", b"2"], [b"99999999999"]])
def test_a_round_in_one_packet_is_answered_like_its_messages(prepared, values):
    prepared.ask(client.bind([b"1"], statement="s"), *DESCRIBED)
    bind = client.bind(values, statement="s")
    assert prepared.ask(bind, *DESCRIBED) == one_by_one(prepared, bind, *DESCRIBED)


def test_rounds_differ_in_formats_and_descriptions(prepared):
    for formats, value in (([], b"2"), ([1], b"\0\0\0\2"), ([0], b"2")):
        bind = client.bind([value], statement="s", formats=formats, result_formats=formats)
        assert letters(prepared.ask(bind, *DESCRIBED)) == "2TDCZ"
        answers = prepared.ask(bind, client.execute(), client.sync())
        assert letters(answers) == "2DCZ"
        assert rows(answers) == [[b"two"]]


def test_a_round_sees_what_was_committed_and_altered_since(prepared):
    bind = client.bind([b"1"], statement="s")
    assert rows(prepared.ask(bind, *DESCRIBED)) == [[b"one"]]
    prepared.query("UPDATE t SET name = 'uno' WHERE id = 1")
    assert rows(prepared.ask(bind, *DESCRIBED)) == [[b"uno"]]
    prepared.query("ALTER TABLE t RENAME COLUMN id TO number")
    assert errors(prepared.ask(bind, *DESCRIBED))[0]["C"] == "42703"


def test_a_closed_statement_answers_no_more_rounds(prepared):
    bind = client.bind([b"1"], statement="s")
    prepared.ask(bind, *DESCRIBED)
    prepared.ask(client.close(b"S", "s"), client.sync())
    assert errors(prepared.ask(bind, *DESCRIBED))[0]["C"] == "26000"


def test_rounds_in_a_block_write_and_leave_a_portal_that_is_spent(prepared):
    prepared.ask(client.parse("UPDATE t SET name = $1 WHERE id = 1", "u"), client.sync())
    prepared.query("BEGIN")
    bind = client.bind([b"uno"], statement="u")
    answers = prepared.ask(bind, *DESCRIBED)
    assert letters(answers) == "2nCZ"
    assert answers[-1] == ("Z", b"T")
    assert tags(answers) == ["UPDATE 1"]
    select = client.bind([b"1"], statement="s")
    assert rows(prepared.ask(select, *DESCRIBED)) == [[b"uno"]]
    assert letters(prepared.ask(client.execute(), client.sync())) == "CZ"
    prepared.query("ROLLBACK")
    assert rows(prepared.ask(select, *DESCRIBED)) == [[b"one"]]


def test_an_error_in_a_round_fails_the_block(prepared):
    prepared.ask(client.parse("SELECT 1 / $1::int", "d"), client.sync())
    prepared.query("BEGIN")
    for value in (b"1", b"0"):
        answers = prepared.ask(client.bind([value], statement="d"), *DESCRIBED)
    assert letters(answers) == "2TEZ"
    assert answers[-1] == ("Z", b"E")
    answers = prepared.ask(client.bind([b"1"], statement="d"), *DESCRIBED)
    assert errors(answers)[0]["C"] == "25P02"


def test_rounds_are_skipped_until_the_sync_of_a_failed_pipeline(prepared):
    bind = client.bind([b"1"], statement="s")
    prepared.ask(bind, *DESCRIBED)
    prepared.send(client.bind([b"x"], statement="s"), client.message(b"H", b""))
    prepared.until("E")
    assert letters(prepared.ask(bind, *DESCRIBED)) == "Z"


def test_a_round_in_pieces_is_put_together(prepared):
    data = b"".join((client.bind([b"1"], statement="s"), *DESCRIBED))
    prepared.ask(data)
    for cut in (3, len(data) - 20, len(data) - 1):
        prepared.send(data[:cut])
        assert rows(prepared.ask(data[cut:])) == [[b"one"]]


def rounds(peer, *texts):
    """Prepare each text and run it twice in one packet; return the answers to the second run."""
    answers = []
    for text in texts:
        peer.ask(client.parse(text, text), client.sync())
    for _ in range(2):
        answers = [peer.ask(client.bind(statement=text), *DESCRIBED) for text in texts]
    return answers


def test_a_block_of_rounds_commits(prepared):
    answers = rounds(prepared, "BEGIN", "DELETE FROM t WHERE id = 1", "COMMIT")
    assert [letters(answer) for answer in answers] == ["2nCZ"] * 3
    assert [tags(answer) for answer in answers] == [["BEGIN"], ["DELETE 0"], ["COMMIT"]]
    assert [answer[-1][1] for answer in answers] == [b"T", b"T", b"I"]
    assert prepared.rows("SELECT id FROM t") == [[b"2"]]


def test_a_block_of_rounds_rolls_back(prepared):
    answers = rounds(prepared, "START TRANSACTION", "DELETE FROM t", "ROLLBACK")
    assert [tags(answer) for answer in answers] == [
        ["START TRANSACTION"],
        ["DELETE 2"],
        ["ROLLBACK"],
    ]
    assert len(prepared.rows("SELECT id FROM t")) == 2


@pytest.mark.parametrize("text", ["BEGIN", "SAVEPOINT a", "RELEASE a", "ROLLBACK TO a"])
@pytest.mark.parametrize("ask", [lambda peer, *round_: peer.ask(*round_), one_by_one])
def test_a_transaction_statement_leaves_a_portal_that_cannot_be_run(postgres, text, ask):
    peer = postgres.connect()
    peer.ask(client.parse(text, "t"), client.sync())
    if text != "BEGIN":
        peer.query("BEGIN; SAVEPOINT a")
    ask(peer, client.bind(statement="t"), *DESCRIBED)
    assert letters(peer.ask(client.describe(b"P"), client.sync())) == "nZ"
    (failed,) = errors(peer.ask(client.execute(), client.sync()))
    assert failed["C"] == "55000"


def test_rounds_of_transaction_statements_warn_like_their_messages(prepared):
    (answer,) = rounds(prepared, "COMMIT")
    assert letters(answer) == "2nNCZ"
    prepared.query("BEGIN")
    (answer,) = rounds(prepared, "BEGIN")
    assert letters(answer) == "2nNCZ"
    assert (
        letters(prepared.ask(client.bind(statement="COMMIT"), client.execute(), client.sync()))
        == "2CZ"
    )


def test_a_failed_block_is_ended_by_a_round(prepared):
    rounds(prepared, "BEGIN", "COMMIT")
    prepared.ask(client.bind(statement="BEGIN"), *DESCRIBED)
    prepared.query("SELECT 1 / 0")
    refused = prepared.ask(client.bind(statement="BEGIN"), *DESCRIBED)
    assert errors(refused)[0]["C"] == "25P02"
    assert tags(prepared.ask(client.bind(statement="COMMIT"), *DESCRIBED)) == ["ROLLBACK"]


def test_a_conflict_at_the_round_of_a_commit_is_an_error_of_that_round(server, prepared):
    rounds(prepared, "BEGIN", "UPDATE t SET name = 'x' WHERE id = 1", "COMMIT")
    other = server.connect()
    prepared.ask(client.bind(statement="BEGIN"), *DESCRIBED)
    prepared.ask(client.bind(statement="UPDATE t SET name = 'x' WHERE id = 1"), *DESCRIBED)
    other.query("UPDATE t SET name = 'y' WHERE id = 1")
    answers = prepared.ask(client.bind(statement="COMMIT"), *DESCRIBED)
    assert letters(answers) == "2nEZ"
    assert (errors(answers)[0]["C"], answers[-1][1]) == ("40001", b"I")


def test_values_for_a_transaction_statement_are_refused(prepared):
    rounds(prepared, "ROLLBACK")
    answers = prepared.ask(client.bind([b"1"], statement="ROLLBACK"), *DESCRIBED)
    assert errors(answers)[0]["C"] == "08P01"


@pytest.mark.skipif(MOVES, reason="a session that moves has a new connection each time")
def test_a_point_read_outside_of_a_block_takes_few_calls(server, prepared):
    bind = client.bind([b"1"], statement="s")
    prepared.ask(bind, *DESCRIBED)
    calls, rounds = [], []
    connection = server.sessions[-1]._connection
    receive = connection.receive

    def note(frame, event, _):
        if event == "call":
            calls.append(frame.f_code.co_name)

    def hear():
        sys.setprofile(None)
        rounds.append(calls.copy())
        calls.clear()
        data = receive()
        sys.setprofile(note)
        return data

    connection.receive = hear
    try:
        for _ in range(5):
            prepared.ask(bind, *DESCRIBED)
    finally:
        connection.receive = receive
    names = rounds[2]  # the first begins in the midst of a round, before the second it was not warm
    assert "get" in names
    assert len(names) <= CALLS_MAX, names
