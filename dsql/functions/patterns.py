"""SIMILAR TO and the regular-expression operators and functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from dsql.errors import SqlError
from dsql.functions.definition import define
from dsql.regex.expression import Match, compile_regex, parse_letters
from dsql.types.size import join

_SIMILAR = {"%": ".*", "_": ".", "(": "(?:"} | {char: "\\" + char for char in "\\.^$"}


def similar_to_regex(pattern: str, escape: str | None) -> str:
    r"""Return the ARE that PostgreSQL makes of a SIMILAR TO pattern (`escape` None: backslash).

    Raises SqlError 22025 for a long escape and 2200C for more than two separators.
    """
    mark = "\\" if escape is None else escape
    if len(mark) > 1:
        raise SqlError(
            "22025",
            "invalid escape string",
            hint="Escape string must be empty or one character.",
        )
    out, separators, in_bracket = ["^(?:"], 0, False
    characters = iter(pattern)
    for char in characters:
        if char == mark:
            following = next(characters, "")
            if following == '"' and not in_bracket:
                # What stands before the first separator is as short as can be.
                separators += 1
                out.append({1: "){1,1}?(", 2: "){1,1}(?:"}.get(separators, ""))
            elif following:
                out.append("\\" + following)
        elif in_bracket:
            out.append("\\\\" if char == "\\" else char)
            in_bracket = char != "]"
        else:
            in_bracket = char == "["
            out.append(_SIMILAR.get(char, char))
    if separators > 2:
        raise SqlError(
            "2200C",
            "SQL regular expression may not contain more than two escape-double-quote separators",
        )
    return "".join(out) + ")$"


def regexp_match(text: str, pattern: str, letters: str = "") -> list[str | None] | None:
    """Return the groups of the first match (or the whole of it), None if there is none."""
    if parse_letters(letters, "")[1]:
        raise SqlError(
            "22023",
            'regexp_match() does not support the "global" option',
            hint="Use the regexp_matches function instead.",
        )
    found = compile_regex(pattern, letters).search(text)
    return None if found is None else _captures(found)


def _captures(found: Match) -> list[str | None]:
    return [found[group] for group in range(1, found.count + 1)] or [found[0]]


def regexp_matches(text: str, pattern: str, letters: str = "") -> Iterator[list[str | None]]:
    """Yield the groups of the first match, or of every one with the flag g."""
    every = parse_letters(letters, "")[1]
    for found in compile_regex(pattern, letters).finditer(text):
        yield _captures(found)
        if not every:
            return


def regexp_replace(text: str, pattern: str, replacement: str, letters: str = "") -> str:
    """Replace the first match, or all with the flag g."""
    if letters[:1] in tuple("0123456789"):
        raise SqlError(
            "22023",
            f'invalid regular expression option: "{letters[0]}"',
            hint="If you meant to use regexp_replace() with a start parameter, cast the fourth"
            " argument to integer explicitly.",
        )
    every = parse_letters(letters, "")[1]
    return _replace(text, pattern, replacement, 1, 0 if every else 1, letters)


def _replace_from(
    text: str, pattern: str, replacement: str, start: int, occurrence: int = 1, letters: str = ""
) -> str:
    _check_position("start", start, 1)
    _check_position("n", occurrence, 0)
    parse_letters(letters, "")
    return _replace(text, pattern, replacement, start, occurrence, letters)


def _replace(
    text: str, pattern: str, replacement: str, start: int, occurrence: int, letters: str
) -> str:
    """Replace match number `occurrence` at or after `start`; 0: all of them."""
    compiled = compile_regex(pattern, letters)
    expand = _expander(replacement)
    out, done = [text[: start - 1]], start - 1
    for number, found in enumerate(compiled.finditer(text, start - 1), 1):
        if occurrence in (0, number):
            out += [text[done : found.start()], expand(found)]
            done = found.end()
        if number == occurrence:
            break
    out.append(text[done:])
    return join("", out)


_INSERTED = re.compile(r"\\([0-9&\\])")


def _expander(replacement: str) -> Callable[[Match], str]:
    r"""Return the function that fills \1, \& and \\ of a replacement."""
    parts = _INSERTED.split(replacement)
    if len(parts) == 1:
        return lambda _found: replacement

    def group(found: Match, mark: str) -> str:
        if mark == "\\":
            return "\\"
        number = 0 if mark == "&" else int(mark)
        return (found[number] or "") if number <= found.count else ""

    return lambda found: "".join(
        group(found, part) if at % 2 else part for at, part in enumerate(parts)
    )


def _split(function: str) -> Callable[..., list[str]]:
    def split(text: str, pattern: str, letters: str = "") -> list[str]:
        """Cut the text at every match; empty ones at the ends or after a match do not cut."""
        parse_letters(letters, function)
        out: list[str] = []
        start = before = 0
        for found in compile_regex(pattern, letters).finditer(text):
            first, last = found.start(), found.end()
            if first < len(text) and last > before:
                out.append(text[start:first])
                start = last
            before = last
        return [*out, text[start:]]

    return split


def substring_regex(text: str, pattern: str) -> str | None:
    """Return substring(text from pattern): the first group, or the whole match."""
    found = compile_regex(pattern).search(text)
    if found is None:
        return None
    return found[1] if found.count else found[0]


def _check_position(name: str, value: int, lowest: int) -> None:
    if value < lowest:
        raise SqlError("22023", f'invalid value for parameter "{name}": {value}')


def _nth(text: str, pattern: str, start: int, occurrence: int, letters: str) -> Match | None:
    _check_position("start", start, 1)
    _check_position("n", occurrence, 1)
    for number, found in enumerate(compile_regex(pattern, letters).finditer(text, start - 1), 1):
        if number == occurrence:
            return found
    return None


def regexp_count(text: str, pattern: str, start: int = 1, letters: str = "") -> int:
    """Return how many matches start at or after `start`."""
    _check_position("start", start, 1)
    parse_letters(letters, "regexp_count")
    return sum(1 for _ in compile_regex(pattern, letters).finditer(text, start - 1))


def regexp_instr(
    text: str, pattern: str, start: int = 1, occurrence: int = 1, end: int = 0, letters: str = "",
    group: int = 0,
) -> int:  # fmt: skip
    """Return the position of a match (of its end if `end` is 1), 0 if there is none."""
    if end not in (0, 1):
        raise SqlError("22023", f'invalid value for parameter "endoption": {end}')
    _check_position("subexpr", group, 0)
    parse_letters(letters, "regexp_instr")
    found = _nth(text, pattern, start, occurrence, letters)
    if found is None or group > found.count:
        return 0
    return (found.end(group) if end else found.start(group)) + 1


def regexp_substr(
    text: str, pattern: str, start: int = 1, occurrence: int = 1, letters: str = "", group: int = 0
) -> str | None:
    """Return a match's text, None if there is none."""
    _check_position("subexpr", group, 0)
    parse_letters(letters, "regexp_substr")
    found = _nth(text, pattern, start, occurrence, letters)
    return found[group] if found and group <= found.count else None


