"""Statements of `queries.sql` give PostgreSQL's rows, row counts and errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from memory_database import Database, tables

from dsql.errors import SqlError

HERE = Path(__file__).parent
SCHEMA = """
    create table t (id int primary key, a int, b text, n numeric);
    create index t_a_idx on t (a);
    create table u (id bigint primary key constraint u_id_check check (id > 0), t_id int,
                    code text constraint u_code_key unique, flag boolean default true);
    create table heap (x int, y text);
    create table pair (k1 int, k2 text, v int, primary key (k1, k2));
    insert into t values (1, 10, 'one', 1.5), (2, 20, 'two', 2.5), (3, null, 'three', null),
                         (4, 10, 'four', 4);
    insert into u (id, t_id, code)
        values (1, 1, 'x'), (2, 1, 'y'), (3, null, null), (4, 7, null), (5, 4, 'z');
"""


def _memory_database() -> Database:
    """Return the database over memory with the rows of the schema."""
    database = Database(tables())
    for statement in SCHEMA.split(";")[5:7]:
        database.count(statement)
    return database


def statements() -> list[str]:
    """Return the statements of the file."""
    lines = (HERE / "queries.sql").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    return [part.strip() for part in text.split(";\n") if part.strip(" \n;")]


def _decode(out: bytearray) -> list[tuple[str | None, ...]]:
    """Return the text columns of DataRow messages."""
    rows, at = [], 0
    while at < len(out):
        assert out[at : at + 1] == b"D"
        end = at + 1 + int.from_bytes(out[at + 1 : at + 5], "big")
        columns, at = int.from_bytes(out[at + 5 : at + 7], "big"), at + 7
        row: list[str | None] = []
        for _ in range(columns):
            length = int.from_bytes(out[at : at + 4], "big", signed=True)
            at += 4
            row.append(None if length < 0 else out[at : at + length].decode())
            at += max(length, 0)
        assert at == end
        rows.append(tuple(row))
    return rows


def _ours(database: Any, statement: str) -> Any:
    saved = dict(database.transaction.data)
    try:
        program = database.prepare(statement)
        out = bytearray()
        count = program.emit(database.context, (), out, ())
    except SqlError as error:
        database.transaction.data = saved
        return (error.sqlstate, error.message, error.detail)
    rows = _decode(out)
    return [column.name for column in program.columns], rows, count


def _theirs(connection: psycopg.Connection[Any], statement: str) -> Any:
    with psycopg.RawCursor(connection) as cursor:
        try:
            cursor.execute(statement)
        except psycopg.Error as error:
            diagnosis = error.diag
            return (diagnosis.sqlstate, diagnosis.message_primary, diagnosis.message_detail or "")
        result = cursor.pgresult
        assert result is not None
        names = [(result.fname(i) or b"").decode() for i in range(result.nfields)]
        rows = [
            tuple(_text(result.get_value(row, i)) for i in range(result.nfields))
            for row in range(result.ntuples)
        ]
        return names, rows, int(result.command_tuples or 0)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _comparable(answer: Any, statement: str) -> Any:
    if isinstance(answer[0], str) or "order by" in statement.lower():
        return answer
    names, rows, count = answer
    return names, sorted(rows, key=_sort_key), count


def _sort_key(row: Sequence[str | None]) -> list[tuple[bool, str]]:
    return [(value is None, value or "") for value in row]


def test_statements_answer_as_postgresql_does(postgres: psycopg.Connection[Any]) -> None:
    database = _memory_database()
    postgres.execute(SCHEMA)
    wrong = []
    for statement in statements():
        ours = _comparable(_ours(database, statement), statement)
        theirs = _comparable(_theirs(postgres, statement), statement)
        if ours != theirs:
            wrong.append(f"{statement}\n  ours   {ours}\n  theirs {theirs}")
    assert not wrong, "\n".join(wrong)
