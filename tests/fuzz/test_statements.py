"""Statements of the grammar for a fixed number of seeds; `python -m fuzz` runs them for hours."""

from __future__ import annotations

from collections import Counter

import pytest
from fuzz.acts import Acts
from fuzz.comparison import compare, here
from fuzz.grammar import Grammar
from fuzz.runner import new_database, run
from reference import is_installed, running

STATEMENTS = 40
COMPARED = 60  # acts per seed


@pytest.mark.parametrize("seed", range(24))
def test_every_statement_ends_in_an_answer_or_an_error_of_postgresql(seed: int) -> None:
    grammar, database = Grammar(seed), new_database()
    outcomes = Counter(run(database, grammar.statement()) for _ in range(STATEMENTS))
    assert outcomes[""] > STATEMENTS // 4, "most of what the grammar makes is refused"


def test_a_seed_always_makes_the_same_statements() -> None:
    one, other = Grammar(7), Grammar(7)
    assert [one.statement() for _ in range(20)] == [other.statement() for _ in range(20)]


@pytest.mark.parametrize("seed", range(4))
def test_every_act_of_a_client_ends_in_an_answer_or_an_error_of_postgresql(seed: int) -> None:
    acts, (server, session) = Acts(seed), here()
    answers = [session.do(acts.act()) for _ in range(STATEMENTS)]
    server.stop()
    assert not [code for answer in answers for code in answer.errors if code.startswith("XX")]
    outcomes = Counter(bool(answer.errors) for answer in answers)
    assert outcomes[False] > STATEMENTS // 4, "most of what clients do is refused"


def test_a_seed_always_makes_the_same_acts() -> None:
    one, other = Acts(7), Acts(7)
    assert [one.act() for _ in range(20)] == [other.act() for _ in range(20)]


@pytest.mark.skipif(not is_installed(), reason="there is no PostgreSQL here")
def test_acts_are_answered_as_postgresql_answers_them() -> None:
    with running() as directory:
        found = [compare(seed, COMPARED, directory) for seed in range(4)]
    assert not [difference for findings in found for difference in findings.differences]
    assert all(findings.outcomes["answer"] > COMPARED // 4 for findings in found)
