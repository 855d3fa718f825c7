"""Which part of a match belongs to which group, and whether back references hold.

RE2 says where a match lies. What each group has of it follows from the preferences of the parts, earlier
ones first, as PostgreSQL decides it (regcomp.c, `parseqatom`; regexec.c, `cdissect`): the expression is cut
into parts only where that matters, each part is a language of its own, and the longest or shortest text for
a part is tried first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntFlag
from functools import cached_property

from dsql.regex.automaton import Automaton
from dsql.regex.linear import Inexpressible, LinearMatcher
from dsql.regex.nodes import (
    Alternation,
    BackReference,
    Branch,
    Group,
    Node,
    Quantified,
)
from dsql.regex.subject import Subject

Spans = list[tuple[int, int]]
NO_SPAN = (-1, -1)


class Flag(IntFlag):
    """What holds for a part."""

    LONGER = 1
    SHORTER = 2
    MIXED = 4  # both, somewhere below
    CAPTURES = 8
    REFERS = 16


_NONE = Flag(0)
_PREFERENCE = Flag.LONGER | Flag.SHORTER
_MESSY = Flag.MIXED | Flag.CAPTURES | Flag.REFERS
_BY_QUANTIFIER = {0: _NONE, 1: Flag.LONGER, -1: Flag.SHORTER}


def _up(flags: Flag) -> Flag:
    """Return what a part's flags mean to the part around it."""
    mixed = Flag.MIXED if flags & _PREFERENCE == _PREFERENCE else _NONE
    return (flags & ~_PREFERENCE) | mixed


def _combine(first: Flag, second: Flag) -> Flag:
    """Return the flags of two parts in a row: the first that prefers something decides."""
    return _up(first | second) | ((first & _PREFERENCE) or (second & _PREFERENCE))


