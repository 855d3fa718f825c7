"""Which operator, function, cast or aggregate a call means, by PostgreSQL's rules.

The rules are those of chapter 10 of the PostgreSQL manual (Type Conversion): exact match, then implicit
casts, then preferred types, then unknown literals taken as the other side's type. Answers are cached
until something new is registered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import dsql.functions.builtin  # noqa: F401  (everything callable must be known here)
from dsql.errors import SqlError
from dsql.functions import polymorphism, registry, selection
from dsql.functions.coercion import (
    Cast,
    CastContext,
    can_coerce,
    common_type,
    converter,
    find_cast,
    select_common_type,
)
from dsql.functions.function import Aggregate, Context, Function, Operator, WindowFunction
from dsql.functions.kept import kept
from dsql.functions.variadic import spread
from dsql.types import oids
from dsql.types import registry as types

__all__ = [
    "Cast",
    "CastContext",
    "Resolved",
    "ResolvedOperator",
    "common_type",
    "converter",
    "find_cast",
    "resolve_function",
    "resolve_operator",
]

_PROCEDURES: dict[tuple[str | None, str], str] = {
    ("sys", "wait_for_job"): "sys.wait_for_job(text)",  # what only CALL runs
}
COERCION_OID = 9001  # the function behind type(value) where no pg_proc row exists


@dataclass(frozen=True, slots=True)
class Resolved:
    """A callee with its actual types after polymorphism; arguments must be cast to `argument_types`.

    The callee takes the arguments in the order of the call: defaults and named notation are worked in.
    """

    callee: Function | Aggregate | WindowFunction
    argument_types: tuple[int, ...]
    return_type: int
    variadic_from: int = -1  # arguments from this index on are collected into one list; -1: none
    # Of a function in LANGUAGE SQL: parameter i is the call's argument order[i], -1 its default.
    order: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class ResolvedOperator:
    """An operator with its actual types after polymorphism."""

    operator: Operator
    left_type: int
    right_type: int
    return_type: int


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A callee fitted to the number of arguments of a call."""

    callee: registry.Callee
    types: tuple[int, ...]  # declared type of each argument of the call
    variadic_from: int = -1
    order: tuple[int, ...] | None = (
        None  # callee argument i is call argument order[i], -1 a default
    )
    spread: bool = False  # the last argument is an array of what VARIADIC "any" takes


def _common(type_oids: Sequence[int]) -> int | None:
    chosen = select_common_type(type_oids)
    return None if isinstance(chosen, tuple) else chosen


def _fits(actual: Sequence[int], declared: Sequence[int]) -> bool:
    """Return whether implicit casts lead from the actual to the declared types."""
    polymorphic = False
    for have, want in zip(actual, declared, strict=True):
        if want in polymorphism.POLYMORPHIC:
            polymorphic = True
        elif not can_coerce(have, want):
            return False
    return not polymorphic or polymorphism.solve(declared, actual, 0, _common) is not None


# ---------------------------------------------------------------- operators


@kept(8192)
def resolve_operator(name: str, left_oid: int, right_oid: int) -> ResolvedOperator:
    """Return the operator for these operand types (`left_oid` 0: prefix operator).

    Raises SqlError 42883 if there is none, 42725 if several fit equally well.
    """
    offered = [o for o in registry.operators(name) if bool(o.left_type) == bool(left_oid)]
    actual = (left_oid, right_oid) if left_oid else (right_oid,)
    declared = [_operand_types(operator) for operator in offered]
    chosen = _exact_operator(actual, declared)
    if chosen is None:
        fitting = [at for at, types_ in enumerate(declared) if _fits(actual, types_)]
        left = selection.best(actual, [declared[at] for at in fitting], _fits)
        if len(left) != 1:
            raise _operator_error(name, left_oid, right_oid, ambiguous=bool(left))
        chosen = fitting[left[0]]
    return _resolved_operator(offered[chosen], actual)


def _operand_types(operator: Operator) -> tuple[int, ...]:
    if operator.left_type:
        return operator.left_type, operator.right_type
    return (operator.right_type,)


def _exact_operator(actual: tuple[int, ...], declared: list[tuple[int, ...]]) -> int | None:
    """Match exactly, an unknown operand taken to be of the other's type."""
    if len(actual) == 2 and oids.UNKNOWN in actual and actual[0] != actual[1]:
        known = actual[0] if actual[1] == oids.UNKNOWN else actual[1]
        actual = (known, known)
    return declared.index(actual) if actual in declared else None


def _resolved_operator(operator: Operator, actual: tuple[int, ...]) -> ResolvedOperator:
    declared = _operand_types(operator)
    solved = polymorphism.solve(declared, actual, operator.function.return_type, _common)
    if solved is None:  # it was chosen for a pseudo-type of the same name
        raise polymorphism.mismatch(declared, actual)
    arguments, result = solved
    polymorphism.check_determined(arguments, result)
    function = specialize(operator.function, arguments, result)
    assert isinstance(function, Function)
    if function is not operator.function:
        operator = replace(operator, function=function)
    left = arguments[0] if operator.left_type else 0
    return ResolvedOperator(operator, left, arguments[-1], result)


