"""to_char, to_date and to_timestamp: dates through templates such as 'YYYY-MM-DD HH24:MI'.

A template is cut into pieces once: a pattern with its modifiers (FM, TH), or literal text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from dsql.errors import SqlError
from dsql.functions.definition import define
from dsql.functions.function import Context
from dsql.functions.timestamps import session_zone, timestamp_to_date
from dsql.types import calendar
from dsql.types.calendar import DAY, DAYS, MONTHS, SECOND
from dsql.types.interval import Interval
from dsql.types.size import check_parts
from dsql.types.timezone import ABBREVIATIONS, Zone, format_offset

_PATTERN_NAMES = """
HH24 HH12 HH MI SSSSS SSSS SS MS US FF1 FF2 FF3 FF4 FF5 FF6 A.M. P.M. a.m. p.m. AM PM am pm
Y,YYY YYYY YYY YY Y IYYY IYY IY I B.C. A.D. b.c. a.d. BC AD bc ad
MONTH Month month MON Mon mon MM DAY Day day DY Dy dy IDDD DDD DD ID D IW WW W CC J Q RM rm
TZH TZM TZ tz OF
"""
_PIECE = re.compile(
    r'(?P<prefix>(?:FM|fm|FX|fx|TM|tm)*)(?P<name>'
    + "|".join(sorted(map(re.escape, _PATTERN_NAMES.split()), key=len, reverse=True))
    + '|'
    + "|".join(sorted((re.escape(n.lower()) for n in _PATTERN_NAMES.split()), key=len, reverse=True))
    + r')(?P<suffix>TH|th)?|(?P<lone>FM|fm|FX|fx|TM|tm)'
    + r'|"(?P<quoted>(?:[^"\\]|\\.)*)"|\\(?P<escaped>.)|(?P<other>.)',
    re.DOTALL,
)  # fmt: skip
_SEPARATORS = frozenset("-/,.:;'\\_|")
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")


_REMEMBERED_CHARACTERS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Piece:
    """`name` as written, "" for literal `text`."""

    name: str
    text: str = ""
    fill: bool = True  # without FM
    ordinal: str = ""


def parse_template(template: str) -> tuple[Piece, ...]:
    """Return the pieces of a template."""
    if len(template) <= _REMEMBERED_CHARACTERS_MAX:
        return _parse_again(template)
    check_parts(len(template))
    return _parse(template)


@lru_cache(512)
def _parse_again(template: str) -> tuple[Piece, ...]:
    return _parse(template)


def _parse(template: str) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for found in _PIECE.finditer(template):
        if found["name"]:
            fill = "FM" not in found["prefix"].upper()
            pieces.append(Piece(found["name"], "", fill, found["suffix"] or ""))
        elif not found["lone"]:
            quoted = found["quoted"]
            text = found["escaped"] or found["other"] or re.sub(r"\\(.)", r"\1", quoted or "")
            pieces.append(Piece("", text))
    return tuple(pieces)


@dataclass(slots=True)
class Moment:
    """The fields that patterns show. `days` None: an interval, which has no calendar."""

    year: int
    month: int
    day: int
    micros: int
    days: int | None = None
    zone_name: str = ""
    offset: int = 0

    @property
    def shown_year(self) -> int:
        """The year as people write it: 1 BC is 1."""
        return self.year if self.year > 0 or self.days is None else 1 - self.year


def ordinal_suffix(number: str) -> str:
    """Return ST, ND, RD or TH for a number's text."""
    digits = number.strip()
    if digits[-2:-1] == "1":
        return "TH"
    return {"1": "ST", "2": "ND", "3": "RD"}.get(digits[-1:], "TH")


def render(template: str, moment: Moment) -> str:
    """Return the text of a moment. Raises SqlError 22007 for calendar patterns of an interval."""
    out = []
    for piece in parse_template(template):
        if not piece.name:
            out.append(piece.text)
            continue
        text = _show(piece, moment)
        if piece.ordinal:
            suffix = ordinal_suffix(text)
            text += suffix if piece.ordinal == "TH" else suffix.lower()
        out.append(text)
    return "".join(out)


