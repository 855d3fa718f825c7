"""Evaluates a jsonpath, as PostgreSQL's jsonpath_exec.c does.

Each step is a generator over the items of one item, so that asking whether there are any ends with
the first. Errors that silent calls and predicates pass over are `PathError`s; others, such as an
unknown variable, end the statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from dsql.errors import SqlError
from dsql.functions.function import Context
from dsql.functions.jsonpath import methods
from dsql.functions.jsonpath.errors import PathError
from dsql.functions.jsonpath.items import children, compare, number, type_name
from dsql.functions.jsonpath.object_ids import Base
from dsql.functions.numerics import (
    abs_of,
    ceil,
    floor,
    negate,
    numeric_add,
    numeric_div,
    numeric_mod,
    numeric_mul,
    numeric_sub,
    trunc,
)
from dsql.regex.expression import compile_regex
from dsql.types.integer import INT4_MAX, INT4_MIN
from dsql.types.jsonpath import nodes
from dsql.types.jsonpath.nodes import LAST_LEVEL, JsonPath, Path
from dsql.types.size import POINTER_BYTES

Items = Iterator[Any]
Truth = bool | None
Ranges = tuple[tuple[Path, Path | None], ...]

_ARITHMETIC = {
    "+": numeric_add, "-": numeric_sub, "*": numeric_mul, "/": numeric_div, "%": numeric_mod,
}  # fmt: skip
_NUMERIC_METHODS = {"abs": abs_of, "floor": floor, "ceiling": ceil}
_CHARGED_ITEMS = 1024
_UNWRAPPING = (nodes.Key, nodes.AnyKey, nodes.Filter, nodes.Datetime)
_OF_ARRAYS = frozenset(("type", "size"))


@dataclass(frozen=True, slots=True)
class _Frame:
    """What a step stands in. `size`: of the innermost subscripted array; `lenient`: nothing is missed."""

    current: Any
    lenient: bool
    base: Base
    size: int = -1


class _Kept(list[Any]):
    """Items that are kept; many of them are on the statement's account as long as they are."""

    __slots__ = ("held",)

    def charge(self, context: Context) -> None:
        if len(self) == _CHARGED_ITEMS:
            self.held = context.memory.hold()
        self.held.add(_CHARGED_ITEMS * POINTER_BYTES)


@dataclass(frozen=True, slots=True)
class Question:
    """A path, what it is asked of, and its variables. `zoned`: the session's time zone may be used.

    `variables` None: every variable is null.
    """

    path: JsonPath
    root: Any
    variables: dict[str, Any] | None
    context: Context
    zoned: bool


def has_items(question: Question) -> bool:
    """Return whether there is an item. Raises PathError, SqlError 54001 and what functions raise."""
    walk = _Walk(question)
    try:
        return walk.any(question.path.path, question.root, walk.start())
    except RecursionError:
        raise SqlError("54001", "stack depth limit exceeded") from None


def all_items(question: Question, *, silent: bool) -> list[Any]:
    """Return the items; if `silent` those before the first error, which else is raised."""
    walk, found = _Walk(question), _Kept()
    walk.tolerant = silent
    try:
        walk.gather(walk.items(question.path.path, question.root, walk.start()), found)
    except PathError:
        if not silent:
            raise
    except RecursionError:
        raise SqlError("54001", "stack depth limit exceeded") from None
    return found