def _operator_error(name: str, left: int, right: int, *, ambiguous: bool) -> SqlError:
    call = f"{types.get(left).sql_name} " if left else ""
    call += f"{name} {types.get(right).sql_name}"
    advice = "You might need to add explicit type casts."
    if ambiguous:
        return SqlError(
            "42725",
            f"operator is not unique: {call}",
            hint=f"Could not choose a best candidate operator. {advice}",
        )
    matches = "types" if left else "type"
    return SqlError(
        "42883",
        f"operator does not exist: {call}",
        hint=f"No operator matches the given name and argument {matches}. {advice}",
    )


# ---------------------------------------------------------------- functions


@kept(8192)
def resolve_function(
    name: str,
    argument_oids: tuple[int, ...],
    schema: str | None = None,
    argument_names: tuple[str, ...] = (),
    variadic: bool = False,
) -> Resolved:
    """Return the function, aggregate or window function that a call means.

    `argument_names` are the names of the last arguments where they are written (a => 1); `variadic`
    tells that VARIADIC is written before the last one. An ordered-set aggregate is resolved with its
    direct arguments followed by the WITHIN GROUP ones. Raises SqlError 42883 or 42725.
    """
    of_schema = [c for c in registry.candidates(name) if _schema_of(c) == (schema or "pg_catalog")]
    return resolve_among(of_schema, name, argument_oids, schema, argument_names, variadic)


def resolve_among(
    callees: Sequence[registry.Callee],
    name: str,
    argument_oids: tuple[int, ...],
    schema: str | None,
    argument_names: tuple[str, ...],
    variadic: bool,
) -> Resolved:
    """Return which of some callees a call means; of those alike for the call the first one's schema wins.

    See `resolve_function`.
    """
    count = len(argument_oids)
    fitted = (_fitted(callee, count, argument_names, variadic) for callee in callees)
    offered = _foremost([candidate for candidate in fitted if candidate is not None])
    exact = [c for c in offered if c.types == argument_oids]
    if len(exact) == 1:
        return _resolved(exact[0], argument_oids)
    if exact:
        raise _function_error(name, argument_oids, schema, argument_names, ambiguous=True)
    if count == 1 and schema in (None, "pg_catalog") and not argument_names:
        coerced = _coercion(name, argument_oids[0])
        if coerced is not None:
            return coerced
    fitting = [c for c in offered if _fits(argument_oids, c.types)]
    left = selection.best(argument_oids, [c.types for c in fitting], _fits)
    if len(left) > 1:
        plain = [at for at in left if fitting[at].variadic_from < 0]
        left = plain if len(plain) == 1 else left
    if len(left) != 1:
        raise _function_error(name, argument_oids, schema, argument_names, ambiguous=bool(left))
    return _resolved(fitting[left[0]], argument_oids)


def _schema_of(callee: registry.Callee) -> str:
    return callee.schema if isinstance(callee, Function) else "pg_catalog"


def _foremost(candidates: list[_Candidate]) -> list[_Candidate]:
    """Leave out what an earlier schema hides, and expansions of VARIADIC beside plain signatures."""
    by_types: dict[tuple[int, ...], list[_Candidate]] = {}
    for candidate in candidates:
        by_types.setdefault(candidate.types, []).append(candidate)
    kept: list[_Candidate] = []
    for alike in by_types.values():
        schema = _schema_of(alike[0].callee)
        nearest = [c for c in alike if _schema_of(c.callee) == schema]
        plain = [c for c in nearest if c.variadic_from < 0]
        kept += plain or nearest
    return kept


def _fitted(
    callee: registry.Callee, count: int, names: tuple[str, ...], variadic: bool
) -> _Candidate | None:
    """Return the callee as a candidate for `count` arguments; None if it cannot take them."""
    declared = callee.argument_types
    if names:
        return _named(callee, count, names) if isinstance(callee, Function) else None
    takes_list = not isinstance(callee, WindowFunction) and callee.variadic
    if takes_list and not variadic and count >= len(declared):
        return _expanded(callee, count)
    if count == len(declared) and (takes_list or not variadic):
        return _Candidate(callee, declared, spread=variadic and declared[-1] == oids.ANY)
    defaults = len(callee.default_arguments) if isinstance(callee, Function) else 0
    if isinstance(callee, Function) and len(declared) - defaults <= count < len(declared):
        order = tuple(at if at < count else -1 for at in range(len(declared)))
        return _Candidate(callee, declared[:count], order=order)
    return None


def _expanded(callee: registry.Callee, count: int) -> _Candidate:
    """Spread a VARIADIC parameter over the arguments."""
    declared = callee.argument_types
    fixed = len(declared) - 1
    last = declared[-1]
    if last == oids.ANY:
        return _Candidate(callee, declared[:fixed] + (oids.ANY,) * (count - fixed))
    if last == oids.ANYARRAY:
        element = oids.ANYELEMENT
    elif last == oids.ANYCOMPATIBLEARRAY:
        element = oids.ANYCOMPATIBLE
    else:
        element = types.get(last).element_oid
    return _Candidate(callee, declared[:fixed] + (element,) * (count - fixed), fixed)


