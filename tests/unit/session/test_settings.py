import pytest
from memory_server import Server, letters, notices

from dsql.session.parameters import split_names


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SET timezone TO 'europe/berlin'", "Europe/Berlin"),
        ("SET TIME ZONE -8", "<-08>+08"),
        ("SET TIME ZONE 5.5", "<+05:30>-05:30"),
        ("SET TIME ZONE LOCAL", "UTC"),
        ("SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE", "<+02>-02"),
    ],
)
def test_time_zones_are_spelled_as_postgresql_does(peer, statement, shown):
    peer.query(statement)
    assert peer.rows("SHOW TimeZone") == [[shown.encode()]]


@pytest.mark.parametrize(
    ("statement", "sqlstate", "message"),
    [
        (
            "SET statement_timeout = 0",
            "0A000",
            'setting configuration parameter "statement_timeout" not supported',
        ),
        (
            "SET client_min_messages TO warning",
            "0A000",
            'setting configuration parameter "client_min_messages" not supported',
        ),
        ("SET ROLE admin", "0A000", 'setting configuration parameter "role" not supported'),
        (
            "SET TRANSACTION READ ONLY",
            "0A000",
            'setting configuration parameter "TRANSACTION" not supported',
        ),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            "0A000",
            'setting configuration parameter "SESSION CHARACTERISTICS" not supported',
        ),
        ("SHOW lc_collate", "42704", 'unrecognized configuration parameter "lc_collate"'),
        ("SET timezone TO 'x'", "22023", 'invalid value for parameter "TimeZone": "x"'),
        (
            "SET intervalstyle TO 'x'",
            "22023",
            'invalid value for parameter "IntervalStyle": "x"',
        ),
    ],
)
def test_the_dsql_profile_allows_a_short_list(peer, statement, sqlstate, message):
    assert peer.fails(statement) == (sqlstate, message)


@pytest.mark.parametrize(
    ("statement", "name", "shown"),
    [
        ("SET statement_timeout = '90s'", "statement_timeout", b"90s"),
        ("SET statement_timeout = 120000", "statement_timeout", b"2min"),
        ("SET work_mem = '64MB'", "work_mem", b"64MB"),
        ("SET work_mem = 2048", "work_mem", b"2MB"),
        ("SET random_page_cost TO 1.5", "random_page_cost", b"1.5"),
        ("SET row_security = off", "row_security", b"off"),
        ("SET client_min_messages TO warning", "client_min_messages", b"warning"),
        ("SET datestyle TO german", "datestyle", b"German, DMY"),
        ('SET search_path TO "A b", public', "search_path", b'"A b", public'),
        ("SET NAMES 'utf-8'", "client_encoding", b"UTF8"),
        ("SET my.own = 'x'", "my.own", b"x"),
    ],
)
def test_the_postgres_profile_takes_every_parameter(postgres, statement, name, shown):
    peer = postgres.connect()
    peer.query(statement)
    assert peer.rows(f"SHOW {name}") == [[shown]]


@pytest.mark.parametrize(
    ("name", "sqlstate"),
    [
        ("euc_tw", "0A000"),
        ("mule_internal", "0A000"),
        ("nosuch", "22023"),
        ("", "22023"),
    ],
)
def test_other_encodings_are_refused_on_every_road(postgres, name, sqlstate):
    peer = postgres.connect()
    peer.query("CREATE ROLE other")
    message = f'invalid value for parameter "client_encoding": "{name}"'
    for statement in (
        f"SET client_encoding = '{name}'",
        f"SET NAMES '{name}'",
        f"SELECT set_config('client_encoding', '{name}', false)",
        f"ALTER ROLE other SET client_encoding = '{name}'",
    ):
        assert peer.fails(statement) == (sqlstate, message)
    assert postgres.refuses(client_encoding=name)["C"] == sqlstate
    assert postgres.refuses(options=f"-c client_encoding={name}")["C"] == sqlstate