@dataclass
class Part:
    """A piece of an expression. `kind`: "plain", "sequence", "choice", "repeat" or "reference"."""

    kind: str
    node: Node
    flags: Flag = _NONE
    parts: tuple[Part, ...] = ()
    group: int = 0  # that this part is
    groups: tuple[int, ...] = field(default=())  # more numbers for the same part: ((x))
    target: int = 0  # the group that a reference is to
    least: int = 1
    most: int | None = 1

    @cached_property
    def matcher(self) -> LinearMatcher | Automaton:
        """What knows the language of the part."""
        try:
            return LinearMatcher(self.node)
        except Inexpressible:
            return Automaton(self.node)

    def shortest(self, subject: Subject, begin: int, least: int, limit: int) -> int:
        """Return the least end, at or after `least`, of a match from `begin`; -1 for none."""
        width = 1
        high = least
        while (end := self.matcher.longest(subject, begin, high)) < least:
            if high == limit:
                return -1
            high = min(high + width, limit)
            width *= 2
        low = max(high - width // 2, least)  # nothing ends below
        while low < end:
            middle = (low + end) // 2
            found = self.matcher.longest(subject, begin, middle)
            if found >= least:
                end = found
            else:
                low = middle + 1
        return end


# ---------------------------------------------------------------- cutting


def cut(node: Alternation) -> Part:
    """Return the parts of an expression."""
    parts = [_cut_branch(branch.items) for branch in node.branches]
    if len(parts) == 1:
        return parts[0]
    flags = Flag.LONGER
    for part in parts:
        flags |= _up(flags | part.flags)
    if not flags & _MESSY:
        return Part("plain", node, flags)
    return Part("choice", node, flags, tuple(parts))


def _cut_branch(items: tuple[Node, ...]) -> Part:
    flags = _NONE
    for at, item in enumerate(items):
        if not isinstance(item, Quantified):
            continue
        inner = cut(item.atom.node) if isinstance(item.atom, Group) else None
        preference = _BY_QUANTIFIER[item.preference]
        together = flags | preference | (inner.flags if inner else _NONE)
        special = isinstance(item.atom, BackReference) or (inner and item.atom.number)  # type: ignore[union-attr]
        if not special and not _up(together) & _MESSY:
            flags = together
            continue
        following = _cut_quantified(item, inner)
        if rest := items[at + 1 :]:
            own = _combine(preference, inner.flags if inner else following.flags)
            following = _follow(following, own, _cut_branch(rest))
        if not at:
            return following
        before = Part("plain", _branch(items[:at]), flags)
        whole = _branch(items)
        return Part("sequence", whole, _combine(flags, following.flags), (before, following))
    return Part("plain", _branch(items), flags)


def _branch(items: tuple[Node, ...]) -> Branch:
    return Branch(items)  # type: ignore[arg-type]


def _follow(part: Part, flags: Flag, rest: Part) -> Part:
    """Return a part, quantified with `flags`, with what comes after it in its branch."""
    node = _branch((part.node, rest.node))
    plain = part.kind == rest.kind == "plain" and not part.group and not rest.group
    if plain and not _up(part.flags | rest.flags) & _MESSY:
        return Part("plain", node, _combine(part.flags, rest.flags))
    return Part("sequence", node, _combine(flags, rest.flags), (part, rest))


def _cut_quantified(item: Quantified, inner: Part | None) -> Part:
    preference = _BY_QUANTIFIER[item.preference]
    if isinstance(item.atom, BackReference):
        part = Part("reference", item, preference | Flag.REFERS, target=item.atom.number)
        part.least, part.most = item.least, item.most
        return part
    if isinstance(item.atom, Group) and item.atom.number:
        assert inner is not None
        inner.flags |= Flag.CAPTURES
        if inner.group:
            inner.groups += (inner.group,)
        inner.group = item.atom.number
    flags = _combine(preference, inner.flags if inner else _NONE)
    own = inner.flags & (_PREFERENCE | Flag.MIXED) if inner else _NONE
    once = (item.least, item.most) == (1, 1)
    if inner is not None and once and (not preference or not own or preference == own):
        return inner
    if inner is None or not inner.flags & (Flag.CAPTURES | Flag.REFERS):
        return Part("plain", item, flags)
    if item.least > 0 and not inner.flags & Flag.REFERS:
        # Only the last time is captured: x{m,n} is x{m-1,n-1} and then x.
        most = None if item.most is None else item.most - 1
        times = Quantified(item.atom, item.least - 1, most, item.preference)
        before = Part("plain", times, flags & _PREFERENCE)
        return Part("sequence", _branch((times, Quantified(item.atom))), flags, (before, inner))
    return Part("repeat", item, flags, (inner,), least=item.least, most=item.most)


# ---------------------------------------------------------------- dissecting


class Dissector:
    """Fills the spans of the groups for one match."""

    def __init__(self, subject: Subject, groups: int, same: Callable[[bytes, bytes], bool]) -> None:
        self.subject = subject
        self.spans: Spans = [NO_SPAN] * (groups + 1)
        self.same = same

    def dissect(self, part: Part, begin: int, end: int) -> bool:
        """Return whether the part matches there with its back references; note its groups."""
        match part.kind:
            case "sequence":
                found = self._sequence(part, begin, end)
            case "choice":
                found = self._choice(part, begin, end)
            case "repeat":
                found = self._repeat(part, begin, end)
            case "reference":
                found = self._reference(part, begin, end)
            case _:
                found = True
        if found and part.group:
            for number in (part.group, *part.groups):
                self.spans[number] = (begin, end)
        return found

    def _forget(self, part: Part) -> None:
        if part.group:
            for number in (part.group, *part.groups):
                self.spans[number] = NO_SPAN
        for inner in part.parts:
            self._forget(inner)

    def _sequence(self, part: Part, begin: int, end: int) -> bool:
        left, right = part.parts
        shorter = left.flags & Flag.SHORTER
        middle = (
            left.shortest(self.subject, begin, begin, end)
            if shorter
            else left.matcher.longest(self.subject, begin, end)
        )
        while middle >= 0:
            if right.matcher.exact(self.subject, middle, end):
                if self.dissect(left, begin, middle) and self.dissect(right, middle, end):
                    return True
                self._forget(part)
            if middle == (end if shorter else begin):
                break
            middle = (
                left.shortest(self.subject, begin, middle + 1, end)
                if shorter
                else left.matcher.longest(self.subject, begin, middle - 1)
            )
        return False

    def _choice(self, part: Part, begin: int, end: int) -> bool:
        for inner in part.parts:
            if inner.matcher.exact(self.subject, begin, end):
                if self.dissect(inner, begin, end):
                    return True
                self._forget(inner)
        return False

    def _reference(self, part: Part, begin: int, end: int) -> bool:
        first, last = self.spans[part.target]
        if first < 0:
            return False
        data, width = self.subject.data, last - first
        if not width:
            return begin == end
        count, rest = divmod(end - begin, width)
        if rest or count < part.least or (part.most is not None and count > part.most):
            return False
        self.subject.charge_bytes(end - begin)
        return self.same(data[first:last] * count, data[begin:end])

    def _repeat(self, part: Part, begin: int, end: int) -> bool:
        """Cut a match into repetitions, each as long (or short) as can be, and check them in turn."""
        if part.least == 0 and begin == end:
            # No time at all will do, but PostgreSQL prefers a group that matches nothing, where it can.
            (inner,) = part.parts
            fits = not inner.flags & Flag.SHORTER and inner.matcher.exact(self.subject, begin, end)
            if fits and not self.dissect(inner, begin, end):
                self._forget(inner)
            return True
        return _Repetition(self, part, begin, end).run()


class _Repetition:
    """The search for the ends of repetitions: depth first with the ends as its stack."""

    def __init__(self, dissector: Dissector, part: Part, begin: int, end: int) -> None:
        self.dissector = dissector
        self.subject = dissector.subject
        (self.inner,) = part.parts
        self.end = end
        self.ends = [begin]
        self.least = max(part.least, 1)
        longest = max(end - begin, self.least)
        self.most = longest if part.most is None else max(min(part.most, longest), self.least)
        self.refers = bool(self.inner.flags & Flag.REFERS)
        self.dead: set[tuple[int, int]] = set()

    def run(self) -> bool:
        candidate = self._first()
        while True:
            if candidate >= 0 and self._take(candidate):
                if self.ends[-1] == self.end:  # PostgreSQL adds no empty times there
                    if len(self.ends) > self.least and self._check():
                        return True
                elif len(self.ends) <= self.most:
                    candidate = self._first()
                    continue
                candidate = self.ends.pop()
            if candidate < 0:
                if len(self.ends) == 1:
                    return False
                if not self.refers:
                    self.dead.add((self.ends[-1], min(len(self.ends), self.least)))
                candidate = self.ends.pop()
            candidate = self._next(candidate)

    def _take(self, candidate: int) -> bool:
        """Add an end unless it leads nowhere."""
        taken = len(self.ends)
        empty = candidate == self.ends[-1]
        # Without a character it may go on only if there are not enough times otherwise.
        if empty and candidate != self.end and self.least - taken < max(self.end - candidate, 1):
            return False
        if (candidate, min(taken + 1, self.least)) in self.dead:
            return False
        self.ends.append(candidate)
        return True

    def _first(self) -> int:
        begin = self.ends[-1]
        if self.inner.flags & Flag.SHORTER:
            return self.inner.shortest(self.subject, begin, begin, self.end)
        return self.inner.matcher.longest(self.subject, begin, self.end)

    def _next(self, candidate: int) -> int:
        """Return the next end to try for the same repetition."""
        begin = self.ends[-1]
        if self.inner.flags & Flag.SHORTER:
            if candidate >= self.end:
                return -1
            return self.inner.shortest(self.subject, begin, candidate + 1, self.end)
        if candidate <= begin:
            return -1
        return self.inner.matcher.longest(self.subject, begin, candidate - 1)

    def _check(self) -> bool:
        for first, last in zip(self.ends, self.ends[1:], strict=False):
            self.dissector._forget(self.inner)
            if not self.refers and last != self.end:
                continue  # only the last one's groups count, and nothing else can fail
            if not self.dissector.dissect(self.inner, first, last):
                self.dissector._forget(self.inner)
                return False
        return True