class _Walk:
    def __init__(self, question: Question) -> None:
        self.lax = question.path.lax
        self.decisive = True if self.lax else None  # of what a predicate finds for some pair
        self.root = question.root
        self.variables = question.variables
        self.context = question.context
        self.zoned = question.zoned
        self.tolerant = False  # errors end what is asked for, not the statement
        self.objects_made = 1 if self.variables is None else 2

    def start(self) -> _Frame:
        return _Frame(self.root, self.lax, Base(self.root, 0))

    def gather(self, items: Items, found: _Kept) -> _Kept:
        """Keep items."""
        for item in items:
            found.append(item)
            if len(found) % _CHARGED_ITEMS == 0:
                found.charge(self.context)
        return found

    def any(self, path: Path, value: Any, frame: _Frame) -> bool:
        if not self.lax:  # All items are wanted, to be sure that there is no error.
            return bool(self.gather(self.items(path, value, frame), _Kept()))
        match path:
            case (nodes.Unary(_, operand),):  # What is no number is passed over.
                found = self.operands(operand, value, frame)
                return any(number(item) is not None for item in found)
        return any(True for _ in self.items(path, value, frame))

    # Steps. -----------------------------------------------------------------------------------

    def items(self, path: Path, value: Any, frame: _Frame, *, unwrap: bool = True) -> Items:
        """Yield what a path makes of an item; `unwrap`: of its elements if it is an array (lax)."""
        step = path[0]
        if unwrap and self.lax and isinstance(value, list) and _unwraps(step):
            return self.unwrapped(path, value, frame)
        match step:
            case nodes.Key(name):
                return self.key(path, name, value, frame)
            case nodes.Root():
                base = Base(self.root, 0)
                return self.following(path, self.root, replace(frame, base=base))
            case nodes.Current():
                return self.following(path, frame.current, frame)
            case nodes.AnyElement():
                return self.any_element(path, value, frame)
            case nodes.Filter(predicate):
                return self.filter(path, predicate, value, frame)
            case nodes.Literal(literal):
                return self.following(path, literal, frame)
            case nodes.Elements(ranges):
                return self.elements(path, ranges, value, frame)
            case nodes.Binary(operator) if operator in _ARITHMETIC:
                return self.binary(path, step, value, frame)
            case nodes.Method(name):
                return self.method(path, name, value, frame)
        return self.rarer(path, value, frame)

    def rarer(self, path: Path, value: Any, frame: _Frame) -> Items:
        match path[0]:
            case nodes.Variable(name):
                return self.variable(path, name, frame)
            case nodes.Last():
                return self.following(path, Decimal(frame.size - 1), frame)
            case nodes.AnyKey():
                return self.any_key(path, value, frame)
            case nodes.Descent() as step:
                return self.descent(path, step, value, frame)
            case nodes.Datetime(template):
                return self.following(path, methods.datetime(value, template), frame)
            case nodes.Unary(operator, operand):
                return self.unary(path, operator, operand, value, frame)
        return self.following(path, self.truth(path, value, frame), frame)

    def following(self, path: Path, value: Any, frame: _Frame) -> Items:
        """Yield what the steps after the first make of an item."""
        return self.items(path[1:], value, frame) if len(path) > 1 else iter((value,))

    def unwrapped(self, path: Path, array: list[Any], frame: _Frame) -> Items:
        for item in array:
            yield from self.items(path, item, frame, unwrap=False)

    def variable(self, path: Path, name: str, frame: _Frame) -> Items:
        if self.variables is None:
            return self.following(path, None, frame)
        if name not in self.variables:
            raise SqlError("42704", f'could not find jsonpath variable "{name}"')
        base = Base(self.variables, 1)
        return self.following(path, self.variables[name], replace(frame, base=base))

    def key(self, path: Path, name: str, value: Any, frame: _Frame) -> Items:
        if isinstance(value, dict):
            if name in value:
                yield from self.following(path, value[name], frame)
            elif not frame.lenient:
                raise PathError("2203A", f'JSON object does not contain key "{name}"')
        elif not frame.lenient:
            raise PathError("2203A", "jsonpath member accessor can only be applied to an object")

    def any_key(self, path: Path, value: Any, frame: _Frame) -> Items:
        if isinstance(value, dict):
            for item in value.values():
                yield from self.following(path, item, frame)
        elif not frame.lenient:
            what = "jsonpath wildcard member accessor can only be applied to an object"
            raise PathError("2203C", what)

    def any_element(self, path: Path, value: Any, frame: _Frame) -> Items:
        if isinstance(value, list):
            for item in value:
                yield from self.following(path, item, frame)
        elif self.lax:
            yield from self.following(path, value, frame)
        elif not frame.lenient:
            what = "jsonpath wildcard array accessor can only be applied to an array"
            raise PathError("22039", what)

    def elements(self, path: Path, ranges: Ranges, value: Any, frame: _Frame) -> Items:
        if not isinstance(value, list) and not self.lax:
            if not frame.lenient:
                what = "jsonpath array accessor can only be applied to an array"
                raise PathError("22039", what)
            return
        array = value if isinstance(value, list) else [value]
        inner = replace(frame, size=len(array))
        for from_path, to_path in ranges:
            first = self.index(from_path, value, inner)
            last = first if to_path is None else self.index(to_path, value, inner)
            if not frame.lenient and not 0 <= first <= last < len(array):
                raise PathError("22033", "jsonpath array subscript is out of bounds")
            for item in array[max(first, 0) : max(last + 1, 0)]:
                yield from self.following(path, item, inner)

    def index(self, path: Path, value: Any, frame: _Frame) -> int:
        found = self.gather(self.items(path, value, frame), _Kept())
        index = number(found[0]) if len(found) == 1 else None
        if index is None:
            raise PathError("22033", "jsonpath array subscript is not a single numeric value")
        index = trunc(index, 0)
        if not INT4_MIN <= index <= INT4_MAX:
            raise PathError("22033", "jsonpath array subscript is out of integer range")
        return int(index)

    def descent(self, path: Path, step: nodes.Descent, value: Any, frame: _Frame) -> Items:
        lenient = replace(frame, lenient=True)
        if step.first == 0:
            try:
                yield from self.following(path, value, lenient)
            except PathError:
                # PostgreSQL forgets this error over what lies below.
                if not self.tolerant or not isinstance(value, dict | list):
                    raise
        leaves_only = step.first == step.last == LAST_LEVEL
        levels = [iter(children(value))] if step.last else []
        while levels:
            item = next(levels[-1], _END)
            if item is _END:
                levels.pop()
                continue
            is_container = isinstance(item, dict | list)
            if len(levels) >= step.first or (leaves_only and not is_container):
                yield from self.following(path, item, lenient)
            if is_container and len(levels) < step.last:
                levels.append(iter(children(item)))

    def filter(self, path: Path, predicate: Path, value: Any, frame: _Frame) -> Items:
        if self.truth(predicate, value, replace(frame, current=value)):
            yield from self.following(path, value, frame)

    def method(self, path: Path, name: str, value: Any, frame: _Frame) -> Items:
        if name == "type":
            yield from self.following(path, type_name(value), frame)
        elif name == "size":
            yield from self.size(path, value, frame)
        elif name == "keyvalue":
            yield from self.keyvalue(path, value, frame)
        elif name == "double":
            yield from self.following(path, methods.double(value), frame)
        else:
            operand = number(value)
            if operand is None:
                what = f"jsonpath item method .{name}() can only be applied to a numeric value"
                raise PathError("22036", what)
            yield from self.following(path, _NUMERIC_METHODS[name](operand), frame)

    def size(self, path: Path, value: Any, frame: _Frame) -> Items:
        if isinstance(value, list) or self.lax:
            size = len(value) if isinstance(value, list) else 1
            yield from self.following(path, size, frame)
        elif not frame.lenient:
            what = "jsonpath item method .size() can only be applied to an array"
            raise PathError("22039", what)

    def keyvalue(self, path: Path, value: Any, frame: _Frame) -> Items:
        if not isinstance(value, dict):
            what = "jsonpath item method .keyvalue() can only be applied to an object"
            raise PathError("2203C", what)
        number_of_object = frame.base.id_of(value)
        for key, item in value.items():
            made = {"id": number_of_object, "key": key, "value": item}
            base = Base(made, self.objects_made)
            self.objects_made += 1
            yield from self.following(path, made, replace(frame, base=base))

    def unary(self, path: Path, operator: str, operand: Path, value: Any, frame: _Frame) -> Items:
        for item in self.operands(operand, value, frame):
            term = number(item)
            if term is None:
                what = f"operand of unary jsonpath operator {operator} is not a numeric value"
                raise PathError("2203B", what)
            result = negate(term) if operator == "-" else term
            yield from self.following(path, result, frame)

    def binary(self, path: Path, step: nodes.Binary, value: Any, frame: _Frame) -> Items:
        left = self.operands(step.left, value, frame)
        right = self.operands(step.right, value, frame)
        operands = []
        for side, found in (("left", left), ("right", right)):
            operand = number(found[0]) if len(found) == 1 else None
            if operand is None:
                what = f"operand of jsonpath operator {step.operator} is not a single numeric value"
                raise PathError("22038", f"{side} {what}")
            operands.append(operand)
        try:
            result = _ARITHMETIC[step.operator](*operands)
        except SqlError as error:
            raise PathError(error.sqlstate, error.message) from None
        return self.following(path, result, frame)

    def operands(self, path: Path, value: Any, frame: _Frame) -> _Kept:
        """Return the items of an operand; of arrays the elements, if lax."""
        return self.gather(self.flat(path, value, frame), _Kept())

    def flat(self, path: Path, value: Any, frame: _Frame) -> Items:
        for item in self.items(path, value, frame):
            if self.lax and isinstance(item, list):
                yield from item
            else:
                yield item

    # Predicates. ------------------------------------------------------------------------------

    def truth(self, path: Path, value: Any, frame: _Frame) -> Truth:
        """Return a predicate's value, None for unknown."""
        match path[0]:
            case nodes.Binary("&&", left, right):
                first = self.truth(left, value, frame)
                if first is False:
                    return False
                second = self.truth(right, value, frame)
                return first if second is True else second
            case nodes.Binary("||", left, right):
                first = self.truth(left, value, frame)
                if first is True:
                    return True
                second = self.truth(right, value, frame)
                return first if second is False else second
            case nodes.Not(inner):
                known = self.truth(inner, value, frame)
                return None if known is None else not known
            case nodes.IsUnknown(inner):
                return self.truth(inner, value, frame) is None
        return self.tolerantly(lambda: self.test(path[0], value, frame))

    def tolerantly(self, ask: Callable[[], Truth]) -> Truth:
        """Return an answer, None if an error comes in between."""
        before, self.tolerant = self.tolerant, True
        try:
            return ask()
        except PathError:
            return None
        finally:
            self.tolerant = before

    def test(self, step: nodes.Step, value: Any, frame: _Frame) -> Truth:
        match step:
            case nodes.Exists(path):
                return self.any(path, value, frame)
            case nodes.LikeRegex(subject, pattern):
                expression = compile_regex(pattern, step.letters)
                return self.some(
                    self.operands(subject, value, frame),
                    [""],
                    lambda text, _: expression.matches(text) if isinstance(text, str) else None,
                )
            case nodes.Binary("starts with", left, right):
                wholes = self.operands(left, value, frame)
                starts = self.gather(self.items(right, value, frame), _Kept())
                return self.some(wholes, starts, _starts_with)
            case nodes.Binary(operator, left, right):
                return self.some(
                    self.operands(left, value, frame),
                    self.operands(right, value, frame),
                    lambda a, b: compare(operator, a, b, self.context, zoned=self.zoned),
                )
        raise AssertionError(step)

    def some(self, left: list[Any], right: list[Any], holds: Callable[[Any, Any], Truth]) -> Truth:
        """Return whether a condition holds for some pair; strict: and is known for each."""
        result: Truth = False
        for one in left:
            for other in right:
                known = holds(one, other)
                if known is self.decisive:
                    return known
                result = result if known is False else known
        return result


def _unwraps(step: nodes.Step) -> bool:
    """Return whether a lax step takes an array's elements in the place of the array."""
    if isinstance(step, nodes.Method):
        return step.name not in _OF_ARRAYS
    return isinstance(step, _UNWRAPPING)


def _starts_with(whole: Any, start: Any) -> Truth:
    if not isinstance(whole, str) or not isinstance(start, str):
        return None
    return whole.startswith(start)


_END = object()
