import re

import pytest
from memory_server import errors, letters, notices, rows, tags

from dsql.tls.connection import PlainConnection
from dsql.wire import client


def test_select_one_runs_through_a_session(peer):
    answers = peer.query("SELECT 1 AS one")
    assert letters(answers) == "TDCZ"
    assert client.column_names(answers[0][1]) == ["one"]
    assert rows(answers) == [[b"1"]]
    assert tags(answers) == ["SELECT 1"]
    assert answers[-1] == ("Z", b"I")


def test_an_empty_query_is_answered_as_such(peer):
    assert letters(peer.query("  -- nothing")) == "IZ"


def test_a_script_is_one_implicit_transaction(peer):
    peer.query("CREATE TABLE t (id int PRIMARY KEY)")
    answers = peer.query("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); SELECT 1/0")
    assert letters(answers) == "CCEZ"
    assert peer.rows("SELECT * FROM t") == []
    assert tags(peer.query("INSERT INTO t VALUES (1); SELECT * FROM t")) == [
        "INSERT 0 1",
        "SELECT 1",
    ]


def test_nothing_after_an_error_in_a_script_is_run(peer):
    assert letters(peer.query("SELECT 1; SELECT x; SELECT 2")) == "TDCEZ"


def test_an_error_has_its_position_in_the_script(peer):
    (fields,) = errors(peer.query("SELECT 1; SELECT nosuch"))
    assert (fields["S"], fields["C"], fields["P"]) == ("ERROR", "42703", "18")
    (fields,) = errors(peer.query("SELECT 1; SELECT 1; SELECT int 'x'"))
    assert (fields["C"], fields["P"]) == ("22P02", "32")


def test_a_syntax_error_runs_nothing(peer):
    answers = peer.query("SELECT 1; SELEC 2")
    assert letters(answers) == "EZ"
    assert errors(answers)[0]["C"] == "42601"


def test_a_row_begun_before_an_error_is_not_sent(peer):
    answers = peer.query("SELECT 1, 1 / (3 - x) FROM generate_series(1, 5) AS g(x)")
    assert letters(answers) == "TEZ"


def test_begin_and_commit_of_others_work_are_isolated(server):
    one, two = server.connect(), server.connect()
    one.query("CREATE TABLE t (id int PRIMARY KEY, n int)")
    one.query("INSERT INTO t VALUES (1, 0)")
    assert one.query("BEGIN")[-1] == ("Z", b"T")
    one.query("UPDATE t SET n = 1 WHERE id = 1")
    assert two.rows("SELECT n FROM t") == [[b"0"]]
    two.query("UPDATE t SET n = 2 WHERE id = 1")
    assert one.fails("COMMIT") == (
        "40001",
        "change conflicts with another transaction (OC000)",
    )
    assert one.rows("SELECT n FROM t") == [[b"2"]]


def test_a_writer_with_an_outdated_catalog_gets_oc001(server):
    one, two = server.connect(), server.connect()
    one.query("CREATE TABLE t (id int PRIMARY KEY, n int)")
    one.query("BEGIN")
    one.query("INSERT INTO t VALUES (1, 1)")
    two.query("ALTER TABLE t ADD COLUMN more text")
    assert one.fails("COMMIT") == (
        "40001",
        "schema has been updated by another transaction (OC001)",
    )


def test_a_failed_block_refuses_everything_but_its_end(peer):
    peer.query("BEGIN")
    assert peer.query("SELECT x")[-1] == ("Z", b"E")
    refused = ("LISTEN x", "SAVEPOINT a", "ROLLBACK TO a", "BEGIN ISOLATION LEVEL SERIALIZABLE")
    for text in ("SELECT 1", "BEGIN", "SHOW timezone", *refused):
        assert peer.fails(text)[0] == "25P02"
    answers = peer.query("COMMIT")
    assert tags(answers) == ["ROLLBACK"]
    assert answers[-1] == ("Z", b"I")


def test_needless_transaction_statements_are_warned_about(peer):
    assert [n["C"] for n in notices(peer.query("COMMIT"))] == ["25P01"]
    peer.query("BEGIN")
    (warning,) = notices(peer.query("BEGIN"))
    assert (warning["S"], warning["C"]) == ("WARNING", "25001")
    assert warning["M"] == "there is already a transaction in progress"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", "Unsupported isolation level: SERIALIZABLE"),
        (
            "SET TRANSACTION READ ONLY",
            'setting configuration parameter "TRANSACTION" not supported',
        ),
        ("BEGIN; SAVEPOINT a", "unsupported transaction statement: SAVEPOINT"),
        ("BEGIN; RELEASE a", "unsupported transaction statement: RELEASE"),
        ("BEGIN; ROLLBACK TO a", "unsupported transaction statement: ROLLBACK TO"),
        (
            "CREATE TABLE a (i int); CREATE TABLE b (i int)",
            "multiple ddl statements not supported in a transaction",
        ),
        (
            "CREATE TABLE a (i int PRIMARY KEY); INSERT INTO a VALUES (1)",
            "ddl and dml are not supported in the same transaction",
        ),
        ("TRUNCATE t", "unsupported statement: Truncate"),
        ("LOCK TABLE t", "unsupported statement: Lock"),
        ("LISTEN x", "unsupported statement: Listen"),
        ("DECLARE c CURSOR FOR SELECT 1", "unsupported statement: DeclareCursor"),
        ("EXPLAIN EXECUTE x", "unsupported statement: Execute"),
        ("VACUUM", "unsupported VACUUM statement"),
    ],
)
def test_what_aurora_dsql_refuses_is_refused_in_its_words(peer, script, message):
    assert peer.fails(script) == ("0A000", message)


