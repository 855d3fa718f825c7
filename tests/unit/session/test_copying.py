import random

import pytest
from memory_server import errors, letters, notices, rows, tags

from dsql.wire import client


@pytest.fixture
def table(peer):
    peer.query("CREATE TABLE t (id int PRIMARY KEY, v text DEFAULT 'd')")
    return peer


def copy_in(peer, statement: str, *chunks: bytes):
    peer.send(client.query(statement))
    assert letters(peer.until("G")) == "G"
    return peer.ask(*[client.copy_data(chunk) for chunk in chunks], client.copy_done())


def data(answers) -> bytes:
    return b"".join(body for kind, body in answers if kind == "d")


def test_text_rows_come_in(table):
    answers = copy_in(table, "COPY t FROM STDIN", b"1\ta", b"\n2\t\\N\n", b"3\tc")
    assert tags(answers) == ["COPY 3"]
    assert table.rows("SELECT * FROM t ORDER BY id") == [[b"1", b"a"], [b"2", None], [b"3", b"c"]]


def test_csv_with_a_column_list_takes_defaults_for_the_rest(table):
    copy_in(table, "COPY t (id) FROM STDIN (FORMAT csv, HEADER)", b"id\r\n7\r\n")
    assert table.rows("SELECT * FROM t") == [[b"7", b"d"]]


def test_binary_goes_out_and_comes_back(table):
    copy_in(table, "COPY t FROM STDIN", b"1\ta\n2\tb\n")
    taken = data(table.query("COPY t TO STDOUT (FORMAT binary)"))
    table.query("DELETE FROM t")
    assert tags(copy_in(table, "COPY t FROM STDIN (FORMAT binary)", taken)) == ["COPY 2"]
    assert table.rows("SELECT id FROM t ORDER BY 1") == [[b"1"], [b"2"]]


def test_tables_and_queries_go_out(table):
    copy_in(table, "COPY t FROM STDIN", b"1\ta b\n2\t\\N\n")
    answers = table.query("COPY t TO STDOUT")
    assert letters(answers) == "HddcCZ"
    assert data(answers) == b"1\ta b\n2\t\\N\n"
    answers = table.query(
        "COPY (SELECT v, id FROM t ORDER BY id DESC) TO STDOUT (FORMAT csv, HEADER)"
    )
    assert data(answers) == b"v,id\n,2\na b,1\n"


@pytest.mark.parametrize(
    ("statements", "before_the_error"),
    [
        ("COPY large TO STDOUT; SELECT * FROM nope", "COPY 4000"),
        ("COPY large TO STDOUT; BEGIN; SELECT * FROM nope", "BEGIN"),
        ("BEGIN; COPY large TO STDOUT; SHOW datestyle; SELECT * FROM nope", "SHOW"),
    ],
)
def test_an_error_behind_a_large_copy_takes_nothing_back(peer, statements, before_the_error):
    peer.query("CREATE TABLE large (id int PRIMARY KEY, v text)")
    for start in (0, 2000):
        values = ", ".join(f"({n}, '{'x' * 100}')" for n in range(start, start + 2000))
        peer.query(f"INSERT INTO large VALUES {values}")
    answers = peer.query(statements)
    assert data(answers).count(b"\n") == 4000
    assert letters(answers).endswith("CEZ")
    assert tags(answers)[-1] == before_the_error


def test_copy_fail_ends_the_copy_and_its_rows(table):
    table.send(client.query("COPY t FROM STDIN"))
    table.until("G")
    answers = table.ask(client.copy_data(b"1\ta\n"), client.copy_fail("enough"))
    (fields,) = errors(answers)
    assert (fields["C"], fields["M"]) == ("57014", "COPY from stdin failed: enough")
    assert table.rows("SELECT * FROM t") == []


def test_what_is_sent_after_an_error_is_read_over(table):
    table.send(client.query("COPY t FROM STDIN"))
    table.until("G")
    table.send(client.copy_data(b"x\ta\n"), client.copy_data(b"1\ta\n"), client.copy_done())
    (fields,) = errors(table.until_ready())
    assert fields["C"] == "22P02"
    assert fields["W"] == 'COPY t, line 1, column id: "x"'
    assert table.rows("SELECT 1") == [[b"1"]]


def test_copy_in_the_extended_protocol_waits_for_sync(table):
    table.send(client.parse("COPY t FROM STDIN"), client.bind(), client.execute())
    table.send(client.sync(), client.copy_data(b"1\ta\n"), client.copy_done(), client.sync())
    answers = table.until_ready()
    assert letters(answers) == "12GCZ"
    assert rows(table.query("SELECT id FROM t")) == [[b"1"]]


def test_another_message_during_copy_is_an_error(table):
    table.send(client.query("COPY t FROM STDIN"))
    table.until("G")
    (fields,) = errors(table.ask(client.query("SELECT 1")))
    assert fields["M"] == "unexpected message type 0x51 during COPY from stdin"


