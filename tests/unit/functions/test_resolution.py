from __future__ import annotations

import pytest

from dsql.errors import SqlError
from dsql.functions import resolution
from dsql.functions.coercion import CastContext
from dsql.functions.resolution import (
    common_type,
    find_cast,
    resolve_function,
    resolve_operator,
)
from dsql.types import oids


@pytest.mark.parametrize(
    ("name", "left", "right", "function"),
    [
        ("+", oids.INT4, oids.INT4, "int4pl"),
        ("+", oids.INT4, oids.UNKNOWN, "int4pl"),
        ("+", oids.INT4, oids.NUMERIC, "numeric_add"),
        ("||", oids.TEXT, oids.INT4, "textanycat"),
        ("=", oids.VARCHAR, oids.UNKNOWN, "texteq"),
        ("=", oids.INT4_ARRAY, oids.INT4_ARRAY, "array_eq"),
        ("-", 0, oids.INT4, "int4um"),
    ],
)
def test_operands_choose_postgresqls_operator(
    name: str, left: int, right: int, function: str
) -> None:
    assert resolve_operator(name, left, right).operator.function.name == function


def test_a_missing_operator_gets_42883() -> None:
    with pytest.raises(SqlError, match="operator does not exist: integer ~~ integer") as caught:
        resolve_operator("~~", oids.INT4, oids.INT4)
    assert caught.value.sqlstate == "42883"


def test_unknown_operands_of_plus_are_ambiguous() -> None:
    with pytest.raises(SqlError) as caught:
        resolve_operator("+", oids.UNKNOWN, oids.UNKNOWN)
    assert caught.value.sqlstate == "42725"


def test_named_arguments_are_put_in_order() -> None:
    found = resolve_function(
        "make_interval", (oids.INT4, oids.INT4), argument_names=("days", "years")
    )
    assert isinstance(found.callee, resolution.Function)
    assert found.callee.implementation(3, 1) == (12, 3, 0)


def test_a_variadic_call_gathers_its_last_arguments() -> None:
    found = resolve_function("json_extract_path", (oids.JSON, oids.UNKNOWN, oids.UNKNOWN))
    assert found.variadic_from == 1
    assert found.argument_types == (oids.JSON, oids.TEXT, oids.TEXT)


def test_casts_to_text_need_an_assignment() -> None:
    assert find_cast(oids.INT4, oids.TEXT, CastContext.IMPLICIT) is None
    cast = find_cast(oids.INT4, oids.TEXT, CastContext.ASSIGNMENT)
    assert cast is not None
    assert cast.via_text


def test_common_type_prefers_numeric_over_integer() -> None:
    assert common_type((oids.INT4, oids.UNKNOWN, oids.NUMERIC), "CASE") == oids.NUMERIC
    with pytest.raises(SqlError, match="CASE types integer and text cannot be matched"):
        common_type((oids.INT4, oids.TEXT), "CASE")
