"""Patterns of a policy: `*` is any run of characters, `?` any one, `${key}` a value of the request. Pure.

Who asks may choose what a variable stands for (a session's name, a tag), so that a star in it is a star and
no wildcard. Hence the wildcards of a policy's own text are marked when it is read, as two noncharacters of
Unicode that no text has, and variables are replaced behind that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Context = Mapping[str, tuple[str, ...]]

_ANY_RUN, _ANY_ONE = "\ufdd0", "\ufdd1"
_MARKS = str.maketrans("*?", _ANY_RUN + _ANY_ONE)
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_VARIABLE_OR_WILDCARDS = re.compile(r"\$\{[^}]*\}|[*?]+")
_WITH_DEFAULT = re.compile(r"\s*([^,]*?)\s*(?:,\s*'([^']*)'\s*)?")
_LITERALS = ("*", "?", "$")  # ${*} is a star


def marked(text: str) -> str:
    """Return a policy's text with its wildcards marked. Raises ValueError for what cannot be text."""
    if has_wildcards(text):
        raise ValueError("a pattern has a noncharacter")
    return _VARIABLE_OR_WILDCARDS.sub(
        lambda found: found[0] if found[0].startswith("$") else found[0].translate(_MARKS), text
    )


def literal(text: str) -> str:
    """Return the text of a policy that has no variables, so that none is found in it."""
    return text.replace("${", "${$}{")


def has_wildcards(pattern: str) -> bool:
    """Return whether a marked text has any."""
    return _ANY_RUN in pattern or _ANY_ONE in pattern


def has_variables(text: str) -> bool:
    """Return whether what a text means depends on the request."""
    return any(name not in _LITERALS for name in _VARIABLE.findall(text))


def substitute(text: str, context: Context) -> str | None:
    """Replace variables such as ${aws:username} or ${aws:username, 'nobody'}; None: one has no value."""
    if "${" not in text:
        return text
    missing = False

    def value(found: re.Match[str]) -> str:
        nonlocal missing
        if found[1] in _LITERALS:
            return found[1]
        parts = _WITH_DEFAULT.fullmatch(found[1])
        name, default = parts.groups() if parts is not None else ("", None)
        values = context.get(name.lower(), ())
        one = values[0] if len(values) == 1 else default
        if one is None or has_wildcards(one):
            missing = True
            return ""
        return one

    replaced = _VARIABLE.sub(value, text)
    return None if missing else replaced


def matches(pattern: str, value: str) -> bool:
    """Match a marked pattern; nothing else in it is special.

    A policy may hold thousands of patterns, so that none is worth compiling.
    """
    first, *others = pattern.split(_ANY_RUN)
    if not others:
        return _fits(first, value)
    *middle, last = others
    at, end = len(first), len(value) - len(last)
    if at > end or not _fits(first, value[:at]) or not _fits(last, value[end:]):
        return False
    for piece in middle:
        at = _behind(piece, value, at, end)
        if at < 0:
            return False
    return True


def _fits(piece: str, value: str) -> bool:
    """Return whether characters are those of a piece without runs."""
    if _ANY_ONE not in piece:
        return piece == value
    return len(piece) == len(value) and all(
        wanted in (_ANY_ONE, found) for wanted, found in zip(piece, value, strict=True)
    )


def _behind(piece: str, value: str, at: int, end: int) -> int:
    """Return where a piece ends that is found first between two places, -1 if it is not there."""
    size = len(piece)
    sure = max(piece.split(_ANY_ONE), key=len)  # what has to be there in any case
    before = piece.index(sure)
    while True:
        found = value.find(sure, at + before, end)
        at = found - before
        if found < 0 or at + size > end:
            return -1
        if _fits(piece, value[at : at + size]):
            return at + size
        at += 1
