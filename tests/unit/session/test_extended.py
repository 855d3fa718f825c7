import struct

from memory_server import errors, letters, rows, tags

from dsql.wire import client


def test_a_prepared_statement_is_bound_described_and_executed(peer):
    answers = peer.ask(
        client.parse("SELECT $1::int + 1 AS n", "s"),
        client.describe(b"S", "s"),
        client.bind([b"41"], statement="s"),
        client.describe(b"P"),
        client.execute(),
        client.sync(),
    )
    assert letters(answers) == "1tT2TDCZ"
    assert answers[1] == ("t", b"\0\1\0\0\0\x17")
    assert rows(answers) == [[b"42"]]


def test_binary_parameters_and_results(peer):
    answers = peer.ask(
        client.parse("SELECT $1::int + 1"),
        client.bind([b"\0\0\0\x29"], formats=[1], result_formats=[1]),
        client.execute(),
        client.sync(),
    )
    assert rows(answers) == [[b"\0\0\0\x2a"]]


def test_describe_never_executes(peer):
    peer.query("CREATE TABLE t (id int PRIMARY KEY)")
    answers = peer.ask(
        client.parse("INSERT INTO t VALUES (1) RETURNING id", "s"),
        client.describe(b"S", "s"),
        client.bind(statement="s"),
        client.describe(b"P"),
        client.sync(),
    )
    assert letters(answers) == "1tT2TZ"
    assert peer.rows("SELECT * FROM t") == []


def test_a_row_limit_suspends_the_portal(peer):
    answers = peer.ask(
        client.parse("SELECT * FROM generate_series(1, 5)"),
        client.bind(portal="p"),
        client.execute("p", 2),
        client.execute("p", 2),
        client.execute("p", 2),
        client.execute("p", 2),
        client.sync(),
    )
    assert letters(answers) == "12DDsDDsDCCZ"
    assert tags(answers) == ["SELECT 1", "SELECT 0"]


def test_portals_end_with_their_transaction(peer):
    peer.ask(client.parse("SELECT 1"), client.bind(portal="p"), client.sync())
    assert errors(peer.ask(client.execute("p"), client.sync()))[0]["C"] == "34000"


def test_a_portal_lives_on_in_a_block(peer):
    peer.query("BEGIN")
    script = client.parse("SELECT * FROM generate_series(1, 3)"), client.bind(portal="p")
    peer.ask(*script, client.execute("p", 1), client.sync())
    assert rows(peer.ask(client.execute("p"), client.sync())) == [[b"2"], [b"3"]]


def test_everything_up_to_sync_is_skipped_after_an_error(peer):
    answers = peer.ask(
        client.parse("SELECT x"),
        client.bind(),
        client.execute(),
        client.sync(),
        client.query("SELECT 1"),
    )
    assert letters(answers) == "EZ" or letters(answers) == "EZTDCZ"
    if letters(answers) == "EZ":
        answers = peer.until_ready()
    assert rows(answers) == [[b"1"]]


def test_a_pipeline_is_one_transaction_until_sync(peer):
    peer.query("CREATE TABLE t (id int PRIMARY KEY)")
    insert = client.parse("INSERT INTO t VALUES ($1)", "i")
    answers = peer.ask(
        insert,
        client.bind([b"1"], statement="i"),
        client.execute(),
        client.bind([b"1"], statement="i"),
        client.execute(),
        client.sync(),
    )
    assert errors(answers)[0]["C"] == "23505"
    assert peer.rows("SELECT * FROM t") == []


def test_pipelined_syncs_are_transactions_of_their_own(peer):
    peer.query("CREATE TABLE t (id int PRIMARY KEY)")
    peer.ask(client.parse("INSERT INTO t VALUES ($1)", "i"), client.sync())
    one = client.bind([b"1"], statement="i") + client.execute() + client.sync()
    peer.send(one, one, client.bind([b"2"], statement="i"), client.execute(), client.sync())
    answers = peer.until_ready()
    while letters(answers).count("Z") < 3:
        answers += peer.until_ready()
    assert letters(answers) == "2CZ2EZ2CZ"
    assert peer.rows("SELECT * FROM t") == [[b"1"], [b"2"]]


def test_flush_sends_without_ending_the_pipeline(peer):
    peer.send(client.parse("SELECT 1"), client.flush())
    assert letters(peer.until("1")) == "1"
    assert letters(peer.ask(client.sync())) == "Z"


def test_close_forgets_statements_known_or_not(peer):
    peer.ask(client.parse("SELECT 1", "s"), client.sync())
    answers = peer.ask(client.close(b"S", "s"), client.close(b"P", "no"), client.sync())
    assert letters(answers) == "33Z"
    (fields,) = errors(peer.ask(client.bind(statement="s"), client.sync()))
    assert (fields["C"], fields["M"]) == ("26000", 'prepared statement "s" does not exist')


def test_a_named_statement_is_not_replaced(peer):
    answers = peer.ask(client.parse("SELECT 1", "s"), client.parse("SELECT 2", "s"), client.sync())
    assert errors(answers)[0]["C"] == "42P05"


def test_several_statements_cannot_be_prepared(peer):
    (fields,) = errors(peer.ask(client.parse("SELECT 1; SELECT 2"), client.sync()))
    assert fields["M"] == "cannot insert multiple commands into a prepared statement"


def test_an_empty_statement_can_be_prepared(peer):
    answers = peer.ask(
        client.parse(""), client.bind(), client.describe(b"P"), client.execute(), client.sync()
    )
    assert letters(answers) == "12nIZ"


