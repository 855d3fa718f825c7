"""CREATE TABLE AS: who may, and what dsql says. Answers beside PostgreSQL's are in `tests/differential`."""

from __future__ import annotations

from memory_server import ARN, Server


def test_the_query_takes_its_rights_and_the_table_a_place(postgres: Server) -> None:
    admin = postgres.connect()
    admin.rows("CREATE ROLE maker LOGIN")
    admin.rows(f"AWS IAM GRANT maker TO '{ARN}'")
    admin.rows("CREATE TABLE t (a int)")
    admin.rows("INSERT INTO t VALUES (1)")
    maker = postgres.connect(user="maker")
    make = "CREATE TABLE m AS SELECT a FROM t"
    assert maker.fails(make) == ("42501", "permission denied for table t")
    admin.rows("GRANT SELECT ON t TO maker")
    assert maker.fails(make) == ("42501", "permission denied for schema public")
    admin.rows("GRANT CREATE ON SCHEMA public TO maker")
    maker.rows(make)
    assert maker.rows("SELECT a FROM m") == [[b"1"]]
    assert admin.fails("SELECT a FROM m") == ("42501", "permission denied for table m")


def test_dsql_refuses_it(server: Server) -> None:
    peer = server.connect()
    for statement in ("CREATE TABLE m AS SELECT 1 a", "SELECT 1 a INTO m"):
        assert peer.fails(statement) == ("0A000", "unsupported statement: CreateTableAs")
