"""Every function, operator, cast and aggregate takes odd arguments: a value comes back, or an SqlError.

Anything else would be an internal error (XX000) to a client. DSQL_ODD_SEED and DSQL_ODD_ROUNDS in the
environment make it others, and more; DSQL_ODD_SECONDS prints the calls that take longer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import islice
from math import inf, nan
from random import Random
from typing import Any

import pytest

import dsql.functions.builtin  # noqa: F401
from dsql.catalog.catalog import Catalog
from dsql.errors import SqlError
from dsql.functions import registry
from dsql.functions.function import Aggregate, Function
from dsql.sequences.session import SessionSequences
from dsql.types import registry as types
from dsql.types.numeric import parse_numeric
from dsql.types.record import record_class
from dsql.types.type import Type
from tests.differential.pipeline import StatementContext

SEED = int(os.environ.get("DSQL_ODD_SEED", "1"))
ROUNDS = int(os.environ.get("DSQL_ODD_ROUNDS", "6"))
SECONDS = float(os.environ.get("DSQL_ODD_SECONDS", "0"))
ROWS_MAX = 100

WAITS = {"pg_sleep", "pg_sleep_for", "pg_sleep_until"}
INT8 = (0, 1, -1, 2, 3, 7, 100, -(2**31), 2**31 - 1, -(2**63), 2**63 - 1)
TEXTS = (
    "", "a", " ", "é", "𝄞x", "\x01", "\\", "%", "a\\", "(", "[", "{", "a|b", "(a)(b)?", "\\1", "^a*$",
    "***=", "#\"", "a" * 300, "2020-01-01", "infinity", "-infinity", "now", "epoch", "12:00:00+15:59:59",
    "5874897-12-31", "1 year 2 mons", "UTC", "+99:99", "CST7CDT", "year", "epoch ", "century", "week",
    "YYYY-MM-DD HH24:MI:SS.US TZ", "FM999.99EEEE", "RN", "9G999D99S", "V9", "TH", "IYYY-IW-ID", "J", "Q",
    "base64", "hex", "escape", "utf8", "rot13", "NFC", "null", "{}", "[]", "{1,2}", "{{1},{2}}",
    "{NULL,\"a b\"}", "[1,2]", "{\"a\":{\"b\":[1,null]}}", "\"\\ud800\"", "1e400", "NaN", "%s %1$s",
    "%", "%5$*2$s", "public", "int4", "pg_class", "1.5", "-0", "0x1f", "9" * 5000, "[" * 900 + "]" * 900,
)  # fmt: skip
VALUES: dict[str, tuple[Any, ...]] = {
    "bool": (True, False),
    "int2": (0, 1, -1, -32768, 32767),
    "int4": (0, 1, -1, 2, 3, 8, 100, -(2**31), 2**31 - 1),
    "int8": INT8,
    "float4": (0.0, -0.0, 1.5, -1.0, inf, -inf, nan, 3.4028234663852886e38, 1.401298464324817e-45),
    "float8": (0.0, -0.0, 0.5, 1.0, -1.5, 1e15, inf, -inf, nan, 1.7976931348623157e308, 5e-324),
    "numeric": tuple(
        parse_numeric(text)
        for text in "0 0.00 1 -1.50 2 0.5 10 1e20 -1e40 1e-16383 9e131071 1e1000 -0.999999999999999999999"
        " 1.00000000000000000001 NaN Infinity -Infinity".split()
    ),
    "text": TEXTS,
    "jsonb": ("null", "{}", "[]", "1", "-0.5", '"a"', "true", '{"a": {"b": [1, null]}}', "[1, [2, 3]]",
              '{"": 1}', "1" + "0" * 400, "[" * 900 + "]" * 900),
    "jsonpath": ("$", "strict $", "$.**", '$."a"[*]?(@ > 1)', "-$", "$[0 to 5000000000]", "$.**.keyvalue()",
                 "strict $.**{last}.double()", '$.datetime("HH24:MI")', "$.datetime() < $.datetime()",
                 '$."x"', "1 / 0", '$[*] like_regex "(a*)*b"', "($ + $) % 0", "$.type()"),
    "bytea": (b"", b"\x00", b"\xff", b"abc", b"%a\\", b"\xc3\xa9", bytes(300)),
    "uuid": (bytes(16), b"\xff" * 16),
    "date": (0, -1, 1, -2451507, 2145031948, 2**31 - 1, -(2**31), 7000),
    "timestamp": (0, -1, 1, -211813488000000000, 9223371331199999999, 2**63 - 1, -(2**63), 8 * 10**14),
    "time": (0, 1, 86_400_000_000, 43_200_000_000),
    "timetz": ((0, 0), (86_400_000_000, -57_599), (43_200_000_000, 57_599)),
    "interval": ((0, 0, 0), (1, -1, 1), (2**31 - 1, 2**31 - 1, 2**63 - 1), (-(2**31), -(2**31), -(2**63)),
                 (0, 0, -1), (12, 0, 0), (-1, 30, 0)),
    "pg_lsn": (0, 1, 2**64 - 1),
    "oid": (0, 1, 23, 2**32 - 1),
    "record": (record_class((), ())(), record_class(("f1",), (23,))((1,)),
               record_class(("f1", "f2"), (25, 23))((None, 2))),
    "tid": ((0, 1), (2**32 - 1, 2**16 - 1)),
}  # fmt: skip
SAME = {
    "varchar": "text", "bpchar": "text", "name": "text", "unknown": "text", "char": "text",
    "json": "jsonb", "timestamptz": "timestamp", "xid": "oid", "xid8": "pg_lsn", "cid": "oid",
}  # fmt: skip
ELEMENTS = "int4 text numeric float8 timetz jsonb interval bool bytea date".split()
POLYMORPHIC = "anyelement anynonarray any anycompatible anycompatiblenonarray".split()


class Generator:
    """Makes arguments of types."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def value(self, known: Type) -> Any:
        """Return an odd value of a type; None if this test has none."""
        if known.name.startswith("_"):
            return self.array(types.get(known.element_oid))
        if known.name in ("int2vector", "oidvector"):
            return tuple(self.random.choices((0, 1, 2), k=self.random.randint(0, 3)))
        if known.name == "char":
            return self.random.choice(("", "a", "\x7f"))
        values = VALUES.get(SAME.get(known.name, known.name))
        return None if values is None else self.random.choice(values)

    def array(self, element: Type) -> list[Any]:
        rows = self.random.randint(0, 3)
        if self.random.random() < 0.4:
            columns = self.random.randint(1, 3)
            return [[self.item(element) for _ in range(columns)] for _ in range(rows)]
        return [self.item(element) for _ in range(rows)]

    def item(self, element: Type) -> Any:
        return None if self.random.random() < 0.2 else self.value(element)

    def actual(self, argument_types: tuple[int, ...]) -> tuple[int, ...] | None:
        """Return types for a call of a polymorphic signature."""
        element = types.find(self.random.choice(ELEMENTS))
        assert element is not None
        actual = []
        for oid in argument_types:
            name = types.get(oid).name
            if name in POLYMORPHIC:
                actual.append(element.oid)
            elif name in ("anyarray", "anycompatiblearray"):
                actual.append(element.array_oid)
            elif name.startswith("any"):
                return None
            else:
                actual.append(oid)
        return tuple(actual)

    def arguments(self, callee: Function | Aggregate, actual: tuple[int, ...]) -> list[Any] | None:
        """Return arguments of these types; None where a strict callee would not be called."""
        nulls = not callee.strict if isinstance(callee, Function) else callee.keeps_nulls
        made = []
        for oid in actual:
            value = None if nulls and self.random.random() < 0.15 else self.value(types.get(oid))
            if value is None and not nulls:
                return None
            made.append(value)
        return made