@pytest.mark.parametrize(
    ("statement", "sqlstate"),
    [
        ("COPY t FROM '/etc/passwd'", "42501"),
        ("COPY t FROM PROGRAM 'ls'", "42501"),
        ("COPY nosuch FROM STDIN", "42P01"),
        ("COPY t (nosuch) FROM STDIN", "42703"),
        ("COPY t (id, id) FROM STDIN", "42701"),
        ("COPY t FROM STDIN (FORMAT csv, FORCE_NULL (x))", "42P10"),
        ("COPY t FROM STDIN (DELIMITER 'ab')", "0A000"),
    ],
)
def test_what_cannot_be_copied_is_refused(table, statement, sqlstate):
    assert table.fails(statement)[0] == sqlstate


def test_a_duplicate_key_names_its_line(table):
    answers = copy_in(table, "COPY t FROM STDIN", b"1\ta\n1\tb\n")
    (fields,) = errors(answers)
    assert (fields["C"], fields["W"]) == ("23505", "COPY t, line 2")


def test_a_large_copy_is_committed_in_batches_in_the_postgres_profile(postgres, monkeypatch):
    monkeypatch.setattr("dsql.session.copying._BATCH_BYTES", 10)
    monkeypatch.setattr("dsql.session.copying._CHUNK_BYTES", 1)
    peer = postgres.connect()
    peer.query("CREATE TABLE t (id int PRIMARY KEY)")
    before = postgres.store.now
    answers = copy_in(peer, "COPY t FROM STDIN", b"1\n2\n3\n4\n5\n", b"6\n7\n8\n9\n0\n")
    assert tags(answers) == ["COPY 10"]
    assert postgres.store.now - before >= 2
    assert peer.rows("SELECT count(*) FROM t") == [[b"10"]]


def test_a_copy_in_batches_inside_a_block_warns_that_a_rollback_will_not_undo_it(
    postgres, monkeypatch
):
    monkeypatch.setattr("dsql.session.copying._BATCH_ROWS", 2)
    monkeypatch.setattr("dsql.session.copying._CHUNK_BYTES", 1)
    peer = postgres.connect()
    peer.query("CREATE TABLE t (id int PRIMARY KEY)")
    peer.query("BEGIN")
    answers = copy_in(peer, "COPY t FROM STDIN", *(b"%d\n" % number for number in range(9)))
    assert tags(answers) == ["COPY 9"]
    assert [fields["S"] for fields in notices(answers)] == ["WARNING"]
    peer.query("ROLLBACK")
    assert peer.rows("SELECT count(*) > 0 FROM t") == [[b"t"]]


def test_an_error_names_the_line_among_those_that_came_at_once(table):
    answers = copy_in(table, "COPY t FROM STDIN", b"1\ta\n2\tb\n", b"3\tc\nx\td\n5\te\n")
    (fields,) = errors(answers)
    assert fields["W"] == 'COPY t, line 4, column id: "x"'


def test_a_bug_in_the_quick_way_of_loading_is_not_hidden_by_the_other(table, monkeypatch):
    def fail(*arguments: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr("dsql.executor.compiler.CompiledProgram.load_new", fail)
    (fields,) = errors(copy_in(table, "COPY t FROM STDIN", b"1\ta\n"))
    assert fields["C"] == "XX000"
    assert table.rows("SELECT * FROM t") == []


@pytest.mark.parametrize("replaced", [False, True])
def test_more_bytes_than_a_transaction_holds_are_refused_and_nothing_is_kept(table, replaced):
    chance = random.Random(1)  # what can be compressed would fit
    wide = [b"%d\t%s\n" % (n, chance.randbytes(450_000).hex().encode()) for n in range(26)]
    table.query("INSERT INTO t SELECT generate_series(0, 25)")
    table.query("BEGIN")
    table.query("DELETE FROM t")
    if not replaced:
        table.query("COMMIT")
    (error,) = errors(copy_in(table, "COPY t FROM STDIN", *wide))
    assert (error["C"], error["M"]) == ("54000", "transaction size limit 10mb exceeded")
    table.query("ROLLBACK")
    assert table.rows("SELECT count(*) FROM t") == [[b"26" if replaced else b"0"]]
    table.query("DELETE FROM t")
    assert tags(copy_in(table, "COPY t FROM STDIN", *wide[:3])) == ["COPY 3"]


def test_only_the_dsql_profile_counts_the_rows_of_a_transaction(table, postgres):
    rows_of_3001 = b"".join(b"%d\n" % number for number in range(3_001))
    (error,) = errors(copy_in(table, "COPY t (id) FROM STDIN", rows_of_3001))
    assert (error["C"], error["M"]) == ("54000", "transaction row limit exceeded")
    assert table.rows("SELECT count(*) FROM t") == [[b"0"]]
    other = postgres.connect()
    other.query("CREATE TABLE t (id int PRIMARY KEY)")
    assert tags(copy_in(other, "COPY t FROM STDIN", rows_of_3001)) == ["COPY 3001"]
