import pytest
from memory_server import ARN, Peer, Server, errors


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
