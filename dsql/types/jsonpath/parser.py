"""Reads a jsonpath, by the grammar of PostgreSQL's jsonpath_gram.y.

Values and predicates are told apart: `(1 == 2) + 1` is an error at the `+`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NoReturn

from dsql.errors import SqlError
from dsql.regex.expression import compile_regex
from dsql.types.jsonpath.lexer import KEYWORDS, syntax_error, tokens
from dsql.types.jsonpath.nodes import (
    ARITHMETIC,
    COMPARISONS,
    LAST_LEVEL,
    AnyElement,
    AnyKey,
    Binary,
    Current,
    Datetime,
    Descent,
    Elements,
    Exists,
    Filter,
    IsUnknown,
    JsonPath,
    Key,
    Last,
    LikeRegex,
    Literal,
    Method,
    Not,
    Path,
    Root,
    Step,
    Unary,
    Variable,
    is_predicate,
)
from dsql.types.numeric import parse_numeric

_METHODS = frozenset(("abs", "size", "type", "floor", "double", "ceiling", "keyvalue"))
_PRIMARIES: dict[str, Step] = {
    "null": Literal(None),
    "true": Literal(True),
    "false": Literal(False),
    "$": Root(),
    "@": Current(),
    "last": Last(),
}
_FLAGS = "ismxq"
_REMEMBERED_CHARACTERS_MAX = 1_000


def parse(text: str) -> JsonPath:
    """Read a jsonpath. Raises SqlError 42601, 22P02, 22P05, 2201B, 0A000, 22003, 54001."""
    return _parse_again(text) if len(text) <= _REMEMBERED_CHARACTERS_MAX else _parse(text)


def _parse(text: str) -> JsonPath:
    try:
        return _Parser(text).whole()
    except RecursionError:
        raise SqlError("54001", "stack depth limit exceeded") from None


_parse_again = lru_cache(256)(_parse)


class _Parser:
    """Recursive descent; `token` is the next one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.filters = self.subscripts = 0  # that are open
        self.misplaced = ""  # the first error that PostgreSQL looks for once all is read
        self.token = next(self.tokens)

    def advance(self) -> str:
        """Go on to the next token, of which the end is the last; return the text of the one before."""
        text = self.token.text
        self.token = next(self.tokens, self.token)
        return text

    def take(self, *kinds: str) -> str:
        """Take the next token if it is one of these kinds; return its kind, or ""."""
        kind = self.token.kind
        if kind not in kinds:
            return ""
        self.advance()
        return kind

    def fail(self) -> NoReturn:
        raise syntax_error("syntax error", self.token.shown)

    def expect(self, kind: str) -> str:
        if self.token.kind != kind:
            self.fail()
        return self.advance()

    def whole(self) -> JsonPath:
        if self.token.kind == "end":
            raise SqlError("22P02", f'invalid input syntax for type jsonpath: "{self.text}"')
        lax = self.take("strict", "lax") != "strict"
        path = self.alternatives()
        self.expect("end")
        if self.misplaced:
            raise SqlError("42601", self.misplaced)
        return JsonPath(lax, path)

    # Predicates, which may turn out to be values. ------------------------------------------------

    def alternatives(self) -> Path:
        return self.joined("||", self.conjunction)

    def conjunction(self) -> Path:
        return self.joined("&&", self.condition)

    def joined(self, operator: str, operand: Callable[[], Path]) -> Path:
        left = operand()
        while self.token.kind == operator:
            self.must_be_predicate(left)
            self.advance()
            right = operand()
            self.must_be_predicate(right)
            left = (Binary(operator, left, right),)
        return left

    def must_be_predicate(self, path: Path) -> None:
        if not is_predicate(path):
            self.fail()

    def predicate(self) -> Path:
        path = self.alternatives()
        self.must_be_predicate(path)
        return path

    def condition(self) -> Path:
        if self.take("!"):
            return (Not(self.delimited()),)
        if self.token.kind == "exists":
            return self.delimited()
        left = self.sum()
        if is_predicate(left):
            return self.unknown(left)
        if operator := self.take(*COMPARISONS):
            return (Binary(operator, left, self.value(self.sum)),)
        if self.take("starts"):
            self.expect("with")
            if self.token.kind not in ("string", "variable"):
                self.fail()
            return (Binary("starts with", left, (self.primary(),)),)
        return (self.like_regex(left),) if self.take("like_regex") else left

    def unknown(self, predicate: Path) -> Path:
        if not self.take("is"):
            return predicate
        self.expect("unknown")
        return (IsUnknown(predicate),)

    def delimited(self) -> Path:
        if self.take("exists"):
            self.expect("(")
            path: Path = (Exists(self.value(self.sum)),)
        else:
            self.expect("(")
            path = self.predicate()
        self.expect(")")
        return path

    def like_regex(self, subject: Path) -> LikeRegex:
        pattern, given = self.expect("string"), ""
        if self.take("flag"):
            given = self.expect("string")
        for flag in given:
            if flag not in _FLAGS:
                raise SqlError(
                    "42601",
                    "invalid input syntax for type jsonpath",
                    detail=f'Unrecognized flag character "{flag}" in LIKE_REGEX predicate.',
                )
        if "x" in given and "q" not in given:
            what = 'XQuery "x" flag (expanded regular expressions) is not implemented'
            raise SqlError("0A000", what)
        made = LikeRegex(subject, pattern, "".join(flag for flag in _FLAGS if flag in given))
        compile_regex(pattern, made.letters)
        return made

    # Values. --------------------------------------------------------------------------------------

    def value(self, read: Callable[[], Path]) -> Path:
        """Read an operand that must not be a predicate."""
        path = read()
        if is_predicate(path):
            self.fail()
        return path

    def sum(self) -> Path:
        return self.operation("+-", self.product)

    def product(self) -> Path:
        return self.operation("*/%", self.signed)

    def operation(self, operators: str, operand: Callable[[], Path]) -> Path:
        left = operand()
        while self.token.kind in ARITHMETIC and self.token.kind in operators:
            if is_predicate(left):
                self.fail()
            operator = self.take(*operators)
            left = (Binary(operator, left, self.value(operand)),)
        return left

    def signed(self) -> Path:
        if not (sign := self.take("+", "-")):
            return self.accessed()
        operand = self.value(self.signed)
        match operand:
            case (Literal(value),) if value is not None and not isinstance(value, bool | str):
                return (Literal(value if sign == "+" or not value else value.copy_negate()),)
        return (Unary(sign, operand),)

    def accessed(self) -> Path:
        if self.take("("):
            path = self.alternatives()
            self.expect(")")
        else:
            path = (self.primary(),)
        steps = list(path)
        while self.token.kind in (".", "[", "?"):
            steps.append(self.accessor())
        return tuple(steps)

    def primary(self) -> Step:
        kind = self.token.kind
        if kind in ("number", "integer"):
            return Literal(parse_numeric(self.advance()))
        if kind == "string":
            return Literal(self.advance())
        if kind == "variable":
            return Variable(self.advance())
        if kind not in _PRIMARIES:
            self.fail()
        if kind == "@" and not self.filters:
            self.misplaced = self.misplaced or "@ is not allowed in root expressions"
        if kind == "last" and not self.subscripts:
            self.misplaced = self.misplaced or "LAST is allowed only in array subscripts"
        self.advance()
        return _PRIMARIES[kind]

    def accessor(self) -> Step:
        if self.take("["):
            step = self.elements()
            self.expect("]")
            return step
        if self.take("?"):
            self.expect("(")
            self.filters += 1
            predicate = self.predicate()
            self.filters -= 1
            self.expect(")")
            return Filter(predicate)
        self.expect(".")
        if self.take("*"):
            return AnyKey()
        return self.descent() if self.take("**") else self.key()

    def elements(self) -> AnyElement | Elements:
        if self.take("*"):
            return AnyElement()
        ranges: list[tuple[Path, Path | None]] = []
        self.subscripts += 1
        while not ranges or self.take(","):
            first = self.value(self.sum)
            ranges.append((first, self.value(self.sum) if self.take("to") else None))
        self.subscripts -= 1
        return Elements(tuple(ranges))

    def descent(self) -> Descent:
        if not self.take("{"):
            return Descent(0, LAST_LEVEL)
        first = self.level()
        last = self.level() if self.take("to") else first
        self.expect("}")
        return Descent(first, last)

    def level(self) -> int:
        if self.take("last"):
            return LAST_LEVEL
        text = self.expect("integer")
        if int(text) >= 2**31:
            raise SqlError("22003", f'value "{text}" is out of range for type integer')
        return int(text)

    def key(self) -> Key | Method | Datetime:
        kind = self.token.kind
        if kind not in ("name", "string") and kind not in KEYWORDS:
            self.fail()
        name = self.advance()
        if kind == "datetime" and self.take("("):
            template = self.advance() if self.token.kind == "string" else None
            self.expect(")")
            return Datetime(template)
        if kind in _METHODS and self.take("("):
            self.expect(")")
            return Method(kind)
        return Key(name)
