"""jsonpath: what is printed is read as the same."""

from __future__ import annotations

from random import Random

import pytest

from dsql.errors import SqlError
from dsql.types.jsonpath.parser import parse
from dsql.types.jsonpath.printer import print_path

_ATOMS = ("1", "1.50", '"a\\"b"', "null", "true", "$", "$x", '$"x y"')
_ACCESSORS = (
    ".a", '."b c"', ".*", "[*]", "[0, 1 to last]", ".**{2 to last}", ".size()", ".datetime()",
    " ? (@.a > 1)", ' ? (@ like_regex "x" flag "i")',
)  # fmt: skip


def value(random: Random, depth: int) -> str:
    if depth == 0 or random.random() < 0.3:
        return random.choice(_ATOMS)
    if random.random() < 0.4:
        return f"({value(random, depth - 1)}){random.choice(_ACCESSORS)}"
    if random.random() < 0.2:
        return f"-({value(random, depth - 1)})"
    operator = random.choice("+-*/%")
    return f"{value(random, depth - 1)} {operator} ({value(random, depth - 1)})"


def predicate(random: Random, depth: int) -> str:
    inner = random.choice(("not", "and", "or", "exists", "unknown")) if depth else ""
    match inner:
        case "not":
            return f"!({predicate(random, depth - 1)})"
        case "and" | "or":
            symbol = {"and": "&&", "or": "||"}[inner]
            return f"({predicate(random, depth - 1)}) {symbol} {predicate(random, depth - 1)}"
        case "exists":
            return f"exists ({value(random, depth)})"
        case "unknown":
            return f"({predicate(random, depth - 1)}) is unknown"
    return f"{value(random, 1)} {random.choice(('==', '<>', '<', '>='))} {value(random, 1)}"


@pytest.mark.parametrize("seed", range(200))
def test_what_is_printed_is_read_as_the_same(seed: int) -> None:
    random = Random(seed)
    text = random.choice(("", "strict ")) + random.choice((value, predicate))(random, 3)
    tree = parse(text)
    assert parse(print_path(tree)) == tree


@pytest.mark.parametrize(
    "text", ["(" * 5000 + "1" + ")" * 5000, "-" * 5000 + "$", "$" + ".a" * 5000]
)
def test_a_path_is_read_or_refused_however_deep_it_is(text: str) -> None:
    try:
        printed = print_path(parse(text))
        assert print_path(parse(printed)) == printed
    except SqlError as error:
        assert error.sqlstate == "54001"  # noqa: PT017  (either is right, but nothing else)