def _like(name: str, text: str) -> str:
    """Write `text` in the case of a pattern's name: MONTH, Month or month."""
    if name.isupper():
        return text.upper()
    return text if name[0].isupper() else text.lower()


def _show(piece: Piece, moment: Moment) -> str:
    name = piece.name
    upper = name.upper()
    number = _NUMBERS.get(upper)
    if number is not None:
        width, value = number
        shown = value(moment)
        sign = "-" if shown < 0 else ""
        return sign + (f"{abs(shown):0{width}d}" if piece.fill else str(abs(shown)))
    if upper in ("AM", "PM", "A.M.", "P.M."):
        half = "PM" if moment.micros % DAY >= DAY // 2 else "AM"
        return _like(name, ".".join(half) + "." if "." in name else half)
    if upper in ("BC", "AD", "B.C.", "A.D."):
        era = "BC" if moment.year <= 0 else "AD"
        return _like(name, ".".join(era) + "." if "." in name else era)
    if upper == "Y,YYY":
        return f"{moment.shown_year // 1000},{moment.shown_year % 1000:03d}"
    if upper in ("MONTH", "MON"):
        word = MONTHS[moment.month - 1] if moment.month else ""
        return _padded(piece, _like(name, word[:3] if upper == "MON" else word))
    if upper in ("DAY", "DY"):
        word = DAYS[calendar.weekday(_calendar_day(moment))]
        return _padded(piece, _like(name, word[:3] if upper == "DY" else word))
    if upper == "RM":
        word = _ROMAN[moment.month - 1] if moment.month else ""
        return _like(name, word.ljust(4) if piece.fill else word)
    return _show_zone(name, upper, moment)


def _padded(piece: Piece, word: str) -> str:
    """Full names are padded to the longest one."""
    return word.ljust(9) if piece.fill and piece.name.upper() in ("MONTH", "DAY") else word


def _show_zone(name: str, upper: str, moment: Moment) -> str:
    _calendar_day(moment)
    if upper == "TZ":
        return moment.zone_name.upper() if name == "TZ" else moment.zone_name.lower()
    if upper == "TZH":
        return format_offset(moment.offset)[:3]
    if upper == "TZM":
        return f"{abs(moment.offset) // 60 % 60:02d}"
    return format_offset(moment.offset)


def _calendar_day(moment: Moment) -> int:
    if moment.days is None:
        raise SqlError(
            "22007",
            "invalid format specification for an interval value",
            hint="Intervals are not tied to specific calendar dates.",
        )
    return moment.days


def _iso_year(moment: Moment) -> int:
    year = calendar.iso_week(_calendar_day(moment))[0]
    return year if year > 0 else 1 - year


def _hour12(moment: Moment) -> int:
    return moment.micros // calendar.HOUR % 12 or 12


def _century(moment: Moment) -> int:
    year = moment.year
    if moment.days is None:
        return int(year / 100)
    return (year + 99) // 100 if year > 0 else -((99 - (year - 1)) // 100)


