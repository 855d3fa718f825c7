from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsql.errors import SqlError
from dsql.sql import gate
from dsql.sql.additions import IamGrant
from dsql.sql.gate import parse_script, parse_statement


def failure(text: str) -> SqlError:
    with pytest.raises(SqlError) as caught:
        parse_script(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "sqlstate", "message", "position"),
    [
        ("select 'ü' ; foo bar", "42601", 'syntax error at or near "foo"', 14),
        ("select 'üü', fro 1 m", "42601", 'syntax error at or near "1"', 18),
        ("select 'abc", "42601", 'unterminated quoted string at or near "\'abc"', 8),
        ('select ""', "42601", 'zero-length delimited identifier at or near """"', 8),
        ("select U&'\\00zz'", "42601", "invalid Unicode escape", 11),
        ("select (", "42601", "syntax error at end of input", 9),
    ],
)
def test_syntax_error_is_postgresqls(text: str, sqlstate: str, message: str, position: int) -> None:
    error = failure(text)
    assert (error.sqlstate, error.message, error.position) == (sqlstate, message, position)


def test_script_is_cut_into_its_statements() -> None:
    script = "select 'ü'; /* x; */ insert into t values (1) ; "
    statements = parse_script(script)
    assert [s.name for s in statements] == ["Select", "Insert"]
    assert statements[0].text == "select 'ü'"
    assert script[statements[1].offset :].startswith("insert")


@pytest.mark.parametrize("text", ["", "  ", ";;", "-- nothing", "/* nothing */"])
def test_text_without_a_statement_is_empty(text: str) -> None:
    assert parse_script(text) == []


def test_positions_count_characters_of_the_script() -> None:
    second = parse_script("select 'ü'; select x")[1]
    location = second.node.target_list[0].res_target.val.column_ref.location
    assert second.position(location) == 20


@pytest.mark.parametrize("characters", [1, 1_023, 1_024, 5_000])
def test_positions_are_right_far_into_a_script(characters: int) -> None:
    text = f"select '{'ü€' * characters}x'; select x"
    second = parse_script(text)[1]
    location = second.node.target_list[0].res_target.val.column_ref.location
    assert second.position(location) == len(text)
    assert second.text == "select x"


def test_async_index_is_the_index_with_a_mark() -> None:
    first, second = parse_script(
        "create unique /* hm */ index async on t (a); create index i on t (async)"
    )
    assert (first.name, first.asynchronous, first.node.unique) == ("Index", True, True)
    assert first.node.idxname == ""
    assert not second.asynchronous


def test_async_keeps_every_position() -> None:
    text = "create index async i on t (a) oops"
    assert failure(text).position == text.index("oops") + 1


def test_async_validation_is_the_alter_table_with_a_mark() -> None:
    statement = parse_statement("alter table async t validate constraint c")
    assert statement.name == "AlterTable"
    assert statement.asynchronous


def test_iam_grants_stand_among_other_statements() -> None:
    script = "select 1; AWS IAM GRANT \"My Role\" TO 'arn:aws:x'; aws iam revoke r from 'a''b'"
    first, grant, revoke = parse_script(script)
    assert first.name == "Select"
    assert grant.node == IamGrant("My Role", "arn:aws:x", revoke=False)
    assert revoke.node == IamGrant("r", "a'b", revoke=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("aws iam grant r", "syntax error at end of input"),
        ("aws iam grant r from 'x'", 'syntax error at or near "from"'),
        ("aws iam grant r to x", 'syntax error at or near "x"'),
        ("aws iam revoke r from 'x' cascade", 'syntax error at or near "cascade"'),
        ("aws iam", "syntax error at end of input"),
    ],
)
def test_malformed_iam_grant_is_a_syntax_error(text: str, message: str) -> None:
    assert failure(text).message == message


@pytest.mark.parametrize(
    "text",
    [
        "select " + "(" * 20_000 + "1",
        "select " + "+".join(["1"] * 40_000),
        "select " + " union ".join(["select 1"] * 30_000)[7:],
    ],
    ids=["parentheses", "operators", "unions"],
)
def test_nesting_beyond_the_stack_is_refused(text: str) -> None:
    assert failure(text).sqlstate == "54001"


def test_long_lists_are_not_deep() -> None:
    rows = ", ".join(f"({n}, -{n}, 'a-b')" for n in range(5_000))
    assert len(parse_script(f"insert into t values {rows}")) == 1


def test_nul_character_is_no_text() -> None:
    assert failure("select 'a\0b'").sqlstate == "22021"


def test_lone_surrogate_is_no_text() -> None:
    assert failure("select '\ud800'").sqlstate == "22021"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_statements_or_an_error(text: str) -> None:
    try:
        statements = parse_script(text)
    except SqlError as raised:
        position = raised.position
        statements = []
    else:
        position = 0
    assert 0 <= position <= len(text) + 1
    assert all(text[s.offset :].startswith(s.text) for s in statements)


PARSE_IN_LITTLE_MEMORY = """
import resource
from pathlib import Path
from dsql.sql.gate import parse_script
parse_script("select 1")
status = Path("/proc/self/status").read_text()
held = int(status.partition("VmData:")[2].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (held + 3_000_000,) * 2)
for count in (20_000, 200_000):
    try:
        parse_script("select " + ",".join(["1"] * count))
    except MemoryError:
        print("no room")
parse_script("select 1")
"""


def test_a_process_without_room_for_the_parser_lives_on() -> None:
    command = [sys.executable, "-c", PARSE_IN_LITTLE_MEMORY]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.returncode) == ("no room\n" * 2, 0), done.stderr[-500:]


@pytest.mark.parametrize(
    ("text", "sqlstate", "hint"),
    [
        (r"select e'\u00'", "22025", r"Unicode escapes must be \uXXXX or \UXXXXXXXX."),
        (r"select U&'\061'", "42601", r"Unicode escapes must be \XXXX or \+XXXXXX."),
        (r"select U&'\u00'", "42601", r"Unicode escapes must be \XXXX or \+XXXXXX."),
        (r"select e'\ud83d'", "42601", ""),
        (r"select U&'\d83d'", "42601", ""),
    ],
)
def test_unicode_escapes_are_refused_as_in_postgresql(text: str, sqlstate: str, hint: str) -> None:
    with pytest.raises(SqlError) as error:
        parse_statement(text)
    assert (error.value.sqlstate, error.value.hint) == (sqlstate, hint)


@pytest.mark.parametrize("name", ["n" * 70, f'"{"n " * 35}"'])
def test_a_long_name_is_found_wherever_a_piece_of_the_text_ends(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "_PIECE_BYTES", 90)
    for before in range(100):
        (statement,) = parse_script(f"select {'1 + ' * before} {name}")
        assert statement.long_names == (name.strip('"'),)