@pytest.mark.parametrize(
    ("statement", "sqlstate", "message"),
    [
        ("SET nosuch = 1", "42704", 'unrecognized configuration parameter "nosuch"'),
        ("SET server_version = 1", "55P02", 'parameter "server_version" cannot be changed'),
        ("SET row_security = maybe", "22023", 'parameter "row_security" requires a Boolean value'),
        (
            "SET extra_float_digits = 9",
            "22023",
            '9 is outside the valid range for parameter "extra_float_digits" (-15 .. 3)',
        ),
        (
            "SET work_mem = '5 parsecs'",
            "22023",
            'invalid value for parameter "work_mem": "5 parsecs"',
        ),
    ],
)
def test_bad_values_are_refused_as_postgresql_does(postgres, statement, sqlstate, message):
    assert postgres.connect().fails(statement) == (sqlstate, message)


ROADS = (
    "SET dsql.profile = postgres",
    'SET "DSQL.Profile" = postgres',
    "SET LOCAL dsql.profile = postgres",
    "RESET dsql.profile",
    "SELECT set_config('dsql.PROFILE', 'postgres', false)",
)


@pytest.mark.parametrize("statement", ROADS)
def test_the_profile_belongs_to_the_cluster(peer, statement):
    refused = ("42501", 'permission denied to set parameter "dsql.profile"')
    assert peer.fails(statement) == refused
    peer.query("RESET ALL")
    peer.query("DISCARD ALL")
    assert peer.rows("SHOW dsql.profile") == [[b"dsql"]]


@pytest.mark.parametrize(
    "parameters",
    [{"dsql.profile": "postgres"}, {"options": "-c DSQL.profile=postgres"}],
)
def test_the_profile_is_no_startup_parameter(server, parameters):
    error = server.refuses(**parameters)
    assert (error["S"], error["C"]) == ("FATAL", "42501")
    assert error["M"] == 'permission denied to set parameter "dsql.profile"'


def test_a_cluster_may_let_sessions_choose_their_profile():
    server = Server("dsql", profile_changes=True)
    peer = server.connect()
    assert peer.fails("SET statement_timeout = 0")[0] == "0A000"
    peer.query("SET dsql.profile = postgres")
    peer.query("SET statement_timeout = 0")
    assert peer.rows("SHOW dsql.profile") == [[b"postgres"]]
    server.stop()


@pytest.mark.parametrize(
    ("name", "sqlstate", "message"),
    [
        ("nope", "42704", 'unrecognized configuration parameter "nope"'),
        ("time\u212aone", "42704", 'unrecognized configuration parameter "time\u212aone"'),
        ("a.1", "42602", 'invalid configuration parameter name "a.1"'),
        ("a..b", "42602", 'invalid configuration parameter name "a..b"'),
        ("a.b c", "42602", 'invalid configuration parameter name "a.b c"'),
        ("a.", "42602", 'invalid configuration parameter name "a."'),
        ("dsql.nope", "42602", 'invalid configuration parameter name "dsql.nope"'),
        ("server_version", "55P02", 'parameter "server_version" cannot be changed'),
        ("lc_messages", "42501", 'permission denied to set parameter "lc_messages"'),
        ("Role", "22023", 'role "x" does not exist'),
        ("Session_Authorization", "22023", 'role "x" does not exist'),
    ],
)
def test_every_road_to_a_parameter_has_the_same_check(postgres, name, sqlstate, message):
    peer = postgres.connect()
    assert peer.fails(f"SET \"{name}\" = 'x'") == (sqlstate, message)
    assert peer.fails(f"SELECT set_config('{name}', 'x', true)") == (sqlstate, message)
    assert peer.fails(f"BEGIN; SET LOCAL \"{name}\" = 'x'") == (sqlstate, message)
    error = postgres.refuses(**{name: "x"})
    assert (error["S"], error["C"], error["M"]) == ("FATAL", sqlstate, message)


def test_the_dsql_profile_ignores_startup_parameters_that_nobody_may_set(server):
    peer = server.connect(role="nope", options="-c statement_timeout=1")
    assert peer.rows("SHOW statement_timeout") == [[b"0"]]


@pytest.mark.parametrize("given", [{"nope": "1"}, {"options": "-c nope=1"}])
def test_both_profiles_refuse_startup_parameters_that_do_not_exist(server, postgres, given):
    for profile in (server, postgres):
        error = profile.refuses(**given)
        assert (error["S"], error["C"]) == ("FATAL", "42704")
        assert error["M"] == 'unrecognized configuration parameter "nope"'


