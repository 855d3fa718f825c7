import pytest
from memory_server import ARN, Peer, Server


@pytest.fixture
def reader(server: Server) -> Peer:
    admin = server.connect()
    admin.query("CREATE TABLE t (id int PRIMARY KEY)")
    admin.query("CREATE ROLE reader WITH LOGIN")
    admin.query(f"AWS IAM GRANT reader TO '{ARN}'")
    return server.connect(user="reader")


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM t", "INSERT INTO t VALUES (1)", "UPDATE t SET id = 2", "DELETE FROM t"],
)
def test_another_roles_table_is_closed(reader, statement):
    assert reader.fails(statement) == ("42501", "permission denied for table t")


def test_system_tables_are_open(reader):
    assert reader.rows("SELECT relname FROM pg_class WHERE relname = 't'") == [[b"t"]]
