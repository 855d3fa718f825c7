from __future__ import annotations

import pytest

from dsql.sql.gate import parse_statement
from dsql.sql.statement import StatementKind, command_tag, is_read_only, kind_of, tag_with_rows


@pytest.mark.parametrize(
    ("text", "kind", "tag", "read_only"),
    [
        ("select 1", StatementKind.QUERY, "SELECT", True),
        ("select 1 for update", StatementKind.QUERY, "SELECT", False),
        ("with a as (delete from t returning *) table a", StatementKind.QUERY, "SELECT", False),
        ("insert into t values (1)", StatementKind.MODIFICATION, "INSERT", False),
        ("create table t (a int)", StatementKind.DDL, "CREATE TABLE", False),
        ("create table t as select 1", StatementKind.DDL, "SELECT", False),
        ("select 1 into t", StatementKind.DDL, "SELECT", False),
        ("drop view v", StatementKind.DDL, "DROP VIEW", False),
        ("alter view v rename to w", StatementKind.DDL, "ALTER VIEW", False),
        ("alter table t rename column a to b", StatementKind.DDL, "ALTER TABLE", False),
        ("grant select on t to x", StatementKind.DDL, "GRANT", False),
        ("grant a to b", StatementKind.DDL, "GRANT ROLE", False),
        ("start transaction", StatementKind.TRANSACTION, "START TRANSACTION", True),
        ("end", StatementKind.TRANSACTION, "COMMIT", True),
        ("abort", StatementKind.TRANSACTION, "ROLLBACK", True),
        ("set a.b = 1", StatementKind.SETTING, "SET", True),
        ("reset all", StatementKind.SETTING, "RESET", True),
        ("show all", StatementKind.SETTING, "SHOW", True),
        ("copy t to stdout", StatementKind.COPY, "COPY", True),
        ("copy t from stdin", StatementKind.COPY, "COPY", False),
        ("explain select 1", StatementKind.EXPLAIN, "EXPLAIN", True),
        ("analyze t", StatementKind.UTILITY, "ANALYZE", False),
        ("discard all", StatementKind.UTILITY, "DISCARD ALL", True),
        ("truncate t", StatementKind.DDL, "TRUNCATE TABLE", False),
    ],
)
def test_statement_is_known_by_its_node(
    text: str, kind: StatementKind, tag: str, read_only: bool
) -> None:
    statement = parse_statement(text)
    assert (kind_of(statement), command_tag(statement), is_read_only(statement)) == (
        kind,
        tag,
        read_only,
    )


def test_insert_tag_keeps_its_zero() -> None:
    assert tag_with_rows("INSERT", 3) == "INSERT 0 3"
    assert tag_with_rows("SELECT", 3) == "SELECT 3"