def _part(size: int, modulus: int) -> Callable[[Moment], int]:
    """Return a field of the time, keeping an interval's sign."""

    def value(moment: Moment) -> int:
        sign = -1 if moment.micros < 0 else 1
        return sign * (abs(moment.micros) // size % modulus)

    return value


def _day_of_year(moment: Moment) -> int:
    if moment.days is None:
        return moment.year * 360 + moment.month * 30 + moment.day
    return calendar.day_of_year(moment.days)


_NUMBERS: dict[str, tuple[int, Callable[[Moment], int]]] = {
    "HH24": (2, _part(calendar.HOUR, 10**9)),
    "HH12": (2, _hour12),
    "HH": (2, _hour12),
    "MI": (2, _part(calendar.MINUTE, 60)),
    "SS": (2, _part(SECOND, 60)),
    "MS": (3, _part(1000, 1000)),
    "US": (6, _part(1, 10**6)),
    "SSSS": (1, _part(SECOND, 10**9)),
    "SSSSS": (1, _part(SECOND, 10**9)),
    "YYYY": (4, lambda moment: moment.shown_year),
    "YYY": (3, lambda moment: moment.shown_year % 1000),
    "YY": (2, lambda moment: moment.shown_year % 100),
    "Y": (1, lambda moment: moment.shown_year % 10),
    "IYYY": (4, _iso_year),
    "IYY": (3, lambda moment: _iso_year(moment) % 1000),
    "IY": (2, lambda moment: _iso_year(moment) % 100),
    "I": (1, lambda moment: _iso_year(moment) % 10),
    "MM": (2, lambda moment: moment.month),
    "DD": (2, lambda moment: moment.day),
    "DDD": (3, _day_of_year),
    "IDDD": (3, lambda moment: _iso_day_of_year(_calendar_day(moment))),
    "D": (1, lambda moment: calendar.weekday(_calendar_day(moment)) + 1),
    "ID": (1, lambda moment: calendar.weekday(_calendar_day(moment)) or 7),
    "W": (1, lambda moment: (moment.day - 1) // 7 + 1),
    "WW": (2, lambda moment: (_day_of_year(moment) - 1) // 7 + 1),
    "IW": (2, lambda moment: calendar.iso_week(_calendar_day(moment))[1]),
    "CC": (2, _century),
    "J": (1, lambda moment: _calendar_day(moment) + calendar.JULIAN_EPOCH_DAYS),
    "Q": (1, lambda moment: (moment.month - 1) // 3 + 1),
} | {f"FF{digits}": (digits, _part(10 ** (6 - digits), 10**digits)) for digits in range(1, 7)}


def _iso_day_of_year(days: int) -> int:
    return (calendar.iso_week(days)[1] - 1) * 7 + (calendar.weekday(days) or 7)


def timestamp_to_char(value: int, template: str) -> str | None:
    """Return to_char of a timestamp; NULL for infinity and for an empty template."""
    if calendar.is_infinite(value) or not template:
        return None
    days, micros = divmod(value, DAY)
    return render(template, Moment(*calendar.date_of(days), micros, days))


def timestamptz_to_char(context: Context, value: int, template: str) -> str | None:
    """Return to_char of an instant in the session's zone."""
    if calendar.is_infinite(value) or not template:
        return None
    at: Zone = session_zone(context)
    offset = at.offset_at(value)
    days, micros = divmod(value + offset * SECOND, DAY)
    moment = Moment(*calendar.date_of(days), micros, days, at.abbreviation_at(value), offset)
    return render(template, moment)


def interval_to_char(span: Interval, template: str) -> str | None:
    """Return to_char of an interval."""
    if not template:
        return None
    months, days, micros = span
    years = int(months / 12)
    return render(template, Moment(years, months - years * 12, days, micros))


# ---------------------------------------------------------------- reading


class _Input:
    """Reads a text along a template's pieces."""

    def __init__(self, text: str, pieces: tuple[Piece, ...]) -> None:
        self.text = text
        self.pieces = pieces
        self.at = 0
        self.fields: dict[str, int] = {}
        self.before_christ = False
        self.half = ""
        self.zone_sign = 1

    def read(self) -> None:
        for number, piece in enumerate(self.pieces):
            if piece.name:
                self.skip_spaces()
                if self.at >= len(self.text):
                    return
                self.take(piece, next(iter(self.pieces[number + 1 : number + 2]), None))
            else:
                following = self.pieces[number + 1 : number + 2]
                zone_follows = bool(following) and following[0].name.upper() == "TZH"
                self.skip_literal(piece.text, zone_follows=zone_follows)

    def skip_spaces(self) -> None:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1

    def skip_literal(self, literal: str, *, zone_follows: bool) -> None:
        """A separator matches any separator, or nothing; other text skips as many characters."""
        for char in literal:
            if char.isspace() or not char.isalnum():
                if char.isspace():
                    self.skip_spaces()
                # A sign before a time zone's hours is not a separator.
                is_sign = zone_follows and self.text[self.at : self.at + 1] == "-"
                if not is_sign and self.text[self.at : self.at + 1] in _SEPARATORS:
                    self.at += 1
            else:
                self.at += 1

    def take(self, piece: Piece, following: Piece | None) -> None:
        upper = piece.name.upper()
        if upper in ("AM", "PM", "A.M.", "P.M."):
            self.half = self.word(piece, ("AM", "PM", "A.M.", "P.M."))[0]
        elif upper in ("BC", "AD", "B.C.", "A.D."):
            self.before_christ = self.word(piece, ("BC", "AD", "B.C.", "A.D."))[0] == "B"
        elif upper in ("MONTH", "MON"):
            self.fields["MM"] = self.index(piece, MONTHS) + 1
        elif upper in ("DAY", "DY"):
            self.index(piece, DAYS)
        elif upper == "RM":
            roman = self.word(piece, tuple(sorted(_ROMAN, key=len, reverse=True)))
            self.fields["MM"] = _ROMAN.index(roman) + 1
        elif upper == "TZ":
            name = self.word(piece, tuple(sorted(ABBREVIATIONS, key=len, reverse=True)))
            self.fields["OFFSET"] = ABBREVIATIONS[name]
        elif upper == "OF":
            raise SqlError("0A000", 'formatting field "OF" is only supported in to_char')
        elif upper == "TZH":
            sign = self.text[self.at : self.at + 1]
            self.zone_sign = -1 if sign == "-" else 1
            self.at += sign in "+-"
            self.fields["TZH"] = self.number(piece, 2)
        else:
            self.take_number(upper, piece, following)
        if piece.ordinal:
            self.at += 2

    def take_number(self, upper: str, piece: Piece, following: Piece | None) -> None:
        widths = {
            "YYYY": 4,
            "IYYY": 4,
            "YYY": 3,
            "IYY": 3,
            "YY": 2,
            "IY": 2,
            "Y": 1,
            "I": 1,
            "Y,YYY": 5,
        }
        if upper == "Y,YYY":
            digits = re.compile(r"\d+,\d{3}").match(self.text, self.at)
            if digits is None:
                raise self.invalid(piece, self.text[self.at :])
            self.at = digits.end()
            self.fields["YYYY"] = int(digits[0].replace(",", ""))
            return
        width = widths.get(upper) or {"SSSS": 5, "SSSSS": 5, "J": 9, "DDD": 3, "IDDD": 3, "MS": 3, "US": 6,
                                      "W": 1, "D": 1, "ID": 1, "Q": 1, "CC": 2}.get(upper, 2)  # fmt: skip
        if upper.startswith("FF"):
            width = int(upper[2:])
        separated = following is None or (not following.name and not following.text.isdigit())
        if separated and upper not in ("MS", "US") and not upper.startswith("FF"):
            width = 18
        start = self.at
        value = self.number(piece, width)
        length = self.at - start
        if upper in ("MS", "US") or upper.startswith("FF"):
            digits_wanted = {"MS": 3, "US": 6}.get(upper) or int(upper[2:])
            value = int(str(value).rjust(length, "0").ljust(digits_wanted, "0"))
            value *= 10 ** (6 - digits_wanted)
            upper = "FRACTION"
        if upper in ("YYY", "YY", "Y") and length < 4:
            value = _nearest_year(value, length)
        self.fields["YYYY" if upper in ("YYY", "YY", "Y") else upper] = value

    def number(self, piece: Piece, width: int) -> int:
        digits = re.compile(rf"[+-]?\d{{1,{width}}}").match(self.text, self.at)
        if digits is None:
            raise self.invalid(piece, self.text[self.at :])
        self.at = digits.end()
        return int(digits[0])

    def word(self, piece: Piece, words: tuple[str, ...]) -> str:
        for word in words:
            if self.text[self.at : self.at + len(word)].upper() == word.upper():
                self.at += len(word)
                return word
        raise self.invalid(piece, self.text[self.at :])

    def index(self, piece: Piece, names: tuple[str, ...]) -> int:
        full = len(piece.name) > 3 or piece.name.upper() == "DAY"
        shown = [name if full else name[:3] for name in names]
        return shown.index(self.word(piece, tuple(shown)))

    def invalid(self, piece: Piece, text: str) -> SqlError:
        found = re.match(r"\S+", text)
        shown = (found[0] if found else text)[: max(len(piece.name), 1)]
        if piece.name.isalpha() and piece.name.upper() not in _NUMBERS:
            return SqlError(
                "22007",
                f'invalid value "{found[0] if found else text}" for "{piece.name}"',
                detail="The given value did not match any of the allowed values for this field.",
            )
        return SqlError(
            "22007",
            f'invalid value "{shown}" for "{piece.name}"',
            detail="Value must be an integer.",
        )


def _nearest_year(value: int, length: int) -> int:
    """Complete a short year to the one nearest 2020."""
    if length <= 2:
        return value + (2000 if value < 70 else 1900)
    return value + (2000 if value < 520 else 1000)


def _out_of_range(text: str) -> SqlError:
    return SqlError("22008", f'date/time field value out of range: "{text}"')


def read_template(text: str, template: str) -> tuple[int, dict[str, int]]:
    """Return (local time, fields) of a text. Raises SqlError 22007 or 22008."""
    reader = _Input(text, parse_template(template))
    reader.read()
    fields = reader.fields
    if reader.half and not any(name in fields for name in ("HH24",)):
        hour = fields.get("HH12", fields.get("HH", 12))
        if not 1 <= hour <= 12:
            raise SqlError(
                "22007",
                f'hour "{hour}" is invalid for the 12-hour clock',
                hint="Use the 24-hour clock, or give an hour between 1 and 12.",
            )
        fields["HH24"] = hour % 12 + (12 if reader.half == "P" else 0)
    if "TZH" in fields:
        minutes = fields["TZH"] * 60 + fields.get("TZM", 0)
        fields["OFFSET"] = reader.zone_sign * minutes * 60
    days = _day_of(fields, reader.before_christ, text)
    return days * DAY + _time_of(fields, text), fields


def _day_of(fields: dict[str, int], before_christ: bool, text: str) -> int:
    if "J" in fields:
        return fields["J"] - calendar.JULIAN_EPOCH_DAYS
    if "IYYY" in fields or "IW" in fields:
        first = calendar.days_of(fields.get("IYYY", 1), 1, 4)
        monday = first - (first + 5) % 7
        if "IDDD" in fields:
            return monday + fields["IDDD"] - 1
        return monday + (fields.get("IW", 1) - 1) * 7 + fields.get("ID", 1) - 1
    year = fields.get("YYYY", 1 if before_christ or not fields.get("CC") else 0)
    if "CC" in fields and "YYYY" not in fields:
        year = (fields["CC"] - 1) * 100 + 1
    if "YYYY" not in fields and "CC" not in fields:
        year = 0  # PostgreSQL's year of nothing: 1 BC
    if before_christ:
        year = 1 - year
    if "DDD" in fields and "MM" not in fields:
        if not 1 <= fields["DDD"] <= 365 + calendar.is_leap(year):
            raise _out_of_range(text)
        return calendar.days_of(year, 1, 1) + fields["DDD"] - 1
    month = fields.get("MM", 1)
    day = fields.get("DD", 1)
    if not 1 <= month <= 12 or not 1 <= day <= calendar.days_in_month(year, month):
        raise _out_of_range(text)
    return calendar.days_of(year, month, day)


def _time_of(fields: dict[str, int], text: str) -> int:
    if "SSSS" in fields or "SSSSS" in fields:
        return fields.get("SSSS", fields.get("SSSSS", 0)) * SECOND
    hour = fields.get("HH24", fields.get("HH12", fields.get("HH", 0)) % 12)
    minute, second = fields.get("MI", 0), fields.get("SS", 0)
    if not (0 <= hour <= 24 and 0 <= minute <= 59 and 0 <= second <= 60):
        raise _out_of_range(text)
    return ((hour * 60 + minute) * 60 + second) * SECOND + fields.get("FRACTION", 0)


def _to_timestamp(context: Context, text: str, template: str) -> int:
    local, fields = read_template(text, template)
    at = session_zone(context)
    offset = fields["OFFSET"] if "OFFSET" in fields else at.offset_of_local(local)
    return calendar.check_timestamp(local - offset * SECOND)


define("to_char(timestamp,text)", timestamp_to_char)
define("to_char(timestamptz,text)", timestamptz_to_char, needs_context=True)
define("to_char(interval,text)", interval_to_char)
define("to_date", lambda text, template: timestamp_to_date(read_template(text, template)[0]))
define("to_timestamp(text,text)", _to_timestamp, needs_context=True)
