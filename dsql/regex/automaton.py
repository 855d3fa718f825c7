"""Matching by simulating the automaton itself, for constraints that RE2 does not know.

All states are followed at once, so the steps are at most characters times states; each is counted. Whether
a look-behind holds is found out for all positions in one run over the text, a look-ahead once for each.
"""

from __future__ import annotations

from collections.abc import Iterable

from dsql.regex.characters import Ranges, is_word
from dsql.regex.linear import LinearMatcher
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
    without_constraints,
)
from dsql.regex.subject import Subject

_ACCEPT = 0

# A state: what it tests (a set of characters, a constraint, or nothing) and where it leads.
_State = tuple[Ranges | Assertion | Look | None, tuple[int, ...]]


class Automaton:
    """The texts that a node matches, whatever its groups are. Raises SqlError 2201B and 54001."""

    def __init__(self, node: Node) -> None:
        self._states: list[_State] = [(None, ())]
        self._looks: dict[int, Automaton] = {}
        self._start = self._add(node, _ACCEPT)
        # Finds fast where a match can begin at the earliest, or that there is none.
        self._superset = LinearMatcher(without_constraints(node))

    # -------------------------------------------------------- building

    def _new(self, state: _State) -> int:
        self._states.append(state)
        return len(self._states) - 1

    def _add(self, node: Node, after: int) -> int:
        """Add the states of a node that goes on to the state `after`; return its first."""
        match node:
            case Characters(ranges):
                return self._new((ranges, (after,)))
            case Assertion():
                return self._new((node, (after,)))
            case Look(inner):
                state = self._new((node, (after,)))
                self._looks[id(node)] = Automaton(inner)
                return state
            case Alternation(branches):
                return self._new((None, tuple(self._add(branch, after) for branch in branches)))
            case Branch(items):
                for item in reversed(items):
                    after = self._add(item, after)
                return after
            case Group(inner) | BackReference(_, inner):
                return self._add(inner, after)
            case Quantified(atom, least, most):
                return self._repeat(atom, least, most, after)
        raise AssertionError(node)

    def _repeat(self, atom: Node, least: int, most: int | None, after: int) -> int:
        if most is None:
            loop = self._new((None, ()))
            self._states[loop] = (None, (self._add(atom, loop), after))
            after = loop
        else:
            end = after
            for _ in range(most - least):
                after = self._new((None, (self._add(atom, after), end)))
        for _ in range(least):
            after = self._add(atom, after)
        return after

    # -------------------------------------------------------- running

    def _close(
        self, subject: Subject, seeds: Iterable[tuple[int, int]], offset: int
    ) -> dict[int, int]:
        """Return the states reached without a character, each with the least of its beginnings."""
        reached: dict[int, int] = {}
        stack = sorted(seeds, key=lambda seed: -seed[1])  # the earliest beginning is taken first
        while stack:
            number, begin = stack.pop()
            if number in reached:
                continue
            reached[number] = begin
            tested, following = self._states[number]
            if isinstance(tested, tuple):
                continue
            if tested is None or self._holds(subject, tested, offset):
                stack += [(state, begin) for state in following]
        subject.charge(1 + len(reached))
        return reached

    def _step(self, reached: dict[int, int], code: int) -> list[tuple[int, int]]:
        return [
            (self._states[number][1][0], begin)
            for number, begin in reached.items()
            if isinstance(ranges := self._states[number][0], tuple)
            and any(low <= code <= high for low, high in ranges)
        ]

    def longest(self, subject: Subject, begin: int, limit: int, *, any_end: bool = False) -> int:
        """Return the end of the longest match from `begin` that ends by `limit`, -1 for none.

        With `any_end` the first end that is found will do.
        """
        found, offset = -1, begin
        reached = self._close(subject, [(self._start, begin)], offset)
        while reached:
            if _ACCEPT in reached:
                found = offset
                if any_end:
                    break
            code = subject.code(offset)
            offset = subject.after(offset)
            if code < 0 or offset > limit:
                break
            reached = self._close(subject, self._step(reached, code), offset)
        return found

    def exact(self, subject: Subject, begin: int, end: int) -> bool:
        """Return whether a match lies exactly there."""
        return self.longest(subject, begin, end) == end

    def search(self, subject: Subject, start: int) -> tuple[int, int] | None:
        """Return where the leftmost longest match at or after `start` lies."""
        possible = self._superset.search(subject, start)
        if possible is None:
            return None
        best, offset = -1, possible[0]
        seeds: list[tuple[int, int]] = []
        while offset <= len(subject.data):
            if best < 0:
                seeds.append((self._start, offset))
            reached = self._close(subject, seeds, offset)
            if _ACCEPT in reached and (best < 0 or reached[_ACCEPT] < best):
                best = reached[_ACCEPT]
            seeds = self._step(reached, subject.code(offset))
            if best >= 0:
                seeds = [(state, begin) for state, begin in seeds if begin < best]
                if not seeds:
                    break
            offset = subject.after(offset)
        return None if best < 0 else (best, self.longest(subject, best, len(subject.data)))

    def _ends(self, subject: Subject) -> set[int]:
        """Return every offset where some match ends."""
        ends: set[int] = set()
        offset = 0
        seeds: list[tuple[int, int]] = []
        while offset <= len(subject.data):
            reached = self._close(subject, [*seeds, (self._start, 0)], offset)
            if _ACCEPT in reached:
                ends.add(offset)
            seeds = self._step(reached, subject.code(offset))
            offset = subject.after(offset)
        return ends

    # -------------------------------------------------------- constraints

    def _holds(self, subject: Subject, tested: Assertion | Look, offset: int) -> bool:
        if isinstance(tested, Assertion):
            return holds(tested.kind, subject, offset)
        inside = self._looks[id(tested)]
        if not tested.ahead:
            ends = subject.facts.get(id(tested))
            if ends is None:
                ends = subject.facts[id(tested)] = inside._ends(subject)
            return (offset in ends) == tested.positive
        key = id(tested), offset
        begins = subject.facts.get(key)
        if begins is None:
            end = inside.longest(subject, offset, len(subject.data), any_end=True)
            begins = subject.facts[key] = end >= 0
        return bool(begins) == tested.positive


def holds(kind: str, subject: Subject, offset: int) -> bool:
    """Return whether an assertion holds at an offset."""
    data = subject.data
    match kind:
        case "begin":
            return offset == 0
        case "end":
            return offset == len(data)
        case "line begin":
            return offset == 0 or data[offset - 1] == 10
        case "line end":
            return offset == len(data) or data[offset] == 10
    before = offset > 0 and is_word(data[offset - 1])
    after = offset < len(data) and is_word(data[offset])
    match kind:
        case "word begin":
            return after and not before
        case "word end":
            return before and not after
        case "boundary":
            return before != after
    return before == after
