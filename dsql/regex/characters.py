"""Sets of characters as sorted ranges of code points, with the classes that the C collation knows."""

from __future__ import annotations

from collections.abc import Iterable

# Inclusive ranges, ascending, neither overlapping nor adjacent.
Ranges = tuple[tuple[int, int], ...]

CODE_POINT_MAX = 0x10FFFF  # no text has a character above; patterns may name some up to 0x7ffffffe
NEWLINE: Ranges = ((10, 10),)
EVERY: Ranges = ((0, CODE_POINT_MAX),)

# The databases' collation is C, under which nothing outside of ASCII is a letter.
_UPPER: Ranges = ((65, 90),)
_LOWER: Ranges = ((97, 122),)
DIGIT: Ranges = ((48, 57),)
SPACE: Ranges = ((9, 13), (32, 32))
WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
CLASSES: dict[str, Ranges] = {
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "alpha": ((65, 90), (97, 122)),
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": DIGIT,
    "graph": ((33, 126),),
    "lower": _LOWER,
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": SPACE,
    "upper": _UPPER,
    "word": WORD,
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
# Names of characters in [[.name.]], as POSIX and PostgreSQL have them.
NAMES: dict[str, int] = {
    name: code
    for code, names in enumerate(
        "NUL SOH STX ETX EOT ENQ ACK BEL/alert BS/backspace HT/tab LF/newline VT/vertical-tab"
        " FF/form-feed CR/carriage-return SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC"
        " IS4/FS IS3/GS IS2/RS IS1/US space exclamation-mark quotation-mark number-sign"
        " dollar-sign percent-sign ampersand apostrophe left-parenthesis right-parenthesis"
        " asterisk plus-sign comma hyphen/hyphen-minus period/full-stop slash/solidus zero one"
        " two three four five six seven eight nine colon semicolon less-than-sign equals-sign"
        " greater-than-sign question-mark commercial-at".split()
    )
    for name in names.split("/")
} | {
    "left-square-bracket": 91, "backslash": 92, "reverse-solidus": 92, "right-square-bracket": 93,
    "circumflex": 94, "circumflex-accent": 94, "underscore": 95, "low-line": 95,
    "grave-accent": 96, "left-brace": 123, "left-curly-bracket": 123, "vertical-line": 124,
    "right-brace": 125, "right-curly-bracket": 125, "tilde": 126, "DEL": 127,
}  # fmt: skip


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Return the set of all characters in some ranges."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], high)
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(ranges: Ranges) -> Ranges:
    """Return every other character."""
    left, at = [], 0
    for low, high in ranges:
        if low > at:
            left.append((at, low - 1))
        at = high + 1
    if at <= CODE_POINT_MAX:
        left.append((at, CODE_POINT_MAX))
    return tuple(left)


def both_cases(ranges: Ranges) -> Ranges:
    """Return the set with the other case of every letter."""
    more = list(ranges)
    for low, high in ranges:
        for (first, last), shift in ((_UPPER[0], 32), (_LOWER[0], -32)):
            if low <= last and high >= first:
                more.append((max(low, first) + shift, min(high, last) + shift))
    return union(more)


def is_subset(ranges: Ranges, of: Ranges) -> bool:
    """Return whether a set lies within another."""
    return all(any(a <= low and high <= b for a, b in of) for low, high in ranges)


def is_word(code: int) -> bool:
    """Return whether a character counts as part of a word."""
    return any(low <= code <= high for low, high in WORD)
