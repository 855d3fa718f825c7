"""The tree of a regular expression, as its text is written; what matches how is decided elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from dsql.regex.characters import WORD, Ranges, is_subset


@dataclass(frozen=True, slots=True)
class Characters:
    """One character of a set."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Assertion:
    """A constraint on a position.

    `kind`: "begin", "end" (of the text), "line begin", "line end", "word begin", "word end", "boundary",
    "inside" (no boundary).
    """

    kind: str


@dataclass(frozen=True, slots=True)
class Look:
    """A look-ahead or look-behind constraint."""

    node: Alternation
    ahead: bool
    positive: bool


@dataclass(frozen=True, slots=True)
class BackReference:
    """What a group matched, once more. `group` is that group's content."""

    number: int
    group: Alternation


@dataclass(frozen=True, slots=True)
class Group:
    """A parenthesis; `number` 0 does not capture."""

    node: Alternation
    number: int


@dataclass(frozen=True, slots=True)
class Quantified:
    """An atom so many times (`most` None: without limit).

    `preference` is 1 for greedy, -1 for non-greedy quantifiers, 0 where there is none, or a {m}.
    """

    atom: Characters | Group | BackReference
    least: int = 1
    most: int | None = 1
    preference: int = 0


@dataclass(frozen=True, slots=True)
class Branch:
    """Items one after the other."""

    items: tuple[Quantified | Assertion | Look, ...]


@dataclass(frozen=True, slots=True)
class Alternation:
    """One or more branches, of which any may match."""

    branches: tuple[Branch, ...]


Node = Characters | Assertion | Look | BackReference | Group | Quantified | Branch | Alternation


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes right below; a back reference has its group's content there."""
    match node:
        case Alternation(branches):
            return branches
        case Branch(items):
            return items
        case Quantified(atom):
            return (atom,)
        case Group(inner) | Look(inner) | BackReference(_, inner):
            return (inner,)
    return ()


def size(node: Node) -> int:
    """Return how many characters and constraints a node is when its repetitions are written out."""
    total, stack = 0, [(node, 1)]
    while stack:
        node, times = stack.pop()
        if isinstance(node, Quantified):
            times *= max(node.least, node.most or 0, 1)
        elif isinstance(node, Characters | Assertion | Look):
            total += times
        stack += [(child, times) for child in children(node)]
    return total


def without_constraints(node: Node) -> Node:
    """Return a node that matches wherever this one does: words' ends and looks are left out."""
    match node:
        case Alternation():
            return _bare_alternation(node)
        case Branch():
            return _bare(node)
        case Group(inner, number):
            return Group(_bare_alternation(inner), number)
        case BackReference(number, inner):
            return BackReference(number, _bare_alternation(inner))
        case Quantified(atom, least, most, preference):
            bare = without_constraints(atom)
            assert isinstance(bare, Characters | Group | BackReference)
            return Quantified(bare, least, most, preference)
    return node


def _bare_alternation(node: Alternation) -> Alternation:
    return Alternation(tuple(_bare(branch) for branch in node.branches))


def _bare(branch: Branch) -> Branch:
    items = []
    for item in branch.items:
        if isinstance(item, Quantified):
            bare = without_constraints(item)
            assert isinstance(bare, Quantified)
            items.append(bare)
    return Branch(tuple(items))


def meets_word(node: Node, *, first: bool) -> bool:
    """Return whether every match begins (or ends) with a character of a word."""
    match node:
        case Characters(ranges):
            return is_subset(ranges, WORD)
        case Quantified(atom, least):
            return least > 0 and meets_word(atom, first=first)
        case Alternation(branches):
            return all(meets_word(branch, first=first) for branch in branches)
        case Group(inner) | BackReference(_, inner):
            return meets_word(inner, first=first)
        case Branch(items):
            for item in items if first else reversed(items):
                if not isinstance(item, Assertion | Look):
                    return meets_word(item, first=first)
    return False
