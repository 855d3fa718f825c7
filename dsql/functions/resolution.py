"""Which operator, function, cast or aggregate a call means, by PostgreSQL's rules.

The rules are those of chapter 10 of the PostgreSQL manual (Type Conversion): exact match, then implicit
casts, then preferred types, then unknown literals taken as the other side's type.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from dsql.functions.function import Aggregate, Function, Operator, WindowFunction


class CastContext(enum.IntEnum):
    """Where a cast happens; a cast allowed in a lower context is allowed in the higher ones."""

    IMPLICIT = 0
    ASSIGNMENT = 1
    EXPLICIT = 2


@dataclass(frozen=True, slots=True)
class Cast:
    """A way from one type to another; `function` None: the value stays as it is (binary-coercible).

    `via_text`: out through the source's text format and in through the target's; it then also needs
    the session's FormatSettings.
    """

    source: int
    target: int
    context: CastContext
    function: Function | None = None
    via_text: bool = False


@dataclass(frozen=True, slots=True)
class Resolved:
    """A callee with its actual types after polymorphism; arguments must be cast to `argument_types`."""

    callee: Function | Aggregate | WindowFunction
    argument_types: tuple[int, ...]
    return_type: int
    variadic_from: int = -1  # arguments from this index on are collected into one list; -1: none


@dataclass(frozen=True, slots=True)
class ResolvedOperator:
    """An operator with its actual types after polymorphism."""

    operator: Operator
    left_type: int
    right_type: int
    return_type: int
