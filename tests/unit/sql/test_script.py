from __future__ import annotations

import pytest

from dsql.errors import SqlError
from dsql.sql import script as room
from dsql.sql.gate import parse_script
from dsql.sql.script import GroupedScript, read_script

STATEMENTS = (
    "SELECT 'ü;', 1 -- ;\n",
    'SELECT a FROM "x;y" WHERE b = $$;$$',
    " /* ; */ CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)",
    "CREATE INDEX ASYNC ON t (a)",
    "AWS IAM GRANT r TO 'arn:aws:iam::111122223333:role/ü'",
    "",
    "INSERT INTO t VALUES (1, 'é')",
)


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_GROUP_BYTES", 60)


def failure(text: str, read=read_script) -> tuple[str, str, int]:
    with pytest.raises(SqlError) as raised:
        read(text)
    return raised.value.sqlstate, raised.value.message, raised.value.position


def test_a_script_in_groups_is_the_script_as_a_whole() -> None:
    text = ";".join(STATEMENTS * 3)
    whole, grouped = parse_script(text), read_script(text)
    assert isinstance(grouped, GroupedScript)
    assert len(grouped) == len(whole)
    for one, theirs in zip(grouped, whole, strict=True):
        ours = one.parsed()
        assert (ours.text, ours.offset, ours.name) == (theirs.text, theirs.offset, theirs.name)
        assert ours.asynchronous == theirs.asynchronous


def test_places_are_those_in_the_whole_script() -> None:
    text = "SELECT 'ü';" * 20 + "SELECT x"
    last = list(read_script(text))[-1].parsed()
    location = last.node.target_list[0].res_target.val.column_ref.location
    assert text[last.position(location) - 1] == "x"


@pytest.mark.parametrize(
    "last",
    ["SELECT 1 +", "SELECT 1 +; SELECT 2", "SELECT (1; SELECT 2", "SELECT 'a", "SELEC 1; SELECT 2",
     "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT FROM FROM; END"],
)  # fmt: skip
def test_an_error_is_that_of_the_whole_script(last: str) -> None:
    text = "SELECT 'ü';" * 20 + last
    assert failure(text) == failure(text, parse_script)


def test_the_first_error_counts() -> None:
    text = "SELECT 1;" * 20 + "SELEC 2;" + "SELECT 1;" * 20 + "SELECT 'a"
    assert failure(text) == failure(text, parse_script)


def test_all_truncated_names_are_known_from_the_start() -> None:
    text = "".join(f"SELECT 1 AS {letter * 70};" for letter in "abc")
    assert next(iter(read_script(text))).long_names == ("a" * 70, "b" * 70, "c" * 70)


def test_the_lists_of_a_group_are_where_the_script_has_them() -> None:
    items = ", ".join(str(number) for number in range(5_000))
    text = "SELECT 'ü';" * 20 + f"SELECT 1 WHERE 1 IN ({items})"
    (constants,) = list(read_script(text))[-1].parsed().lists
    assert text[constants.position - 1 :].startswith("0, 1, 2")
