"""Reads PostgreSQL's regular expressions: advanced (ARE), extended (ERE), basic (BRE) and literal ones.

The rules, quirks included, are those of PostgreSQL's regc_lex.c and regcomp.c.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dsql.regex import characters
from dsql.regex.brackets import Brackets
from dsql.regex.characters import Ranges
from dsql.regex.lexer import Source, invalid
from dsql.regex.nodes import (
    Alternation,
    Assertion,
    BackReference,
    Branch,
    Characters,
    Group,
    Look,
    Quantified,
    size,
    without_constraints,
)

_REPEAT_MAX = 255
_DEPTH_MAX = 500  # of parentheses; what walks the tree recurses
_SIZE_MAX = 40_000  # characters with repetitions written out; about where PostgreSQL stops
_CONSTRAINTS = {
    "A": "begin", "Z": "end", "m": "word begin", "M": "word end", "y": "boundary", "Y": "inside",
}  # fmt: skip
_LOOKS = {
    "?=": (True, True), "?!": (True, False), "?<=": (False, True), "?<!": (False, False),
}  # fmt: skip
_CONSTRAINT_STARTS = tuple("[^$\\(")
_BOUND = re.compile(r"([0-9]*)(,?)([0-9]*)")


@dataclass(slots=True)
class Options:
    """What flag letters and embedded options set. `flavor`: advanced, extended, basic, literal."""

    flavor: str = "advanced"
    ignore_case: bool = False
    newline_stops: bool = False  # . and [^ do not match a newline
    newline_anchors: bool = False  # ^ and $ match at newlines
    expanded: bool = False

    def take(self, letter: str) -> bool:
        """Set the option of a letter; return whether there is one."""
        if letter in "ic":
            self.ignore_case = letter == "i"
        elif letter in "mnpsw":
            self.newline_stops = letter in "mnp"
            self.newline_anchors = letter in "mnw"
        elif letter in "xt":
            self.expanded = letter == "x"
        elif letter in "beq":
            self.flavor = {"b": "basic", "e": "extended", "q": "literal"}[letter]
        else:
            return False
        return True


def parse(pattern: str, options: Options) -> tuple[Alternation, int]:
    """Return the tree and how many groups it captures. Raises SqlError 2201B.

    Directors (***=) and embedded options (?i) change `options`.
    """
    start = _prefix(pattern, options)
    if options.flavor == "literal":
        _check_size(len(pattern))
    if options.flavor == "literal":
        options.newline_stops = options.newline_anchors = options.expanded = False
        one = [Quantified(Characters(_of(ord(char), options))) for char in pattern[start:]]
        return Alternation((Branch(tuple(one)),)), 0
    parser = _Parser(Source(pattern, start, options.expanded), options)
    return parser.whole(), parser.groups


def _check_size(count: int) -> None:
    if count > _SIZE_MAX:
        raise invalid("regular expression is too complex")


def _prefix(pattern: str, options: Options) -> int:
    """Take the director and the embedded options; return where the expression begins."""
    if options.flavor == "literal":
        return 0
    start = 0
    if pattern.startswith("***") and len(pattern) > 3:
        if pattern[3] == "?":
            raise invalid("invalid regexp (reg version 0.8)")
        if pattern[3] not in ":=":
            raise invalid("quantifier operand invalid")
        options.flavor = "literal" if pattern[3] == "=" else "advanced"
        start = 4
    found = re.compile(r"\(\?([a-zA-Z]+)(\)?)").match(pattern, start)
    if options.flavor == "advanced" and found:
        if not found[2] or not all(options.take(letter) for letter in found[1]):
            raise invalid("invalid embedded option")
        start = found.end()
    return start


def _of(code: int, options: Options) -> Ranges:
    ranges = ((code, code),)
    return characters.both_cases(ranges) if options.ignore_case else ranges


class _Parser:
    """Recursive descent over the expression's characters."""

    def __init__(self, source: Source, options: Options) -> None:
        self.source = source
        self.options = options
        self.advanced = options.flavor == "advanced"
        self.basic = options.flavor == "basic"
        self.groups = 0
        self.done: dict[int, Alternation] = {}  # the groups that are closed
        self.atoms = self.depth = 0
        self.star_is_plain = False
        self.in_look = 0
        self.brackets = Brackets(source, self.advanced, options.ignore_case, options.newline_stops)

    def whole(self) -> Alternation:
        node = self.alternation(nested=False)
        if not self.source.at_end():
            raise invalid("parentheses () not balanced")
        _check_size(size(node))
        return node

    def alternation(self, *, nested: bool) -> Alternation:
        self.depth += 1
        if self.depth > _DEPTH_MAX:
            raise invalid("regular expression is too complex")
        branches = [self.branch(nested=nested)]
        while not self.basic and self.source.take("|"):
            branches.append(self.branch(nested=nested))
        self.depth -= 1
        return Alternation(tuple(branches))

    def branch(self, *, nested: bool) -> Branch:
        items: list[Quantified | Assertion | Look] = []
        first = True
        while not self.at_stop(nested=nested):
            item = self.item(first=first)
            # In a BRE a * that could repeat nothing is a plain character, after ^ too.
            first = False
            self.star_is_plain = isinstance(item, Assertion) and self.source.behind() == "^"
            if item is not None:
                items.append(item)
        return Branch(tuple(items))

    def at_stop(self, *, nested: bool) -> bool:
        source = self.source
        source.skip_comments(self.advanced)
        if source.at_end() or (not self.basic and source.sees("|")):
            return True
        if not source.sees("\\)" if self.basic else ")"):
            return False
        # An unmatched ) is a plain character in an ERE.
        return nested or self.options.flavor != "extended"

    def item(self, *, first: bool) -> Quantified | Assertion | Look | None:
        """Read an atom with its quantifier, or a constraint; None for what is cancelled by {0}."""
        constraint = self.constraint(first=first)
        if constraint is not None:
            return constraint
        atom = self.atom(first=first)
        self.source.skip_comments(self.advanced)
        least, most, preference = self.quantifier()
        if most == 0:
            return None
        return Quantified(atom, least, most, preference)

    def constraint(self, *, first: bool) -> Assertion | Look | None:
        source = self.source
        if source.peek() not in _CONSTRAINT_STARTS:
            return None
        for word, kind in (("[[:<:]]", "word begin"), ("[[:>:]]", "word end")):
            if source.take(word):
                return Assertion(kind)
        lines = self.options.newline_anchors
        if source.sees("^") and (not self.basic or first):
            source.next()
            return Assertion("line begin" if lines else "begin")
        if source.sees("$") and (not self.basic or source.ends_basic()):
            source.next()
            return Assertion("line end" if lines else "end")
        if self.basic and (source.sees("\\<") or source.sees("\\>")):
            source.next()
            return Assertion("word begin" if source.next() == "<" else "word end")
        if self.advanced and source.sees("\\") and source.peek(1) in _CONSTRAINTS:
            source.next()
            return Assertion(_CONSTRAINTS[source.next()])
        if self.advanced and source.sees("(?"):
            return self.look()
        return None

    def look(self) -> Look | None:
        for mark, (ahead, positive) in _LOOKS.items():
            if self.source.take("(" + mark):
                self.in_look += 1
                node = self.inside()
                self.in_look -= 1
                return Look(node, ahead, positive)
        return None

    def inside(self) -> Alternation:
        """Read up to and with the closing parenthesis."""
        node = self.alternation(nested=True)
        if not self.source.take("\\)" if self.basic else ")"):
            raise invalid("parentheses () not balanced")
        return node

    def atom(self, *, first: bool) -> Characters | Group | BackReference:
        source = self.source
        self.atoms += 1
        _check_size(self.atoms)
        if source.take("\\(" if self.basic else "("):
            return self.group()
        char = source.next()
        if char == "[":
            return Characters(self.brackets.read())
        if char == ".":
            stop = self.options.newline_stops
            return Characters(
                characters.complement(characters.NEWLINE) if stop else characters.EVERY
            )
        if char == "\\":
            return self.escape()
        if self.basic:
            if char == "*" and not first and not self.star_is_plain:
                raise invalid("quantifier operand invalid")
        elif char in "*+?" or (char == "{" and source.peek().isdigit() and source.peek().isascii()):
            raise invalid("quantifier operand invalid")
        return self.plain(char)

    def plain(self, char: str) -> Characters:
        return Characters(_of(ord(char), self.options))

    def group(self) -> Group:
        captures = True
        if self.advanced and self.source.take("?"):
            if not self.source.take(":"):
                raise invalid("quantifier operand invalid")
            captures = False
        if not captures or self.in_look:
            return Group(self.inside(), 0)
        self.groups += 1
        number = self.groups
        node = self.inside()
        self.done[number] = node
        return Group(node, number)

    def escape(self) -> Characters | BackReference:
        source = self.source
        if source.at_end():
            raise invalid("invalid escape \\ sequence")
        if self.basic:
            char = source.next()
            if char == "{":
                raise invalid("quantifier operand invalid")
            return self.reference(int(char)) if char in "123456789" else self.plain(char)
        if not self.advanced:
            return self.plain(source.next())
        number = source.reference(self.groups)
        if number:
            return self.reference(number)
        found = source.escape()
        return self.plain(found) if isinstance(found, str) else Characters(found)

    def reference(self, number: int) -> BackReference:
        if self.in_look or number not in self.done:
            raise invalid("invalid backreference number")
        bare = without_constraints(self.done[number])  # which hold for the group's place only
        assert isinstance(bare, Alternation)
        return BackReference(number, bare)

    def quantifier(self) -> tuple[int, int | None, int]:
        source = self.source
        if source.at_end():
            return 1, 1, 0
        if source.take("*"):
            return 0, None, self.preference()
        if not self.basic and source.take("+"):
            return 1, None, self.preference()
        if not self.basic and source.take("?"):
            return 0, 1, self.preference()
        if source.sees("\\{") if self.basic else source.sees("{"):
            return self.bound()
        return 1, 1, 0

    def preference(self) -> int:
        return -1 if self.advanced and self.source.take("?") else 1

    def bound(self) -> tuple[int, int | None, int]:
        source = self.source
        if not self.basic and not (source.peek(1).isdigit() and source.peek(1).isascii()):
            return 1, 1, 0
        source.take("\\{" if self.basic else "{")
        found = source.match(_BOUND)
        assert found is not None
        least = int(found[1][:4] or 0)
        most = least if not found[2] else int(found[3][:4]) if found[3] else None
        if max(least, most or 0) > _REPEAT_MAX or (most is not None and least > most):
            raise invalid("invalid repetition count(s)")
        if source.at_end():
            raise invalid("braces {} not balanced")
        if not source.take("\\}" if self.basic else "}"):
            raise invalid("invalid repetition count(s)")
        preference = self.preference()
        # {m} passes on what its operand prefers; {m,m} is greedy.
        return least, most, preference if found[2] else 0
