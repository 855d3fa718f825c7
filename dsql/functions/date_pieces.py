"""Templates of dates such as 'YYYY-MM-DD HH24:MI', cut into pieces: fields with their modifiers, and text.

The rules are those of parse_format in PostgreSQL's formatting.c.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from dsql.errors import SqlError
from dsql.types.size import check_parts

# Fields that are written in digits, so that one right before another has a fixed width.
_DIGITS = """
CC DDD DD D FF1 FF2 FF3 FF4 FF5 FF6 HH24 HH12 HH IDDD ID IW IYYY IYY IY I J MI MM MS Q SSSSS SSSS SS TZM US
WW W Y,YYY YYYY YYY YY Y
""".split()
_WORDS = "A.D. A.M. AD AM B.C. BC DAY DY FX MONTH MON OF P.M. PM RM TZH TZ".split()
_CAPITALIZED = "Day Dy Month Mon".split()
_NAMES = [*_DIGITS, *_WORDS]
_SPELLINGS = sorted({*_NAMES, *map(str.lower, _NAMES), *_CAPITALIZED}, key=len, reverse=True)
_PIECE = re.compile(
    r"(?P<prefix>FM|fm|TM|tm)?"
    rf"(?:(?P<name>{'|'.join(map(re.escape, _SPELLINGS))})(?P<suffix>TH|th|SP)?"
    r'|"(?P<quoted>(?:\\.|[^"])*)"?|\\(?P<quote>")|(?P<other>.))',
    re.DOTALL,
)
_STANDARD_SEPARATORS = frozenset("-./,':; ")
_REMEMBERED_CHARACTERS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Piece:
    """A field, `name` as written, or one character of text.

    `kind`: field, space, separator (neither letter nor digit), or text.
    """

    kind: str
    name: str = ""
    text: str = ""
    fill: bool = True  # padded to its width
    ordinal: str = ""  # TH or th

    @property
    def is_digits(self) -> bool:
        """Whether only digits can stand here."""
        if self.name:
            return self.name.upper() in _DIGITS
        return self.text.isascii() and self.text.isdigit()


def parse_template(template: str, *, standard: bool = False) -> tuple[Piece, ...]:
    """Return the pieces of a template.

    `standard`: as the SQL standard has them; raises SqlError 22007 for other separators than its.
    """
    if len(template) <= _REMEMBERED_CHARACTERS_MAX:
        return _parse_again(template, standard)
    check_parts(len(template))
    return _parse(template, standard)


def _parse(template: str, standard: bool) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for found in _PIECE.finditer(template):
        if found["name"]:
            ordinal = (found["suffix"] or "").replace("SP", "")
            pieces.append(Piece("field", found["name"], fill=_fills(found), ordinal=ordinal))
        elif found["quoted"] is not None:
            quoted = re.sub(r"\\(.)", r"\1", found["quoted"], flags=re.DOTALL)
            pieces += [Piece("text", text=char) for char in quoted]
        else:
            char = found["quote"] or found["other"]
            if standard and char not in _STANDARD_SEPARATORS:
                raise SqlError("22007", f'invalid datetime format separator: "{char}"')
            pieces.append(Piece(_kind(char), text=char))
    return tuple(pieces)


def _fills(found: re.Match[str]) -> bool:
    """FM takes away what pads a field; so does TM, which names in the language of lc_time."""
    prefix = (found["prefix"] or "").upper()
    return prefix != "FM" and not (prefix == "TM" and found["name"].upper() in ("MONTH", "DAY"))


_parse_again = lru_cache(512)(_parse)


def _kind(char: str) -> str:
    if is_separator(char):
        return "separator"
    return "space" if char.isspace() else "text"


def is_separator(char: str) -> bool:
    """Return whether this is printable ASCII, but neither letter nor digit."""
    return "!" <= char <= "~" and not char.isalnum()
