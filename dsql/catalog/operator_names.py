"""Names of operators and collations, all of which are built in: what regoper and its kin read and write."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from dsql.errors import SqlError
from dsql.functions.function import Operator
from dsql.functions.registry import all_operators, operators
from dsql.types import registry
from dsql.types.identifier import quote_identifier

COLLATIONS = {"default": 100, "C": 950, "POSIX": 951}
_NONE = "none"  # in place of the operand that a prefix operator lacks


@cache
def _by_oid() -> dict[int, Operator]:
    return {operator.oid: operator for operator in all_operators()}


def operator_text(oid: int) -> str | None:
    """Return an operator's name, with its schema if there are others of the name."""
    operator = _by_oid().get(oid)
    if operator is None:
        return None
    return operator.name if len(operators(operator.name)) == 1 else f"pg_catalog.{operator.name}"


def operator_of(text: str) -> int:
    """Return the OID of the only operator of a name. Raises SqlError 42883, 42725."""
    found = operators(text.removeprefix("pg_catalog."))
    if not found:
        raise SqlError("42883", f"operator does not exist: {text}")
    if len(found) > 1:
        raise SqlError("42725", f"more than one operator named {text}")
    return found[0].oid


def signature_text(oid: int) -> str | None:
    """Return an operator's name with the types of its operands."""
    operator = _by_oid().get(oid)
    if operator is None:
        return None
    left, right = (
        registry.get(operand).sql_name if operand else _NONE.upper()
        for operand in (operator.left_type, operator.right_type)
    )
    return f"{operator.name}({left},{right})"


def signature_of(text: str, type_of: Callable[[str], int]) -> int:
    """Return the OID of the operator with these operands: `+(integer,integer)`, `-(none,integer)`.

    Raises SqlError 22P02, 42P02, 54023, 42883, and what `type_of` raises for the name of no type.
    """
    name, parenthesis, rest = text.strip().partition("(")
    if not parenthesis:
        raise SqlError("22P02", "expected a left parenthesis")
    if not rest.endswith(")"):
        raise SqlError("22P02", "expected a right parenthesis")
    words = [word.strip() for word in rest[:-1].split(",")]
    operands = [0 if word.lower() == _NONE else type_of(word) for word in words if word]
    if len(operands) == 1:
        hint = "Use NONE to denote the missing argument of a unary operator."
        raise SqlError("42P02", "missing argument", hint=hint)
    if len(operands) != 2:
        hint = "Provide two argument types for operator."
        raise SqlError("54023", "too many arguments", hint=hint)
    for operator in operators(name.strip().removeprefix("pg_catalog.")):
        if [operator.left_type, operator.right_type] == operands:
            return operator.oid
    raise SqlError("42883", f"operator does not exist: {text}")


def collation_text(oid: int) -> str | None:
    """Return a collation's name."""
    return next((quote_identifier(name) for name, one in COLLATIONS.items() if one == oid), None)


def collation_of(name: str) -> int:
    """Return a collation's OID. Raises SqlError 42704."""
    if name not in COLLATIONS:
        raise SqlError("42704", f'collation "{name}" for encoding "UTF8" does not exist')
    return COLLATIONS[name]
