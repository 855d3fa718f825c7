"""The conditions of a policy's statement: operators over the values that a request comes with.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html.
A key without a value fulfils no operator but the negated ones, `Null`, and those that end in `IfExists`.
Where a policy leaves open which of several values is meant, all have to fulfil what allows, and one is
enough for what denies.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from dsql.iam.patterns import Context, has_variables, literal, marked, matches, substitute

Test = Callable[[str, str], bool]  # of a request's value and the policy's
_EVERY, _ANY = "ForAllValues:", "ForAnyValue:"
_NULL = "Null"


class _Operator(NamedTuple):
    """`negated`: it holds if no value passes. `read` raises ValueError for what is no value of its type."""

    test: Test
    negated: bool = False
    read: Callable[[str], object] = str


class Condition(NamedTuple):
    """One key under one operator. `quantifier` is _EVERY, _ANY or empty."""

    operator: str
    quantifier: str
    if_exists: bool
    key: str
    values: tuple[str, ...]

    def holds(self, context: Context, *, allows: bool) -> bool:
        """Return whether a request's values fulfil it, in a statement that allows or denies."""
        found = context.get(self.key, ())
        if self.operator == _NULL:
            return ("false" if found else "true") in self.values
        test, negated, _ = _OPERATORS[self.operator]
        if not found:
            missing = {_EVERY: True, _ANY: False}.get(self.quantifier, negated)
            return missing or self.if_exists
        wanted = [substitute(value, context) for value in self.values]
        if None in wanted and negated and allows:
            return False  # it would allow all but what nobody can say
        known = [value for value in wanted if value is not None]

        def fits(value: str) -> bool:
            return any(_passes(test, value, one) for one in known) != negated

        every = allows if not self.quantifier else self.quantifier == _EVERY
        return all(map(fits, found)) if every else any(map(fits, found))

    @property
    def is_selective(self) -> bool:
        """Whether it holds for nobody without a value, nor for all but some."""
        if self.operator == _NULL or self.if_exists or self.quantifier == _EVERY:
            return False
        return not _OPERATORS[self.operator].negated


def parse_conditions(block: object, *, variables: bool = True) -> tuple[Condition, ...]:
    """Return the conditions of a `Condition` block, all of which have to hold. Raises ValueError.

    `variables`: whether the policy's version has them.
    """
    if not isinstance(block, dict):
        raise ValueError("Condition must be an object")
    found = []
    for word, keys in block.items():
        if not isinstance(keys, dict):
            raise ValueError(f"Condition {word} must be an object")
        found += [_condition(word, key, value, variables) for key, value in keys.items()]
    return tuple(found)


def _condition(word: str, key: str, value: Any, variables: bool) -> Condition:
    quantifier = next((one for one in (_EVERY, _ANY) if word.startswith(one)), "")
    name = word.removeprefix(quantifier)
    if_exists = name.endswith("IfExists") and name != f"{_NULL}IfExists"
    name = name.removesuffix("IfExists") if if_exists else name
    if name != _NULL and name not in _OPERATORS:
        raise ValueError(f"Invalid condition operator: {word}")
    values = _values(word, value)
    if name == _NULL:
        return Condition(name, quantifier, False, key.lower(), tuple(v.lower() for v in values))
    texts = tuple(one if variables else literal(one) for one in values)
    for one in texts:
        if not has_variables(one):
            _check_value(word, _OPERATORS[name], one)
    like = _OPERATORS[name].test in (_like, _arn)
    shown = tuple(map(marked, texts)) if like else texts
    return Condition(name, quantifier, if_exists, key.lower(), shown)


def _check_value(word: str, found: _Operator, value: str) -> None:
    try:
        found.read(value)
    except ValueError:
        raise ValueError(f"Invalid value of the condition {word}: {value!r}") from None


def _values(word: str, value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str | int | float) for one in values):
        raise ValueError(f"Invalid values of the condition {word}")
    return tuple(str(one).lower() if isinstance(one, bool) else str(one) for one in values)


def _passes(test: Test, value: str, wanted: str) -> bool:
    try:
        return test(value, wanted)
    except ValueError:  # of a type that cannot be compared so
        return False


def _arn(value: str, wanted: str) -> bool:
    """Compare ARNs part by part, so that no wildcard reaches over a colon."""
    ours, theirs = value.split(":", 5), wanted.split(":", 5)
    return len(ours) == len(theirs) == 6 and all(map(matches, theirs, ours))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def _in_network(value: str, wanted: str) -> bool:
    return ipaddress.ip_address(value) in _network(wanted)


def _moment(text: str) -> float:
    """Return seconds since 1970 of ISO 8601 or a number."""
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    moment = datetime.datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _compared(convert: Callable[[str], float], compare: Callable[[float, float], bool]) -> Test:
    return lambda value, wanted: compare(convert(value), convert(wanted))


def _ordered(kind: str, convert: Callable[[str], float]) -> dict[str, _Operator]:
    comparisons = {
        "Equals": operator.eq,
        "LessThan": operator.lt,
        "LessThanEquals": operator.le,
        "GreaterThan": operator.gt,
        "GreaterThanEquals": operator.ge,
    }
    found = {
        f"{kind}{name}": _Operator(_compared(convert, compare), read=convert)
        for name, compare in comparisons.items()
    }
    unequal = _Operator(_compared(convert, operator.eq), negated=True, read=convert)
    return found | {f"{kind}NotEquals": unequal}


def _like(value: str, wanted: str) -> bool:
    return matches(wanted, value)


def _alike(value: str, wanted: str) -> bool:
    return value.lower() == wanted.lower()


_OPERATORS: dict[str, _Operator] = {
    "StringEquals": _Operator(operator.eq),
    "StringNotEquals": _Operator(operator.eq, negated=True),
    "StringEqualsIgnoreCase": _Operator(_alike),
    "StringNotEqualsIgnoreCase": _Operator(_alike, negated=True),
    "StringLike": _Operator(_like),
    "StringNotLike": _Operator(_like, negated=True),
    "ArnEquals": _Operator(_arn),
    "ArnLike": _Operator(_arn),
    "ArnNotEquals": _Operator(_arn, negated=True),
    "ArnNotLike": _Operator(_arn, negated=True),
    "IpAddress": _Operator(_in_network, read=_network),
    "NotIpAddress": _Operator(_in_network, negated=True, read=_network),
    "Bool": _Operator(_alike),
    "BinaryEquals": _Operator(operator.eq, read=_bytes),
    **_ordered("Numeric", float),
    **_ordered("Date", _moment),
}