def _regexp_like(text: str, pattern: str, letters: str = "") -> bool:
    parse_letters(letters, "regexp_like")
    return compile_regex(pattern, letters).matches(text)


for _prefix in ("text", "name", "bpchar"):
    define(f"{_prefix}regexeq", lambda a, b: compile_regex(b).matches(a))
    define(f"{_prefix}regexne", lambda a, b: not compile_regex(b).matches(a))
    define(f"{_prefix}icregexeq", lambda a, b: compile_regex(b, "i").matches(a))
    define(f"{_prefix}icregexne", lambda a, b: not compile_regex(b, "i").matches(a))
define("similar_to_escape(text,text)", similar_to_regex)
define("similar_to_escape(text)", lambda pattern: similar_to_regex(pattern, None))
define("similar_escape", lambda a, b: None if a is None else similar_to_regex(a, b))
define("substring(text,text)", substring_regex)
define("substring(text,text,text)", lambda a, b, c: substring_regex(a, similar_to_regex(b, c)))
define("regexp_match(text,text) regexp_match(text,text,text)", regexp_match)
define("regexp_matches(text,text) regexp_matches(text,text,text)", regexp_matches)
define("regexp_replace(text,text,text) regexp_replace(text,text,text,text)", regexp_replace)
define(
    "regexp_replace(text,text,text,int4) regexp_replace(text,text,text,int4,int4)", _replace_from
)
define("regexp_replace(text,text,text,int4,int4,text)", _replace_from)
for _name in ("regexp_split_to_array", "regexp_split_to_table"):
    define(f"{_name}(text,text) {_name}(text,text,text)", _split(_name))
define("regexp_like(text,text) regexp_like(text,text,text)", _regexp_like)
define("regexp_count(text,text) regexp_count(text,text,int4)", regexp_count)
define("regexp_count(text,text,int4,text)", regexp_count)
define("regexp_instr(text,text) regexp_instr(text,text,int4)", regexp_instr)
define("regexp_instr(text,text,int4,int4) regexp_instr(text,text,int4,int4,int4)", regexp_instr)
define("regexp_instr(text,text,int4,int4,int4,text)", regexp_instr)
define("regexp_instr(text,text,int4,int4,int4,text,int4)", regexp_instr)
define("regexp_substr(text,text) regexp_substr(text,text,int4)", regexp_substr)
define("regexp_substr(text,text,int4,int4) regexp_substr(text,text,int4,int4,text)", regexp_substr)
define("regexp_substr(text,text,int4,int4,text,int4)", regexp_substr)