def _named(callee: Function, count: int, names: tuple[str, ...]) -> _Candidate | None:
    """Match named arguments with the parameters."""
    positional = count - len(names)
    order = list(range(positional)) + [-1] * (len(callee.argument_types) - positional)
    for offset, name in enumerate(names):
        if name not in callee.argument_names[positional:]:
            return None
        at = callee.argument_names.index(name)
        if order[at] != -1:
            return None
        order[at] = positional + offset
    first_default = len(callee.argument_types) - len(callee.default_arguments)
    if any(source == -1 and at < first_default for at, source in enumerate(order)):
        return None
    declared = [callee.argument_types[order.index(at)] for at in range(count)]
    return _Candidate(callee, tuple(declared), order=tuple(order))


def _resolved(candidate: _Candidate, actual: tuple[int, ...]) -> Resolved:
    callee = candidate.callee
    solved = polymorphism.solve(candidate.types, actual, callee.return_type, _common)
    if solved is None:  # it was chosen for a pseudo-type of the same name
        raise polymorphism.mismatch(candidate.types, actual)
    arguments, result = solved
    polymorphism.check_determined(arguments, result)
    arguments = tuple(
        (have if have != oids.UNKNOWN or callee.name == "pg_typeof" else oids.TEXT)
        if want == oids.ANY
        else want
        for want, have in zip(arguments, actual, strict=True)
    )
    if candidate.spread:
        assert isinstance(callee, Function)
        return Resolved(spread(callee, arguments), arguments, result)
    own = arguments
    if candidate.variadic_from >= 0:
        gathered = types.get(arguments[candidate.variadic_from]).array_oid
        own = (*arguments[: candidate.variadic_from], gathered)
    if isinstance(callee, Function) and callee.definition is not None:
        order = candidate.order
        return Resolved(callee, arguments, result, candidate.variadic_from, order)
    callee = specialize(callee, own, result)
    if candidate.order is not None and isinstance(callee, Function):
        callee = _with_defaults(callee, candidate.order, arguments)
    return Resolved(callee, arguments, result, candidate.variadic_from)


@kept(4096)
def specialize(callee: registry.Callee, arguments: tuple[int, ...], result: int) -> registry.Callee:
    """Return the callee for the actual types."""
    make = registry.specializer(callee.oid)
    if make is not None:
        callee = make(arguments)
    if callee.argument_types == arguments and callee.return_type == result:
        return callee
    return replace(callee, argument_types=arguments, return_type=result)


def _with_defaults(
    function: Function, order: tuple[int, ...], arguments: tuple[int, ...]
) -> Function:
    """Return the function as one of the call's arguments only, in the call's order."""
    missing = len(order) - len(function.default_arguments)
    inner = function.implementation
    fill: list[Any] = [None] * missing + list(function.default_arguments)

    def positional(*given: Any) -> Any:
        return inner(
            *[fill[at] if source < 0 else given[source] for at, source in enumerate(order)]
        )

    def with_context(context: Context, *given: Any) -> Any:
        return inner(
            context, *[fill[at] if source < 0 else given[source] for at, source in enumerate(order)]
        )

    return replace(
        function,
        argument_types=arguments,
        implementation=with_context if function.needs_context else positional,
        template="",
        default_arguments=(),
    )


def _coercion(name: str, source: int) -> Resolved | None:
    """Return the cast that type(value) means: date('2001-02-03'), text(1)."""
    target = types.find(name)
    if target is None or target.kind == "p":
        return None
    cast = find_cast(source, target.oid, CastContext.EXPLICIT)
    if cast is None or (cast.via_text and types.is_composite(source) and target.category == "S"):
        return None
    if cast.function is not None:
        return Resolved(cast.function, (source,), target.oid)

    def convert(context: Context, value: Any) -> Any:
        return converter(cast, context)(value)

    function = Function(
        oid=COERCION_OID,
        name=name,
        argument_types=(source,),
        return_type=target.oid,
        implementation=convert,
        volatility="s",
        needs_context=True,
    )
    return Resolved(function, (source,), target.oid)


def _function_error(
    name: str,
    argument_oids: tuple[int, ...],
    schema: str | None,
    argument_names: tuple[str, ...],
    *,
    ambiguous: bool,
) -> SqlError:
    procedure = _PROCEDURES.get((schema, name))
    if procedure is not None:
        message = f"{procedure} is a procedure"
        return SqlError("42809", message, hint="To call a procedure, use CALL.")
    shown = f"{schema}.{name}" if schema else name
    call = registry.signature(shown, argument_oids, argument_names)
    advice = "You might need to add explicit type casts."
    if ambiguous:
        return SqlError(
            "42725",
            f"function {call} is not unique",
            hint=f"Could not choose a best candidate function. {advice}",
        )
    return SqlError(
        "42883",
        f"function {call} does not exist",
        hint=f"No function matches the given name and argument types. {advice}",
    )
