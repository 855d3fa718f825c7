"""What of an expression can be known before it runs, by the rules of PostgreSQL's eval_const_expressions.

They are seen from outside, because what is not there any more needs no right and raises nothing, and what
can be computed raises whether there is a row or not:

    CASE WHEN false THEN (SELECT a FROM secret) END    NULL, for whoever may not read secret as well
    false AND 1/0 = 1                                  false; the other way round: division by zero
    SELECT 1/0 FROM empty                              division by zero
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dsql.errors import SqlError
from dsql.limits import FOLDED_BYTES_MAX
from dsql.planner.expressions import map_children, strip_relabel
from dsql.sql import bound
from dsql.sql.bound import Constant, Expression
from dsql.types import oids, registry
from dsql.types.size import size_of
from dsql.types.type import FormatSettings

Convert = Callable[[Expression], Expression]


class Foreknowledge:
    """What came up while a statement's expressions were made simpler.

    `fault` is the first error of a computation that needs no row; `faults`: those of subqueries' columns,
    by slot, which matter if these are read. `removed`: expressions of the bound statement that are not
    computed. `early`: computations that need nothing but parameters, by identity.
    """

    __slots__ = ("early", "fault", "faults", "removed")

    def __init__(self) -> None:
        self.fault: SqlError | None = None
        self.faults: dict[int, SqlError] = {}
        self.removed: list[Expression] = []
        self.early: dict[int, bound.Call | bound.TextCast] = {}

    def meet(self, fault: SqlError | None) -> None:
        """Note an error, if it is the first."""
        if self.fault is None:
            self.fault = fault

    def apart(self, convert: Convert, node: Expression) -> tuple[Expression, SqlError | None]:
        """Convert what is perhaps never read; return it with its own fault."""
        before, self.fault = self.fault, None
        converted = convert(node)
        fault, self.fault = self.fault, before
        return converted, fault


def simplified(node: Expression, convert: Convert, known: Foreknowledge) -> Expression:
    """Return a node with its parts converted, as simple as it can be.

    Parts that do not matter are not even converted.
    """
    choose = _CHOICES.get(type(node))
    if choose is not None:
        return choose(node, convert, known)
    mapped: Expression = map_children(node, convert)
    compute = _COMPUTATIONS.get(type(mapped))
    if compute is None:
        return mapped
    done = compute(mapped, known)
    if done is not mapped:
        known.removed.append(node)
    return done


# ---------------------------------------------------------------- what decides by its first parts


def _connective(node: Any, convert: Convert, known: Foreknowledge) -> Expression:
    """Drop the neutral arguments of AND and OR; one absorbing argument decides.

    What comes behind that is not looked at, what comes before is.
    """
    absorbing = isinstance(node, bound.Or)
    kept: list[Expression] = []
    unknown: Constant | None = None
    for argument in node.arguments:
        part = convert(argument)
        if type(part) is not Constant:
            kept.append(part)
        elif part.value is None:
            unknown = part
        elif part.value is absorbing:
            known.removed += node.arguments
            return part
    if unknown is not None:
        kept.append(unknown)
    if not kept:
        return Constant(type_oid=oids.BOOL, value=not absorbing)
    if len(kept) == 1:
        return kept[0]
    same = len(kept) == len(node.arguments) and all(
        new is old for new, old in zip(kept, node.arguments, strict=True)
    )
    return node if same else dataclasses.replace(node, arguments=kept)  # type: ignore[no-any-return]


def _case(node: bound.Case, convert: Convert, known: Foreknowledge) -> Expression:
    """Drop the branches that are never taken, and all behind one that is always taken."""
    kept: list[tuple[Expression, Expression] | bound.Alike] = []
    otherwise = node.otherwise
    for number, branch in enumerate(node.branches):
        if isinstance(branch, bound.Alike):
            kept.append(convert(branch))  # type: ignore[arg-type]
            continue
        condition = convert(branch[0])
        if type(condition) is not Constant:
            kept.append((condition, convert(branch[1])))
        elif condition.value is not True:
            known.removed.append(branch[1])
        else:
            _remove_rest(node, number + 1, known)
            otherwise = branch[1]
            break
    if otherwise is not None:
        otherwise = convert(otherwise)
    if kept:
        return dataclasses.replace(node, branches=kept, otherwise=otherwise)
    return otherwise or Constant(type_oid=node.type_oid, typmod=node.typmod, value=None)


def _remove_rest(node: bound.Case, number: int, known: Foreknowledge) -> None:
    for branch in node.branches[number:]:
        known.removed += [branch] if isinstance(branch, bound.Alike) else branch
    if node.otherwise is not None:
        known.removed.append(node.otherwise)


def _coalesce(node: bound.Coalesce, convert: Convert, known: Foreknowledge) -> Expression:
    """Drop the arguments that are NULL, and all behind the first one that is not."""
    kept: list[Expression] = []
    for number, argument in enumerate(node.arguments):
        part = convert(argument)
        if type(part) is not Constant:
            kept.append(part)
        elif part.value is not None:
            known.removed += node.arguments[number + 1 :]
            kept.append(part)
            break
    if not kept:
        return Constant(type_oid=node.type_oid, typmod=node.typmod, value=None)
    if len(kept) == 1 and type(kept[0]) is Constant:
        return kept[0]
    return dataclasses.replace(node, arguments=kept)


_CHOICES: dict[type, Callable[[Any, Convert, Foreknowledge], Expression]] = {
    bound.And: _connective,
    bound.Or: _connective,
    bound.Case: _case,
    bound.Coalesce: _coalesce,
}

# ---------------------------------------------------------------- what is computed from constants


def _call(node: bound.Call, known: Foreknowledge) -> Expression:
    """Compute a call of an immutable function; a strict one of NULL is NULL, whatever else it takes.

    A call that fails is left alone: it may be one that is never executed. So is one whose value is large,
    because plans are kept.
    """
    function = node.function
    arguments = node.arguments
    values = [one.value for one in arguments if type(one) is Constant]
    if function.returns_set or node.type_oid == oids.RECORD:
        return node
    if function.strict and None in values:
        return Constant(type_oid=node.type_oid, typmod=node.typmod, value=None)
    if function.volatility != "i" or function.needs_context:
        return node
    if len(values) < len(arguments):
        _note_early(node, known)
        return node
    return _computed(node, lambda: function.implementation(*values), known)


def _computed(node: Expression, compute: Callable[[], Any], known: Foreknowledge) -> Expression:
    try:
        value = compute()
    except SqlError as error:
        error.is_at_start = True
        known.meet(error)
        return node
    except ArithmeticError:
        return node
    if size_of(value) > FOLDED_BYTES_MAX:
        return node
    return Constant(type_oid=node.type_oid, typmod=node.typmod, value=value)


def compute(calls: Iterable[bound.Call | bound.TextCast], parameters: Sequence[Any]) -> None:
    """Compute calls that were noted as `early`, for their errors only."""
    for call in calls:
        _value(call, parameters)


def _value(node: Expression, parameters: Sequence[Any]) -> Any:
    if isinstance(node, bound.Parameter):
        return parameters[node.index]
    if isinstance(node, Constant):
        return node.value
    if isinstance(node, bound.Relabel):
        return _value(node.argument, parameters)
    assert isinstance(node, bound.Call | bound.TextCast)
    values = [_value(argument, parameters) for argument in arguments_of(node)]
    if isinstance(node, bound.TextCast):
        return None if values[0] is None else _by_text(node)(values[0])
    if node.function.strict and None in values:
        return None
    try:
        return node.function.implementation(*values)
    except ArithmeticError:
        return None


def _note_early(node: bound.Call | bound.TextCast, known: Foreknowledge) -> None:
    early = known.early
    arguments = [strip_relabel(argument) for argument in arguments_of(node)]
    if all(type(argument) in _GIVEN or id(argument) in early for argument in arguments):
        for argument in arguments:
            early.pop(id(argument), None)
        early[id(node)] = node


def arguments_of(node: bound.Call | bound.TextCast) -> list[Expression]:
    """Return what a call or cast is computed from."""
    return node.arguments if isinstance(node, bound.Call) else [node.argument]


_GIVEN: tuple[type[Expression], ...] = (Constant, bound.Parameter)


def _relabel(node: bound.Relabel, known: Foreknowledge) -> Expression:
    del known
    if type(node.argument) is not Constant:
        return node
    return dataclasses.replace(node.argument, type_oid=node.type_oid, typmod=node.typmod)


def _text_cast(node: bound.TextCast, known: Foreknowledge) -> Expression:
    """Compute a cast between types whose texts depend on no setting."""
    argument = node.argument
    value = argument.value if type(argument) is Constant else node
    if value is None:
        return Constant(type_oid=node.type_oid, typmod=node.typmod, value=None)
    if argument.type_oid not in _UNSET or node.type_oid not in _UNSET:
        return node
    if value is node:
        _note_early(node, known)
        return node
    return _computed(node, lambda: _by_text(node)(value), known)


def _by_text(node: bound.TextCast) -> Callable[[Any], Any]:
    """Return the function of a cast between such types."""
    settings = FormatSettings()
    encode = registry.get(node.argument.type_oid).text_encoder(settings)
    decode = registry.get(node.type_oid).text_decoder(settings)
    return lambda value: decode(encode(value))


# Types whose input and output functions are immutable.
_UNSET = frozenset(
    (
        oids.BOOL, oids.INT2, oids.INT4, oids.INT8, oids.NUMERIC, oids.UUID, oids.JSON, oids.JSONB,
        oids.TEXT, oids.VARCHAR, oids.NAME,
    )
)  # fmt: skip


def _not(node: bound.Not, known: Foreknowledge) -> Expression:
    del known
    argument = node.argument
    if type(argument) is not Constant:
        return node
    value = None if argument.value is None else not argument.value
    return Constant(type_oid=oids.BOOL, value=value)


def _null_test(node: bound.NullTest, known: Foreknowledge) -> Expression:
    del known
    argument = node.argument
    if type(argument) is not Constant or argument.type_oid == oids.RECORD:
        return node
    return Constant(type_oid=oids.BOOL, value=(argument.value is None) is not node.negated)


def _boolean_test(node: bound.BooleanTest, known: Foreknowledge) -> Expression:
    del known
    if type(node.argument) is not Constant:
        return node
    found = node.argument.value is node.value
    return Constant(type_oid=oids.BOOL, value=found is not node.negated)


_COMPUTATIONS: dict[type, Callable[[Any, Foreknowledge], Expression]] = {
    bound.Call: _call,
    bound.Relabel: _relabel,
    bound.TextCast: _text_cast,
    bound.Not: _not,
    bound.NullTest: _null_test,
    bound.BooleanTest: _boolean_test,
}
