"""Generated source: functions in functions, and what is kept of them."""

from __future__ import annotations

import linecache
from typing import Any

from dsql.executor import codes as codes_module
from dsql.executor.source import Source


def nested_sum(depth: int) -> tuple[Any, str]:
    """Return a function whose innermost function adds up a variable of each one around it."""
    source = Source()

    def write(level: int) -> str:
        name = source.fresh("level")
        with source.nested(name):
            variable = source.fresh("v")
            variables.append(variable)
            source.line(f"{variable} = {level}")
            if level == depth:
                source.line(f"return {' + '.join(variables)}")
            else:
                source.line(f"return {write(level + 1)}")
        return source.call(name)

    variables: list[str] = []
    with source.nested("outermost"):
        source.line(f"return {write(1)}")
    return source.compile("outermost", {})


def test_functions_deeper_than_indentation_are_given_what_they_read() -> None:
    function, text = nested_sum(150)
    assert function() == sum(range(1, 151))
    assert max(len(line) - len(line.lstrip()) for line in text.splitlines()) < 100 * 4


def test_a_few_nested_functions_stay_closures() -> None:
    function, text = nested_sum(5)
    assert function() == 15
    assert "def level1():" in text.splitlines()[1]


def test_sources_that_are_no_longer_kept_leave_linecache(monkeypatch: Any) -> None:
    monkeypatch.setattr(codes_module, "_KEPT_CODES_MAX", 2)
    codes = codes_module._Codes()
    names = [codes.get(f"a = 'kept {number}'\n").co_filename for number in range(4)]
    assert [name in linecache.cache for name in names] == [False, False, True, True]
    codes.get("a = 'kept 2'\n")
    codes.get("a = 'another'\n")
    assert names[2] in linecache.cache
    assert names[3] not in linecache.cache