class Context(StatementContext):
    """A statement's context in which settings cannot be changed."""

    catalog: Catalog
    sequences = SessionSequences(None)  # type: ignore[arg-type]  # has taken no value


def callees() -> list[Function | Aggregate]:
    return [
        callee
        for callee in registry.all_callees()
        if isinstance(callee, Function | Aggregate) and callee.name not in WAITS
    ]


def specialized(callee: Function | Aggregate, actual: tuple[int, ...]) -> Function | Aggregate:
    specialize = registry.specializer(callee.oid)
    if specialize is None:
        return callee
    found = specialize(actual)
    assert isinstance(found, Function | Aggregate)
    return found


def result_type(callee: Function | Aggregate, actual: tuple[int, ...]) -> Type | None:
    known = types.get(callee.return_type)
    if known.name.startswith("any"):
        named = dict(zip(callee.argument_types, actual, strict=True))
        oid = named.get(callee.return_type)
        return None if oid is None else types.get(oid)
    return known


def encode(known: Type | None, value: Any, context: Context) -> None:
    """Write a result as a client would get it."""
    if value is None or known is None or known.name in ("record", "void"):
        return
    known.text_encoder(context.settings)(value)
    if known.binary_encode is not None:
        known.binary_encode(value)


def call_function(
    function: Function, actual: tuple[int, ...], arguments: list[Any], context: Context
) -> None:
    before = [context] if function.needs_context else []
    if function.variadic and types.get(function.argument_types[-1]).name != "any":
        last = arguments[-1]
        arguments = [*arguments[:-1], last if isinstance(last, list) else [last]]
    result = function.implementation(*before, *arguments)
    known = result_type(function, actual)
    if function.returns_set:
        for row in islice(result, ROWS_MAX):
            if not function.columns:
                encode(known, row, context)
    else:
        encode(known, result, context)


