"""The conditions of a policy's statement: operators over the values that a request comes with.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html.
A key without a value fulfils no operator but the negated ones, `Null`, and those that end in `IfExists`.
"""

from __future__ import annotations

import datetime
import ipaddress
import operator
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from dsql.iam.request import Context, matches

Test = Callable[[str, str], bool]  # of a request's value and the policy's
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERALS = {"*": "*", "?": "?", "$": "$"}  # ${*} is a star
_QUANTIFIERS = ("ForAllValues:", "ForAnyValue:")


class Condition(NamedTuple):
    """One key under one operator. `quantifier` is one of _QUANTIFIERS or empty."""

    operator: str
    quantifier: str
    if_exists: bool
    key: str
    values: tuple[str, ...]

    def holds(self, context: Context) -> bool:
        """Return whether a request's values fulfil it."""
        found = context.get(self.key, ())
        if self.operator == "Null":
            return self.values == (("false",) if found else ("true",))
        test, negated = _OPERATORS[self.operator]
        if not found:
            return negated or self.if_exists or self.quantifier == _QUANTIFIERS[0]
        wanted = [substitute(value, context) for value in self.values]

        def fits(value: str) -> bool:
            return any(_holds(test, value, one) for one in wanted) != negated

        # A negated operator wants all of the values to be none of those listed.
        every = self.quantifier == _QUANTIFIERS[0] or (negated and not self.quantifier)
        return all(map(fits, found)) if every else any(map(fits, found))


def parse_conditions(block: object) -> tuple[Condition, ...]:
    """Return the conditions of a `Condition` block, all of which have to hold. Raises ValueError."""
    if not isinstance(block, dict):
        raise ValueError("Condition must be an object")
    found = []
    for word, keys in block.items():
        if not isinstance(keys, dict):
            raise ValueError(f"Condition {word} must be an object")
        found += [_condition(word, key, value) for key, value in keys.items()]
    return tuple(found)


def substitute(text: str, context: Context) -> str:
    """Replace policy variables such as ${aws:username}; one without a value matches nothing."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        literal = _LITERALS.get(name)
        return literal or next(iter(context.get(name.lower(), ())), "\0")

    return _VARIABLE.sub(value, text) if "${" in text else text


def _condition(word: str, key: str, value: Any) -> Condition:
    quantifier = next((one for one in _QUANTIFIERS if word.startswith(one)), "")
    name = word.removeprefix(quantifier)
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if name != "Null" and name not in _OPERATORS:
        raise ValueError(f"Invalid condition operator: {word}")
    return Condition(name, quantifier, if_exists, key.lower(), _values(word, value))


def _values(word: str, value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str | int | float) for one in values):
        raise ValueError(f"Invalid values of the condition {word}")
    return tuple(str(one).lower() if isinstance(one, bool) else str(one) for one in values)


def _holds(test: Test, value: str, wanted: str) -> bool:
    try:
        return test(value, wanted)
    except ValueError:  # of a type that cannot be compared so
        return False


def _arn(value: str, wanted: str) -> bool:
    """Compare ARNs part by part, so that no wildcard reaches over a colon."""
    ours, theirs = value.split(":", 5), wanted.split(":", 5)
    return len(ours) == len(theirs) == 6 and all(map(matches, theirs, ours))


def _in_network(value: str, wanted: str) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)


def _moment(text: str) -> float:
    """Return seconds since 1970 of ISO 8601 or a number."""
    if text.replace(".", "", 1).isdigit():
        return float(text)
    moment = datetime.datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _compared(convert: Callable[[str], float], compare: Callable[[float, float], bool]) -> Test:
    return lambda value, wanted: compare(convert(value), convert(wanted))


def _ordered(kind: str, convert: Callable[[str], float]) -> dict[str, tuple[Test, bool]]:
    comparisons = {
        "Equals": operator.eq,
        "LessThan": operator.lt,
        "LessThanEquals": operator.le,
        "GreaterThan": operator.gt,
        "GreaterThanEquals": operator.ge,
    }
    found = {f"{kind}{name}": (_compared(convert, c), False) for name, c in comparisons.items()}
    return found | {f"{kind}NotEquals": (_compared(convert, operator.eq), True)}


def _like(value: str, wanted: str) -> bool:
    return matches(wanted, value)


def _alike(value: str, wanted: str) -> bool:
    return value.lower() == wanted.lower()


# name -> (what to test, whether it is that no value does)
_OPERATORS: dict[str, tuple[Test, bool]] = {
    "StringEquals": (operator.eq, False),
    "StringNotEquals": (operator.eq, True),
    "StringEqualsIgnoreCase": (_alike, False),
    "StringNotEqualsIgnoreCase": (_alike, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_arn, False),
    "ArnLike": (_arn, False),
    "ArnNotEquals": (_arn, True),
    "ArnNotLike": (_arn, True),
    "IpAddress": (_in_network, False),
    "NotIpAddress": (_in_network, True),
    "Bool": (_alike, False),
    "BinaryEquals": (operator.eq, False),
    **_ordered("Numeric", float),
    **_ordered("Date", _moment),
}