def test_a_read_only_transaction_refuses_to_write(peer):
    peer.query("CREATE TABLE t (id int PRIMARY KEY)")
    peer.query("BEGIN READ ONLY")
    assert peer.fails("INSERT INTO t VALUES (1)") == (
        "25006",
        "cannot execute INSERT in a read-only transaction",
    )


def test_savepoints_take_back_what_came_after_them(postgres):
    peer = postgres.connect()
    peer.query("CREATE TABLE t (id int PRIMARY KEY)")
    peer.query("BEGIN; INSERT INTO t VALUES (1); SAVEPOINT a; INSERT INTO t VALUES (2)")
    peer.query("SET timezone TO 'Europe/Berlin'")
    assert peer.query("SELECT x")[-1] == ("Z", b"E")
    assert peer.query("ROLLBACK TO a")[-1] == ("Z", b"T")
    assert peer.rows("SELECT * FROM t") == [[b"1"]]
    assert peer.rows("SHOW timezone") == [[b"UTC"]]
    peer.query("INSERT INTO t VALUES (3); RELEASE a; COMMIT")
    assert peer.rows("SELECT * FROM t ORDER BY 1") == [[b"1"], [b"3"]]


def test_commit_and_chain_opens_the_next_block(postgres):
    peer = postgres.connect()
    peer.query("BEGIN READ ONLY")
    assert peer.query("COMMIT AND CHAIN")[-1] == ("Z", b"T")
    assert peer.fails("CREATE TABLE t (id int)")[0] == "25006"


def test_a_catalog_change_reaches_the_sessions_of_others(server):
    one, two = server.connect(), server.connect()
    assert two.fails("SELECT * FROM t")[0] == "42P01"
    one.query("CREATE TABLE t (id int PRIMARY KEY)")
    assert two.rows("SELECT * FROM t") == []


@pytest.mark.parametrize(
    "clause", ["FOR SHARE", "FOR NO KEY UPDATE", "FOR UPDATE FOR SHARE NOWAIT"]
)
def test_aurora_dsql_has_two_kinds_of_locks(peer, postgres, clause):
    other = postgres.connect()
    for session in (peer, other):
        session.query("CREATE TABLE t (id int PRIMARY KEY)")
    refused = "locking clauses other than FOR UPDATE/FOR KEY SHARE are not supported"
    assert peer.fails(f"SELECT * FROM t {clause}") == ("0A000", refused)
    assert other.rows(f"SELECT * FROM t {clause}") == []
    assert peer.rows("SELECT * FROM t FOR UPDATE NOWAIT") == []
    assert peer.rows("SELECT * FROM t FOR KEY SHARE SKIP LOCKED") == []


def test_explain_prints_the_plan(peer):
    answers = peer.query("EXPLAIN (COSTS OFF) SELECT 1")
    assert client.column_names(answers[0][1]) == ["QUERY PLAN"]
    assert rows(answers) == [[b"Result"]]
    assert peer.fails("EXPLAIN (NONSENSE) SELECT 1")[1] == 'unrecognized EXPLAIN option "nonsense"'


def test_explain_analyze_verbose_estimates_what_the_statement_cost(peer, postgres):
    peer.query("CREATE TABLE t (id int PRIMARY KEY, v text)")
    lines = [
        line.decode() for (line,) in peer.rows("EXPLAIN ANALYZE VERBOSE INSERT INTO t VALUES (1)")
    ]
    assert lines[0].startswith("Insert on public.t  (cost=")
    [identifier] = [line for line in lines if line.startswith("Query Identifier: ")]
    assert re.fullmatch("[a-z0-9]{13}", identifier.split()[-1])
    estimate = lines[lines.index("Statement DPU Estimate:") + 1 :]
    assert [line.split(":")[0] for line in estimate] == [
        "  Compute",
        "  Read",
        "  Write",
        "  Total",
    ]
    assert estimate[1] == "  Read: 0.00023 DPU (Transaction minimum: 0.00375)"  # is the key taken?
    assert estimate[2] == "  Write: 0.00625 DPU (Transaction minimum: 0.05000)"
    assert peer.rows("SELECT * FROM t") == [[b"1", None]]
    other = postgres.connect()
    assert not any(b"DPU" in line for (line,) in other.rows("EXPLAIN ANALYZE VERBOSE SELECT 1"))