def call_aggregate(
    aggregate: Aggregate,
    actual: tuple[int, ...],
    rows: list[list[Any]],
    context: Context,
) -> None:
    # The first row gives direct arguments only.
    accumulator = aggregate.initial()
    direct = rows[0][: aggregate.direct_arguments]
    for row in rows[1:]:
        arguments = row[aggregate.direct_arguments :]
        if aggregate.item is not None:
            arguments = [aggregate.item(context, *arguments)]
        accumulator = aggregate.step(accumulator, *arguments)
    encode(result_type(aggregate, actual), aggregate.final(accumulator, *direct), context)  # type: ignore[call-arg]


def failures(random: Random, rounds: int) -> Iterator[str]:
    make, context = Generator(random), Context()
    for callee in callees():
        for _ in range(rounds):
            actual = make.actual(callee.argument_types)
            if actual is None:
                continue
            count = 1 if isinstance(callee, Function) else random.randint(1, 4)
            rows = [
                row for _ in range(count) if (row := make.arguments(callee, actual)) is not None
            ]
            if not rows:
                continue
            begun = time.perf_counter()
            failed = outcome(call, callee, actual, rows, context)
            spent = time.perf_counter() - begun
            shown = f"{registry.signature(callee.name, actual)} {str(rows)[:300]}"
            if SECONDS and spent > SECONDS:
                print(f"{spent:.2f} s {shown}")  # noqa: T201
            if failed is not None:
                yield f"{shown}: {failed}"


def call(
    callee: Function | Aggregate, actual: tuple[int, ...], rows: list[list[Any]], context: Context
) -> None:
    target = specialized(callee, actual)
    if isinstance(target, Function):
        call_function(target, actual, rows[0], context)
    else:
        call_aggregate(target, actual, rows, context)


def outcome(action: Callable[..., None], *arguments: Any) -> str | None:
    """Run something; return how it failed, unless it succeeded or raised an SqlError."""
    try:
        action(*arguments)
    except SqlError:
        pass
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def read(known: Type, data: bytes, context: Context, binary: bool) -> None:
    decode = known.binary_decode if binary else known.text_decoder(context.settings)
    if decode is not None:
        encode(known, decode(data), context)


def test_every_function_answers_or_refuses_odd_arguments() -> None:
    found = list(failures(Random(SEED), ROUNDS))
    assert not found, f"{len(found)} failures\n" + "\n".join(found[:50])


@pytest.mark.parametrize("binary", [False, True])
def test_every_type_reads_or_refuses_odd_input(binary: bool) -> None:
    random, context = Random(SEED), Context()
    found = []
    for known in types.all_types():
        for _ in range(ROUNDS * 2):
            text = random.choice(TEXTS).encode()
            data = random.randbytes(random.choice((0, 1, 4, 8, 12, 16, 24))) if binary else text
            failed = outcome(read, known, data, context, binary)
            if failed is not None:
                found.append(f"{known.name} {data[:60]!r}: {failed}")
    assert not found, f"{len(found)} failures\n" + "\n".join(found[:50])
