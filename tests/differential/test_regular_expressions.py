"""Random regular expressions match as PostgreSQL's do: where, how often, and with which groups.

DSQL_REGEX_SEED=7 DSQL_REGEX_CASES=100000 in the environment makes it others, and more of them.
"""

from __future__ import annotations

import os
from random import Random
from typing import Any

import psycopg

import dsql.functions.builtin  # noqa: F401
from dsql.errors import SqlError
from dsql.functions import patterns
from dsql.regex.expression import compile_regex

SEED = int(os.environ.get("DSQL_REGEX_SEED", "1"))
CASES = int(os.environ.get("DSQL_REGEX_CASES", "3000"))

QUANTIFIERS = "* + ? {2} {1,2} {0,1} {0} {1,1} {2,} {1}".split()
CONSTRAINTS = r"^ $ \m \M \y \Y \A \Z".split()
CLASSES = r". [ab] [^a] \w \d \s [[:alpha:]] \W".split()
LOOKS = "(?= (?! (?<= (?<!".split()
# What a lexer may stumble over.
FRAGMENTS = r"""
a b c A 1 - , { } {1 {1} {2,} {1,2} {3,1} {256} ( ) (?: (?= (?<= (? (?# (?i) (?x) (?n) (?q) (?b) (?e) (?z)
(?ic *** ***= ***: [ ] [^ [a-c] []a] [^]a] -] [[:alpha:]] [[:foo:]] [: [. [[.a.]] [[.hyphen.]] [[.foo.]]
[[=a=]] [= =] .] :] [[:<:]] [[:>:]] \ \a \A \b \B \cA \d \D \w \W \s \S \m \M \y \Y \Z \u0061 \u00 \x61 \x
\0 \07 \400 \q \. \( \) \{ \} \| \< \> * + ? *? +? ?? ^ $ | . é É
""".split()

ANSWER = """
create function pg_temp.answer(t text, p text, f text) returns text language plpgsql as $$
declare r text[];
begin
    r := regexp_match(t, p, f);
    if r is null then return 'none'; end if;
    return regexp_instr(t, p, 1, 1, 0, f) || ' ' || regexp_count(t, p, 1, f) || ' '
        || octet_length(regexp_substr(t, p, 1, 1, f)) || ' ' || to_json(r);
exception when others then return sqlstate || ' ' || sqlerrm;
end $$
"""


class Generator:
    """Makes expressions of a depth."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def quantifier(self) -> str:
        if self.random.random() < 0.5:
            return ""
        return self.random.choice(QUANTIFIERS) + "?" * (self.random.random() < 0.3)

    def atom(self, depth: int) -> str:
        place = self.random.random()
        if depth and place < 0.35:
            return f"{self.random.choice(['(', '(', '(?:'])}{self.alternation(depth - 1)})"
        if place < 0.5:
            return self.random.choice(CLASSES)
        return self.random.choice("aabbc1")

    def item(self, depth: int) -> str:
        place = self.random.random()
        if place < 0.06:
            return self.random.choice(CONSTRAINTS)
        if depth and place < 0.09:
            return f"{self.random.choice(LOOKS)}{self.alternation(depth - 1)})"
        return self.atom(depth) + self.quantifier()

    def alternation(self, depth: int) -> str:
        return "|".join(
            "".join(self.item(depth) for _ in range(self.random.randint(0, 4)))
            for _ in range(self.random.choice([1, 1, 1, 2, 3]))
        )

    def text(self, letters: str) -> str:
        return "".join(self.random.choice(letters) for _ in range(self.random.randint(0, 9)))


class ReferringGenerator(Generator):
    """Makes expressions with back references."""

    def atom(self, depth: int) -> str:
        if self.random.random() < 0.15:
            return "\\" + self.random.choice("112")
        return super().atom(depth)


def ours(text: str, pattern: str, letters: str) -> str:
    try:
        groups = patterns.regexp_match(text, pattern, letters)
        if groups is None:
            return "none"
        matches = list(compile_regex(pattern, letters).finditer(text))
        shown = ",".join("null" if group is None else _json(group) for group in groups)
        return f"{matches[0].start() + 1} {len(matches)} {len((matches[0][0] or '').encode())} [{shown}]"
    except SqlError as error:
        return f"{error.sqlstate} {error.message}"


def _json(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def differences(
    connection: psycopg.Connection[Any], cases: list[tuple[str, str, str]]
) -> list[str]:
    connection.execute("drop function if exists pg_temp.answer")
    connection.execute(ANSWER)
    columns = [list(column) for column in zip(*cases, strict=True)]
    answers = connection.execute(
        "select pg_temp.answer(t, p, f)"
        " from unnest(%s::text[], %s::text[], %s::text[]) with ordinality u(t, p, f, n) order by n",
        columns,
    ).fetchall()
    return [
        f"{case}\n    PostgreSQL: {theirs}\n    here:       {found}"
        for case, (theirs,) in zip(cases, answers, strict=True)
        if (found := ours(*case)) != theirs
    ]


def test_random_expressions_match_as_in_postgresql(postgres: psycopg.Connection[Any]) -> None:
    make = Generator(Random(SEED))
    cases = [
        (make.text("aaabbbc1 _\n"), make.alternation(2), make.random.choice(["", "", "", *"inwp"]))
        for _ in range(CASES)
    ]
    found = differences(postgres, cases)
    assert not found, f"{len(found)} differences\n" + "\n".join(found[:20])


def test_random_syntax_is_read_as_in_postgresql(postgres: psycopg.Connection[Any]) -> None:
    make = Generator(Random(SEED))
    cases = [
        (
            make.text("aabcA1 -#é]\\\n"),
            "".join(make.random.choice(FRAGMENTS) for _ in range(make.random.randint(1, 5))),
            make.random.choice(["", "", "", "i", "n", "x", "e", "b", "q", "ix", "bi"]),
        )
        for _ in range(CASES)
    ]
    found = differences(postgres, cases)
    assert not found, f"{len(found)} differences\n" + "\n".join(found[:20])


def test_random_back_references_match_as_in_postgresql(postgres: psycopg.Connection[Any]) -> None:
    make = ReferringGenerator(Random(SEED))
    patterns_made = (make.alternation(2) for _ in range(CASES))
    cases = [(make.text("aaabbbc1 "), pattern, "") for pattern in patterns_made if "\\" in pattern]
    found = differences(postgres, cases)
    assert not found, f"{len(found)} differences\n" + "\n".join(found[:20])