@pytest.mark.parametrize(("of", "other", "same"), [("1", "22", True), ("1", "id", False)])
def test_query_identifiers_are_those_of_the_statement_without_its_constants(peer, of, other, same):
    peer.query("CREATE TABLE t (id int PRIMARY KEY, v text)")
    identifiers = {
        line
        for value in (of, other)
        for (line,) in peer.rows(f"EXPLAIN ANALYZE VERBOSE SELECT v FROM t WHERE id = {value}")
        if line.startswith(b"Query Identifier: ")
    }
    assert len(identifiers) == 2 - same


@pytest.mark.one_process
@pytest.mark.parametrize(
    ("query", "shared"),
    [
        ("SELECT v FROM t WHERE id = {}", True),
        ("SELECT v FROM t WHERE n = {}", True),
        ("SELECT v FROM t WHERE n = {} AND v = 'x'", False),  # is it the 'x' of the partial index?
        ("SELECT v FROM t WHERE n + {} = 3", False),  # is it the 1 of the other one?
    ],
)
def test_literals_that_decide_about_an_index_stay_in_the_statement(postgres, query, shared):
    peer = postgres.connect()
    peer.query("CREATE TABLE t (id int PRIMARY KEY, n int, v text)")
    peer.query("CREATE INDEX ON t (n) WHERE v = 'x'")
    peer.query("CREATE INDEX ON t ((n + 1))")
    peer.query("INSERT INTO t VALUES (1, 2, 'x')")
    counts = []
    for number in range(1, 4):
        before = len(postgres.environments[0].plans)
        peer.query(query.format(number))
        counts.append(len(postgres.environments[0].plans) - before)
    assert (counts[1:] == [0, 0]) is shared, counts


@pytest.mark.one_process
def test_queries_that_differ_in_literals_share_a_plan(server):
    peer = server.connect()
    peer.query("CREATE TABLE t (id int PRIMARY KEY, v text)")
    for number in range(5):
        peer.query(f"INSERT INTO t VALUES ({number}, 'v{number}')")
    plans = len(server.environments[0].plans)
    for number in range(5):
        assert peer.rows(f"SELECT v FROM t WHERE id = {number}") == [[b"v%d" % number]]
    assert len(server.environments[0].plans) == plans + 2  # the parsed text and its program


@pytest.mark.one_process
def test_the_statements_of_a_script_share_plans(server):
    peer = server.connect()
    plans = server.environments[0].plans
    assert tags(peer.query("SELECT 1; SELECT 2; SELECT 3;")) == ["SELECT 1"] * 3
    assert len(plans) == 3  # the parsed script, the parsed text of all three, and their program
    assert tags(peer.query("SELECT 1 -- one\n; SELECT 1 -- one\n;")) == ["SELECT 1"] * 2
    assert len(plans) == 5  # not to be normalised, and still compiled once


def test_a_literal_that_its_column_does_not_take_is_reported_at_its_place(peer):
    peer.query("CREATE TABLE t (id int PRIMARY KEY, v text)")
    assert peer.rows("SELECT v FROM t WHERE id = '1'") == []
    (fields,) = errors(peer.query("SELECT v FROM t WHERE id = 'x'"))
    assert (fields["C"], fields["P"]) == ("22P02", "28")
    assert peer.rows("SELECT v FROM t WHERE id = '1'") == []


def test_a_shared_plan_follows_the_catalog(server):
    one, two = server.connect(), server.connect()
    one.query("CREATE TABLE t (id int PRIMARY KEY)")
    assert one.rows("SELECT * FROM t WHERE id = 1") == []
    two.query("ALTER TABLE t ADD COLUMN v text")
    two.query("INSERT INTO t VALUES (2, 'b')")
    assert one.rows("SELECT * FROM t WHERE id = 2") == [[b"2", b"b"]]


def test_a_large_result_is_sent_while_it_is_made(server, monkeypatch):
    sent = []
    make = PlainConnection.__init__

    def watch(self, client, waiter):
        make(self, client, waiter)
        whole = self.send
        self.send = lambda data: (sent.append(len(data)), whole(data))[1]

    monkeypatch.setattr("dsql.tls.connection.PlainConnection.__init__", watch)
    answers = server.connect().query("SELECT repeat('x', 1000) FROM generate_series(1, 2000)")
    assert len(rows(answers)) == 2000
    assert max(sent) < 300_000


def test_a_script_that_failed_is_no_block_for_what_follows(postgres):
    peer = postgres.connect()
    assert not notices(peer.query("SET LOCAL timezone = 'UTC'; SELECT 1"))
    assert peer.fails("SELECT 1; SELECT 1 / 0")[0] == "22012"
    (warning,) = notices(peer.query("SET LOCAL timezone = 'UTC'"))
    assert warning["C"] == "25P01"
