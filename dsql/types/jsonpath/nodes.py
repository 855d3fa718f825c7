"""The tree of a jsonpath.

An expression is a `Path`: a tuple of steps, the first of which makes items (a literal, `$`, an operator)
and each further one takes those of the one before (`.key`, `[*]`, `?(...)`, `.size()`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

LAST_LEVEL = 2**32 - 1  # `last` in .**{...}


@dataclass(frozen=True, slots=True)
class Literal:
    """A JSON scalar."""

    value: bool | Decimal | str | None


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name`: a member of the object of variables."""

    name: str


@dataclass(frozen=True, slots=True)
class Root:
    """`$`: the whole value."""


@dataclass(frozen=True, slots=True)
class Current:
    """`@`: the item that the innermost filter looks at."""


@dataclass(frozen=True, slots=True)
class Last:
    """`last`: the index of the last element of the innermost subscripted array."""


@dataclass(frozen=True, slots=True)
class Key:
    """`.name`."""

    name: str


@dataclass(frozen=True, slots=True)
class AnyKey:
    """`.*`."""


@dataclass(frozen=True, slots=True)
class AnyElement:
    """`[*]`."""


@dataclass(frozen=True, slots=True)
class Elements:
    """`[1, 2 to last]`: pairs of the first and the last index; None: the first one only."""

    ranges: tuple[tuple[Path, Path | None], ...]


@dataclass(frozen=True, slots=True)
class Descent:
    """`.**{first to last}`; both LAST_LEVEL: the leaves."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Filter:
    """`?(predicate)`."""

    predicate: Path


@dataclass(frozen=True, slots=True)
class Method:
    """`.name()` without arguments: type, size, abs, floor, ceiling, double, keyvalue."""

    name: str


@dataclass(frozen=True, slots=True)
class Datetime:
    """`.datetime(template)`; None: any of the ISO 8601 forms."""

    template: str | None


@dataclass(frozen=True, slots=True)
class Unary:
    """`+x` or `-x`."""

    operator: str
    operand: Path


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic, comparison, `&&`, `||` or `starts with`; see PRIORITIES."""

    operator: str
    left: Path
    right: Path


@dataclass(frozen=True, slots=True)
class Not:
    """`!(predicate)`."""

    predicate: Path


@dataclass(frozen=True, slots=True)
class IsUnknown:
    """`(predicate) is unknown`."""

    predicate: Path


@dataclass(frozen=True, slots=True)
class Exists:
    """`exists (path)`."""

    path: Path


@dataclass(frozen=True, slots=True)
class LikeRegex:
    """`subject like_regex "pattern" flag "flags"`; `flags` of "ismxq", in this order."""

    subject: Path
    pattern: str
    flags: str

    @property
    def letters(self) -> str:
        """The flags as `dsql.regex` calls them; . does not match a newline unless there is an s."""
        case = "i" if "i" in self.flags else ""
        if "q" in self.flags:
            return case + "q"
        newlines = {(False, False): "p", (False, True): "n", (True, False): "s", (True, True): "w"}
        return case + newlines["s" in self.flags, "m" in self.flags]


Step = (
    Literal | Variable | Root | Current | Last | Key | AnyKey | AnyElement | Elements | Descent | Filter
    | Method | Datetime | Unary | Binary | Not | IsUnknown | Exists | LikeRegex
)  # fmt: skip
Path = tuple[Step, ...]

ARITHMETIC = frozenset("+-*/%")
COMPARISONS = frozenset(("==", "!=", "<", ">", "<=", ">="))
PRIORITIES = (
    {"||": 0, "&&": 1, "starts with": 2, "+": 3, "-": 3, "*": 4, "/": 4, "%": 4}
    | dict.fromkeys(COMPARISONS, 2)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class JsonPath:
    """`lax`: arrays are unwrapped and items wrapped as needed, and what is missing is no error."""

    lax: bool
    path: Path


def is_predicate(path: Path) -> bool:
    """Return whether a path is a condition, which stands in parentheses wherever a value is wanted."""
    step = path[0]
    if len(path) > 1:
        return False
    if isinstance(step, Binary):
        return step.operator not in ARITHMETIC
    return isinstance(step, Not | IsUnknown | Exists | LikeRegex)