def test_bind_with_the_wrong_number_of_parameters_is_refused(peer):
    (fields,) = errors(
        peer.ask(client.parse("SELECT $1::int", "s"), client.bind(statement="s"), client.sync())
    )
    assert fields["C"] == "08P01"
    assert (
        fields["M"] == 'bind message supplies 0 parameters, but prepared statement "s" requires 1'
    )


def test_a_bad_parameter_is_named(peer):
    (fields,) = errors(peer.ask(client.parse("SELECT $1::int"), client.bind([b"x"]), client.sync()))
    assert (fields["C"], fields["W"]) == ("22P02", "unnamed portal parameter $1")


def test_a_broken_binary_parameter_is_refused(peer):
    bind = client.bind([bytes(5)], formats=[1])
    (fields,) = errors(peer.ask(client.parse("SELECT $1::int"), bind, client.sync()))
    assert (fields["C"], fields["W"]) == ("22P03", "unnamed portal parameter $1")
    assert fields["M"] == "incorrect binary data format in bind parameter 1"


def test_a_declared_type_that_does_not_exist_is_refused(peer):
    (fields,) = errors(peer.ask(client.parse("SELECT $1", types=(999_999,)), client.sync()))
    assert (fields["C"], fields["M"]) == ("42704", "type with OID 999999 does not exist")


def test_a_query_behind_an_error_is_skipped_up_to_sync(peer):
    answers = peer.ask(client.parse("selec"), client.query("SELECT 1"), client.sync())
    assert letters(answers) == "EZ"


def test_a_function_is_called_with_the_rights_and_in_the_transaction_of_the_session(peer):
    abs_int4 = struct.pack("!IHHi2sH", 1397, 0, 1, 2, b"-5", 0)
    assert peer.ask(client.message(b"F", abs_int4)) == [("V", b"\0\0\0\0015"), ("Z", b"I")]
    peer.query("BEGIN")
    assert peer.ask(client.message(b"F", abs_int4))[-1] == ("Z", b"T")
    peer.query("selec")
    answers = peer.ask(client.message(b"F", abs_int4))
    assert (errors(answers)[0]["C"], answers[-1]) == ("25P02", ("Z", b"E"))


def test_a_malformed_message_is_an_error_and_not_the_end(peer):
    answers = peer.ask(client.message(b"B", b"\0"), client.sync())
    assert errors(answers)[0]["C"] == "08P01"
    assert peer.rows("SELECT 1") == [[b"1"]]


def test_a_plan_follows_the_catalog_unless_its_result_changes(server):
    one, two = server.connect(), server.connect()
    one.query("CREATE TABLE t (id int PRIMARY KEY, n int)")
    one.ask(
        client.parse("SELECT * FROM t", "star"),
        client.parse("SELECT id FROM t", "id"),
        client.sync(),
    )
    two.query("ALTER TABLE t ADD COLUMN more text")
    run = client.execute() + client.sync()
    assert letters(one.ask(client.bind(statement="id"), run)) == "2CZ"
    (fields,) = errors(one.ask(client.bind(statement="star"), run))
    assert (fields["C"], fields["M"]) == ("0A000", "cached plan must not change result type")
    assert fields["R"] == "RevalidateCachedQuery"


def test_transaction_statements_work_in_the_extended_protocol(peer):
    run = client.bind() + client.execute() + client.sync()
    assert peer.ask(client.parse("BEGIN"), run)[-1] == ("Z", b"T")
    assert peer.ask(client.parse("SELECT x"), run)[-1] == ("Z", b"E")
    assert errors(peer.ask(client.parse("SELECT 1"), run))[0]["C"] == "25P02"
    assert tags(peer.ask(client.parse("COMMIT"), run)) == ["ROLLBACK"]


def test_show_is_described_by_its_column(peer):
    answers = peer.ask(client.parse("SHOW timezone"), client.describe(b"S"), client.sync())
    assert client.column_names(answers[2][1]) == ["TimeZone"]


def test_explain_has_the_parameters_of_its_query(peer):
    peer.query("CREATE TABLE e (id int PRIMARY KEY, b text)")
    answers = peer.ask(
        client.parse("EXPLAIN (ANALYZE, COSTS OFF) SELECT b FROM e WHERE id = $1"),
        client.describe(b"S"),
        client.bind([b"7"]),
        client.execute(),
        client.sync(),
    )
    assert letters(answers)[:4] == "1tT2"
    assert errors(answers) == []
    assert rows(answers)[-1][0].startswith(b"Execution Time")
    wrong = peer.ask(client.parse("EXPLAIN SELECT $1::int"), client.bind(), client.sync())
    assert errors(wrong)[0]["C"] == "08P01"


def test_prepared_statements_have_a_bound(peer, monkeypatch):
    monkeypatch.setattr("dsql.session.prepared.PREPARED_CHARACTERS_MAX", 20_000)
    many = [client.parse(f"SELECT {number}", f"s{number}") for number in range(5_000)]
    answers = peer.ask(*many, client.sync())
    assert errors(answers)[0]["C"] == "53200"
    assert 1_000 < letters(answers).count("1") < 4_000
    long = f"SELECT 1 WHERE '{'x' * 20_000}' <> ''"
    assert errors(peer.ask(client.parse(long, "long"), client.sync()))[0]["C"] == "53200"
    assert letters(peer.ask(client.parse(long), client.sync())) == "1Z"
    assert peer.rows("SELECT 1") == [[b"1"]]
    peer.query("DEALLOCATE ALL")
    assert letters(peer.ask(client.parse("SELECT 1", "again"), client.sync())) == "1Z"
