import pytest
from memory_server import ARN, Peer, Server, errors, tags


def make_role(admin: Peer, name: str) -> None:
    admin.query(f"CREATE ROLE {name} WITH LOGIN")
    admin.query(f"AWS IAM GRANT {name} TO '{ARN}'")


def drop_role(admin: Peer, name: str) -> None:
    admin.query(f"AWS IAM REVOKE {name} FROM '{ARN}'")
    admin.query(f"DROP ROLE {name}")


@pytest.mark.parametrize("profile", ["dsql", "postgres"])
@pytest.mark.parametrize(
    "statement",
    ["SELECT 1", "SHOW timezone", "SELECT current_user", "CREATE TABLE t (a int)", "FETCH c"],
)
def test_a_dropped_roles_session_ends_with_its_next_statement(profile, statement):
    server = Server(profile)
    admin = server.connect()
    make_role(admin, "one")
    one = server.connect(user="one")
    assert one.rows("SELECT 1") == [[b"1"]]
    drop_role(admin, "one")
    make_role(admin, "one")  # a namesake, which inherits nothing
    error = errors(one.ask_for_the_last_time(statement))[0]
    assert (error["S"], error["C"]) == ("FATAL", "57P01")
    assert error["M"] == "terminating connection because its role was dropped"
    server.stop()


@pytest.mark.parametrize("statement", ["BEGIN; COMMIT", "BEGIN; ROLLBACK", "COMMIT", "END"])
def test_a_dropped_roles_session_ends_with_an_empty_transaction(postgres, statement):
    admin = postgres.connect()
    make_role(admin, "one")
    one = postgres.connect(user="one")
    assert tags(one.query("BEGIN; COMMIT")) == ["BEGIN", "COMMIT"]
    drop_role(admin, "one")
    assert errors(one.ask_for_the_last_time(statement))[0]["C"] == "57P01"


def test_a_role_can_be_set_by_its_members_only(postgres):
    admin = postgres.connect()
    make_role(admin, "one")
    one = postgres.connect(user="one")
    for statement in ("SET ROLE admin", "SELECT set_config('ROLE', 'admin', false)"):
        assert one.fails(statement) == ("42501", 'permission denied to set role "admin"')
    error = postgres.refuses(user="one", options="-c role=admin")
    assert (error["S"], error["C"]) == ("FATAL", "42501")
    assert one.fails("SET SESSION AUTHORIZATION admin") == (
        "42501",
        'permission denied to set session authorization "admin"',
    )
    assert one.rows("SELECT current_user, session_user") == [[b"one", b"one"]]


@pytest.fixture
def admin(postgres: Server) -> Peer:
    """An admin, with two roles of which `one` is in `two`."""
    admin = postgres.connect()
    make_role(admin, "one")
    make_role(admin, "two")
    admin.query("GRANT two TO one")
    return admin


def test_a_member_sets_its_role_until_the_transaction_is_rolled_back(admin, postgres):
    one = postgres.connect(user="one")
    one.query("BEGIN; SET ROLE two")
    assert one.rows("SELECT current_user, session_user") == [[b"two", b"one"]]
    one.query("ROLLBACK")
    assert one.rows("SELECT current_user") == [[b"one"]]
    one.query("SET ROLE two; RESET ALL")
    assert one.rows("SHOW role") == [[b"two"]]
    one.query("SET SESSION AUTHORIZATION one")
    assert one.rows("SHOW role") == [[b"none"]]


def test_a_membership_without_set_option_does_not_let_a_role_be_set(admin, postgres):
    admin.query("GRANT two TO one WITH SET FALSE")
    one = postgres.connect(user="one")
    assert one.fails("SET ROLE two") == ("42501", 'permission denied to set role "two"')


def test_a_renamed_role_stays_itself(admin, postgres):
    one = postgres.connect(user="one")
    one.query("SET search_path = '$user'")
    admin.query("GRANT one TO admin")
    admin.query("CREATE SCHEMA uno AUTHORIZATION one")
    assert one.rows("SELECT current_schema()") == [[None]]
    assert tags(admin.query("ALTER ROLE one RENAME TO uno")) == ["ALTER ROLE"]
    assert one.rows("SELECT current_user, current_schema()") == [[b"uno", b"uno"]]


def test_a_session_ends_when_the_role_it_has_set_is_dropped(admin, postgres):
    one = postgres.connect(user="one")
    one.query("SET ROLE two")
    drop_role(admin, "two")
    assert errors(one.ask_for_the_last_time("SELECT 1"))[0]["C"] == "57P01"


def test_a_closed_schema_is_passed_over_in_the_search_path(admin, postgres):
    admin.query("CREATE SCHEMA closed; CREATE TABLE closed.t (a int)")
    one = postgres.connect(user="one")
    one.query("SET search_path = closed, public")
    assert one.rows("SELECT current_schema()") == [[b"public"]]
    assert one.fails("SELECT * FROM t") == ("42P01", 'relation "t" does not exist')


def test_the_systems_schema_comes_first_unless_the_search_path_has_it_elsewhere(admin, postgres):
    admin.query(
        "CREATE SCHEMA s; CREATE TABLE s.pg_class (a int); INSERT INTO s.pg_class VALUES (7)"
    )
    seen = "SELECT 'pg_class'::regclass, 's.pg_class'::regclass, current_schemas(true)"
    answers = []
    for path in ("s", "s, pg_catalog", "pg_catalog, s"):
        admin.query(f"SET search_path = {path}")
        answers += admin.rows(seen)
    assert answers == [
        [b"pg_class", b"s.pg_class", b"{pg_catalog,s}"],
        [b"pg_class", b"pg_class", b"{s,pg_catalog}"],
        [b"pg_class", b"s.pg_class", b"{pg_catalog,s}"],
    ]
    admin.query("SET search_path = s, pg_catalog")
    assert admin.rows("SELECT a FROM pg_class") == [[b"7"]]