def test_names_fold_as_postgresqls_do(postgres):
    peer = postgres.connect(TIMEZONE="Asia/Tokyo", options="-c Sort_Mem=1MB")
    assert peer.rows("SHOW timezone") == [[b"Asia/Tokyo"]]
    assert peer.rows("SHOW work_mem") == [[b"1MB"]]
    peer.query("SET \"My.Own\" = 'x'")
    assert peer.rows("SHOW my.own") == [[b"x"]]


def test_reset_makes_a_custom_parameter_empty(postgres):
    peer = postgres.connect()
    assert peer.fails("SHOW a.b")[0] == "42704"
    peer.query("RESET a.b")
    assert peer.rows("SHOW a.b") == [[b""]]
    peer.query("SET a.b = 'x'; SELECT set_config('a.b', NULL, false)")
    assert peer.rows("SHOW a.b") == [[b""]]


@pytest.mark.parametrize("profile", ["dsql", "postgres"])
@pytest.mark.parametrize(
    "statement",
    ["RESET ROLE", "RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION DEFAULT"],
)
def test_a_role_can_always_be_given_up(profile, statement):
    server = Server(profile)
    peer = server.connect()
    peer.query(f"BEGIN; SET LOCAL ROLE admin; {statement}")
    assert peer.rows("SHOW role") == [[b"none"]]
    server.stop()


def test_set_is_undone_with_its_transaction(peer):
    peer.query("BEGIN; SET application_name = 'a'; ROLLBACK")
    assert peer.rows("SHOW application_name") == [[b""]]
    peer.query("SET application_name = 'b'; SELECT 1/0")
    assert peer.rows("SHOW application_name") == [[b""]]
    peer.query("BEGIN; SET application_name = 'c'; COMMIT")
    assert peer.rows("SHOW application_name") == [[b"c"]]


def test_set_local_ends_with_its_transaction(peer):
    peer.query("SET application_name = 'a'")
    peer.query("BEGIN; SET LOCAL application_name = 'b'")
    assert peer.rows("SHOW application_name") == [[b"b"]]
    peer.query("COMMIT")
    assert peer.rows("SHOW application_name") == [[b"a"]]
    answers = peer.query("SET LOCAL application_name = 'c'")
    assert notices(answers)[0]["M"] == "SET LOCAL can only be used in transaction blocks"
    assert peer.rows("SHOW application_name") == [[b"a"]]


def test_changes_of_reported_parameters_are_reported_before_the_next_turn(peer):
    answers = peer.query("SET application_name = 'a'")
    assert letters(answers) == "CSZ"
    assert answers[1] == ("S", b"application_name\0a\0")
    assert letters(peer.query("SET application_name = 'a'")) == "CZ"
    assert letters(peer.query("SET enable_seqscan = off")) == "CZ"


def test_functions_read_and_set_parameters(peer):
    assert peer.rows("SELECT set_config('application_name', 'f', false)") == [[b"f"]]
    assert peer.rows("SELECT current_setting('application_name')") == [[b"f"]]


def test_text_formats_follow_the_settings(peer):
    text = "SELECT timestamptz '2024-01-02 03:04:05+00'"
    assert peer.rows(text) == [[b"2024-01-02 03:04:05+00"]]
    peer.query("SET timezone TO 'Asia/Tokyo'; SET datestyle TO 'SQL, DMY'")
    assert peer.rows(text) == [[b"02/01/2024 12:04:05 JST"]]


def test_show_all_lists_name_setting_and_description(peer):
    found = {row[0]: row[1] for row in peer.rows("SHOW ALL")}
    assert found[b"server_version"] == b"16.15"
    assert found[b"transaction_isolation"] == b"repeatable read"


@pytest.mark.parametrize(
    ("text", "names"),
    [("", []), ('"$user", public', ["$user", "public"]), ('A,"B""c"', ["a", 'B"c'])],
)
def test_name_lists_are_split(text, names):
    assert split_names(text) == names
