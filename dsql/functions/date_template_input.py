"""Reads texts along templates: what to_date, to_timestamp and jsonpath's .datetime() begin with.

The rules, quirks included, are those of DCH_from_char in PostgreSQL's formatting.c.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from dsql.errors import SqlError
from dsql.functions.date_pieces import Piece, is_separator
from dsql.types.calendar import DAYS, MONTHS

ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
_ROMAN_SEARCHED = tuple(reversed(ROMAN))  # the first that fits is taken, so VIII is before V
_GREGORIAN = frozenset("DDD DD D MM MONTH MON RM WW W Y,YYY YYYY YYY YY Y".split())
_ISO_WEEK = frozenset("IDDD ID IW IYYY IYY IY I".split())
_WIDTHS = {"HH12": 2, "HH24": 2, "MS": 3, "US": 6, "IDDD": 3, "ID": 1, "TZH": 2, "TZM": 2} | {
    f"FF{digits}": digits for digits in range(1, 7)
}
# Field -> where its number goes, if it needs nothing else.
_PLAIN = {
    "HH24": "hour", "MI": "minute", "SS": "second", "SSSS": "second_of_day", "SSSSS": "second_of_day",
    "MM": "month", "DD": "day", "DDD": "day_of_year", "IDDD": "day_of_year", "D": "weekday",
    "WW": "week", "IW": "week", "W": "week_of_month", "CC": "century", "J": "julian_day", "Q": "",
}  # fmt: skip
_WORDS = {
    "AM": ("afternoon", ("AM", "PM")), "A.M.": ("afternoon", ("A.M.", "P.M.")),
    "AD": ("before_christ", ("AD", "BC")), "A.D.": ("before_christ", ("A.D.", "B.C.")),
    "MONTH": ("month", MONTHS), "MON": ("month", tuple(name[:3] for name in MONTHS)),
    "DAY": ("weekday", DAYS), "DY": ("weekday", tuple(name[:3] for name in DAYS)),
    "RM": ("month", _ROMAN_SEARCHED),
}  # fmt: skip
_WORDS |= {alias: _WORDS[name] for name, alias in zip(
    ("AM", "A.M.", "AD", "A.D."), ("PM", "P.M.", "BC", "B.C."), strict=True
)}  # fmt: skip
_NUMBER = re.compile(r"\s*([+-]?[0-9]+)")
_COMMA_YEAR = re.compile(r"\s*([+-]?[0-9]+),\s*([+-]?[0-9]{1,3})")
_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1


@dataclass(slots=True)
class TemplateFields:
    """What a text said; 0: nothing. Weekdays count from Sunday, 1."""

    convention: str = ""  # Gregorian or ISO week
    clock_of_12: bool = False
    afternoon: int = 0
    hour: int = 0
    minute: int = 0
    second: int = 0
    second_of_day: int = 0
    millisecond: int = 0
    microsecond: int = 0
    precision: int = 0  # of FF1 to FF6
    year: int = 0
    year_digits: int = 0  # of the template's field
    before_christ: int = 0
    century: int = 0
    month: int = 0
    day: int = 0
    day_of_year: int = 0
    weekday: int = 0
    week: int = 0
    week_of_month: int = 0
    julian_day: int = 0
    zone_sign: int = 0
    zone_hours: int = 0
    zone_minutes: int = 0


def read_fields(text: str, pieces: Sequence[Piece], *, standard: bool) -> TemplateFields:
    """Read a text; `standard`: it has to fit to the character. Raises SqlError 22007, 22008."""
    reader = _Reader(text, pieces, standard)
    reader.read()
    return reader.fields


class _Reader:
    def __init__(self, text: str, pieces: Sequence[Piece], standard: bool) -> None:
        self.text = text
        self.pieces = pieces
        self.standard = standard
        self.exact = standard  # FX: no spaces are skipped
        self.at = 0
        self.skipped = 0  # characters more than the template has
        self.fields = TemplateFields()

    def read(self) -> None:
        number = 0
        for number, piece in enumerate(self.pieces):
            if self.at >= len(self.text):
                break
            if not self.exact and piece.name.upper() != "FX" and (piece.name or not number):
                self.skip_spaces()
            if piece.name:
                self.field(piece, self.pieces[number + 1 : number + 2])
            elif piece.kind == "text":
                self.character(piece.text)
            else:
                self.separator(piece.text)
        else:
            number = len(self.pieces)
        if self.standard:
            self.must_be_whole(number)

    def must_be_whole(self, number: int) -> None:
        if number < len(self.pieces):
            raise SqlError("22007", "input string is too short for datetime format")
        if self.text[self.at :].strip():
            what = "trailing characters remain in input string after datetime format"
            raise SqlError("22007", what)

    def next(self) -> str:
        return self.text[self.at : self.at + 1]

    def skip_spaces(self) -> None:
        while self.next().isspace():
            self.at += 1
            self.skipped += 1

    def separator(self, char: str) -> None:
        if self.standard:
            if self.next() != char:
                raise SqlError("22007", f'unmatched format separator "{char}"')
            self.at += 1
        elif self.exact:
            self.at += 1
        else:
            self.skipped -= 1
            if self.next().isspace() or is_separator(self.next()):
                self.at += 1
                self.skipped += 1

    def character(self, char: str) -> None:
        if self.standard and self.next() != char:
            raise SqlError("22007", f'unmatched format character "{char}"')
        if not self.exact and self.skipped > 0:
            self.skipped -= 1  # what was skipped may have been this one
        else:
            self.at += 1

    def field(self, piece: Piece, following: Sequence[Piece]) -> None:
        name = piece.name.upper()
        self.set_convention(name)
        if name == "FX":
            self.exact = True
        elif name in _WORDS:
            self.word(piece, *_WORDS[name])
        elif name in ("TZ", "OF"):
            what = f'formatting field "{piece.name}" is only supported in to_char'
            raise SqlError("0A000", what)
        else:
            self.digits(name, piece, following)
            if piece.ordinal and name not in ("TZH", "TZM"):
                self.at = min(self.at + 2, len(self.text))
        if not self.exact:
            self.skipped = 0
            self.skip_spaces()

    def set_convention(self, name: str) -> None:
        convention = "gregorian" if name in _GREGORIAN else "week" if name in _ISO_WEEK else ""
        if convention and self.fields.convention not in ("", convention):
            raise SqlError(
                "22007",
                "invalid combination of date conventions",
                hint="Do not mix Gregorian and ISO week date conventions in a formatting template.",
            )
        self.fields.convention = self.fields.convention or convention

    def store(self, piece: Piece, field: str, value: int) -> None:
        """Set a field, which must not have another value already."""
        if getattr(self.fields, field) not in (0, value):
            raise SqlError(
                "22007",
                f'conflicting values for "{piece.name}" field in formatting string',
                detail="This value contradicts a previous setting for the same field type.",
            )
        setattr(self.fields, field, value)

    def word(self, piece: Piece, field: str, words: tuple[str, ...]) -> None:
        rest = self.text[self.at : self.at + 12].lower()
        place = next((at for at, word in enumerate(words) if rest.startswith(word.lower())), -1)
        if place < 0:
            raise SqlError(
                "22007",
                f'invalid value "{self._shown()}" for "{piece.name}"',
                detail="The given value did not match any of the allowed values for this field.",
            )
        self.at += len(words[place])
        if words is _ROMAN_SEARCHED:
            self.store(piece, field, 12 - place)
        elif field == "weekday":
            self.store(piece, field, place)
            self.fields.weekday += 1
        elif field == "month":
            self.store(piece, field, place + 1)
        else:
            self.store(piece, field, place)
            self.fields.clock_of_12 |= field == "afternoon"

    def _shown(self) -> str:
        return re.split(r"[ \t\n\r\f\v]", self.text[self.at :], maxsplit=1)[0]

    def digits(self, name: str, piece: Piece, following: Sequence[Piece]) -> None:
        fields = self.fields
        if name == "Y,YYY":
            self.comma_year(piece)
        elif name in _PLAIN:
            self.number(piece, following, _PLAIN[name])
        elif name in ("HH", "HH12"):
            self.number(piece, following, "hour")
            fields.clock_of_12 = True
        elif name == "MS":
            length = self.number(piece, following, "millisecond")
            fields.millisecond *= {1: 100, 2: 10}.get(length, 1)
        elif name == "US" or name.startswith("FF"):
            fields.precision = int(name[2:] or 0) if name != "US" else fields.precision
            length = self.number(piece, following, "microsecond")
            fields.microsecond *= 10 ** (6 - length) if 1 <= length <= 6 else 1
        elif name == "ID":
            self.number(piece, following, "weekday")
            fields.weekday = 1 if fields.weekday + 1 > 7 else fields.weekday + 1
        elif name in ("TZH", "TZM"):
            self.zone(name, piece, following)
        else:
            self.year(name.replace("I", "Y"), piece, following)

    def comma_year(self, piece: Piece) -> None:
        found = _COMMA_YEAR.match(self.text, self.at)
        if found is None:
            raise SqlError("22007", 'invalid input string for "Y,YYY"')
        self.at = found.end()
        self.store(piece, "year", int(found[1]) * 1000 + int(found[2]))
        self.fields.year_digits = 4

    def year(self, name: str, piece: Piece, following: Sequence[Piece]) -> None:
        length = self.number(piece, following, "year")
        self.fields.year_digits = len(name)
        if len(name) < 4 and length < 4:
            self.fields.year = _nearest_year(self.fields.year)

    def zone(self, name: str, piece: Piece, following: Sequence[Piece]) -> None:
        fields = self.fields
        if name == "TZM":
            fields.zone_sign = fields.zone_sign or 1
            self.number(piece, following, "zone_minutes")
            return
        if self.next() in ("+", "-", " "):
            fields.zone_sign = -1 if self.next() == "-" else 1
            self.at += 1
        else:  # A minus may have been skipped for a separator.
            is_negative = self.skipped > 0 and self.text[self.at - 1] == "-"
            fields.zone_sign = -1 if is_negative else 1
        self.number(piece, following, "zone_hours")

    def number(self, piece: Piece, following: Sequence[Piece], field: str) -> int:
        """Read an integer into a field (none for ""); return how many characters it took."""
        name = piece.name.upper()
        width = _WIDTHS.get(name, len(name))
        start = self.at
        while self.next().isspace():
            self.at += 1
        copy = self.text[self.at : self.at + width]
        if not piece.fill or piece.ordinal or not following or not following[0].is_digits:
            found = _NUMBER.match(self.text, start)
            self.at = found.end() if found else start
        else:
            found = _NUMBER.match(copy)
            self.check_width(piece, copy, width, found.end() if found else 0)
            self.at += found.end() if found else 0
        if self.at == start:
            raise SqlError(
                "22007",
                f'invalid value "{copy}" for "{piece.name}"',
                detail="Value must be an integer.",
            )
        value = Decimal(found[1]) if found else Decimal(0)  # int() refuses very long ones
        if not _INT_MIN <= value <= _INT_MAX:
            raise SqlError(
                "22008",
                f'value for "{piece.name}" in source string is out of range',
                detail=f"Value must be in the range {_INT_MIN} to {_INT_MAX}.",
            )
        if field:
            self.store(piece, field, int(value))
        return self.at - start

    def check_width(self, piece: Piece, copy: str, width: int, used: int) -> None:
        """Refuse a field that is shorter than others that follow without a separator allow for."""
        hint = 'If your source string is not fixed-width, try using the "FM" modifier.'
        if len(copy) < width:
            raise SqlError(
                "22007",
                f'source string too short for "{piece.name}" formatting field',
                detail=f"Field requires {width} characters, but only {len(copy)} remain.",
                hint=hint,
            )
        if 0 < used < width:
            raise SqlError(
                "22007",
                f'invalid value "{copy}" for "{piece.name}"',
                detail=f"Field requires {width} characters, but only {used} could be parsed.",
                hint=hint,
            )


def _nearest_year(year: int) -> int:
    """Complete a year of few digits to the one nearest 2020."""
    if year < 70:
        return year + 2000
    if year < 100:
        return year + 1900
    return year + (2000 if year < 520 else 1000) if year < 1000 else year
