"""Matching by RE2: linear in the text, for everything but back references and look-around."""

from __future__ import annotations

# The package's own face keeps the last 128 expressions for good; here whoever compiled one keeps it.
from re2 import _re2

from dsql.regex.characters import CODE_POINT_MAX, Ranges
from dsql.regex.lexer import invalid
from dsql.regex.nodes import (
    Alternation,
    Assertion,
    BackReference,
    Branch,
    Characters,
    Group,
    Look,
    Node,
    Quantified,
    meets_word,
)
from dsql.regex.subject import Subject

_MEMORY_MAX = 8 << 20  # bytes, of a compiled expression with its automata
_SOURCE_MAX = 1 << 20
_REPEAT_MAX = 1000  # RE2's own bound of a repetition, nested ones multiplied
_ASSERTIONS = {
    "begin": r"\A", "end": r"\z", "line begin": "(?m:^)", "line end": "(?m:$)",
    "boundary": r"\b", "inside": r"\B",
}  # fmt: skip
_ANYWHERE = _re2.RE2.Anchor.UNANCHORED
_FROM_START = _re2.RE2.Anchor.ANCHOR_START
_WHOLE = _re2.RE2.Anchor.ANCHOR_BOTH


class Inexpressible(Exception):  # noqa: N818  (control flow inside of this package)
    """RE2 has no words for an expression."""


def _options() -> _re2.RE2.Options:
    options = _re2.RE2.Options()
    options.longest_match = True
    options.log_errors = False
    options.max_mem = _MEMORY_MAX
    return options


class LinearMatcher:
    """The texts that a node matches, whatever its groups are. Raises Inexpressible, SqlError 2201B."""

    def __init__(self, node: Node) -> None:
        source = _Writer().write(node)
        if len(source) > _SOURCE_MAX:
            raise invalid("regular expression is too complex")
        compiled = _re2.RE2(source.encode(), _options())
        if not compiled.ok():
            raise invalid("regular expression is too complex")
        self._match = compiled.Match

    def search(self, subject: Subject, start: int) -> tuple[int, int] | None:
        """Return where the leftmost longest match at or after `start` lies."""
        begin, end = self._match(_ANYWHERE, subject.data, start, len(subject.data))[0]
        while not subject.is_boundary(begin):
            # RE2 finds \B, which matches nothing, between the bytes of a character too.
            start = subject.after(begin)
            begin, end = self._match(_ANYWHERE, subject.data, start, len(subject.data))[0]
        return None if begin < 0 else (begin, end)

    def longest(self, subject: Subject, begin: int, limit: int) -> int:
        """Return the end of the longest match from `begin` that ends by `limit`, -1 for none."""
        end: int = self._match(_FROM_START, subject.data, begin, limit)[0][1]
        subject.charge_bytes(max(end, begin) - begin)
        return end

    def exact(self, subject: Subject, begin: int, end: int) -> bool:
        """Return whether a match lies exactly there."""
        subject.charge_bytes(end - begin)
        return bool(self._match(_WHOLE, subject.data, begin, end)[0][0] >= 0)


class _Writer:
    """Writes a node in RE2's syntax. Groups do not capture: that would cost RE2 its fast automata."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, node: Node, repeats: int = 1) -> str:
        match node:
            case Characters(ranges):
                return self.sized(_characters(ranges))
            case Quantified(atom, least, most):
                return self.quantified(atom, least, most, repeats)
            case Group(inner) | BackReference(_, inner):
                return self.write(inner, repeats)
            case Alternation(branches):
                written = (self.write(branch, repeats) for branch in branches)
                return "(?:" + "|".join(written) + ")"
            case Branch(items):
                return "".join(
                    self.assertion(items, at, item)
                    if isinstance(item, Assertion)
                    else self.write(item, repeats)
                    for at, item in enumerate(items)
                )
            case Assertion():
                return self.assertion((node,), 0, node)
            case Look():
                raise Inexpressible
        raise AssertionError(node)

    def sized(self, text: str) -> str:
        self.size += len(text)
        if self.size > _SOURCE_MAX:
            raise invalid("regular expression is too complex")
        return text

    def quantified(self, atom: Node, least: int, most: int | None, repeats: int) -> str:
        if (least, most) == (1, 1):
            return self.write(atom, repeats)
        count = max(least, most or 0, 1)
        if repeats * count <= _REPEAT_MAX:
            inner = self.write(atom, repeats * count)
            if most is None and least < 2:
                return f"(?:{inner}){'+' if least else '*'}"
            upper = "" if most is None else most
            return f"(?:{inner}){{{least},{upper}}}"
        inner = f"(?:{self.write(atom, repeats)})"
        self.sized(inner * (count - 1))
        if most is None:
            return inner * least + inner + "*"
        return inner * least + f"(?:{inner}" * (most - least) + ")?" * (most - least)

    def assertion(self, items: tuple[Node, ...], at: int, item: Assertion) -> str:
        if item.kind == "word begin" and meets_word(Branch(items[at + 1 :]), first=True):  # type: ignore[arg-type]
            return r"\b"
        if item.kind == "word end" and meets_word(Branch(items[:at]), first=False):  # type: ignore[arg-type]
            return r"\b"
        if item.kind not in _ASSERTIONS:
            raise Inexpressible
        return _ASSERTIONS[item.kind]


def _characters(ranges: Ranges) -> str:
    if not ranges:
        return rf"[^\x00-\x{{{CODE_POINT_MAX:x}}}]"
    return "[" + "".join(rf"\x{{{low:x}}}-\x{{{high:x}}}" for low, high in ranges) + "]"
