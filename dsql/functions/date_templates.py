"""to_char: dates, times and intervals through templates such as 'YYYY-MM-DD HH24:MI'."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dsql.errors import SqlError
from dsql.functions.date_pieces import Piece, parse_template
from dsql.functions.date_template_input import ROMAN
from dsql.functions.definition import define
from dsql.functions.function import Context
from dsql.functions.timestamps import session_zone
from dsql.types import calendar
from dsql.types.calendar import DAY, DAYS, MONTHS, SECOND
from dsql.types.interval import Interval
from dsql.types.timezone import Zone


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
        if piece.ordinal and piece.is_digits and piece.name.upper() != "TZM":
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
        width += shown < 0 and upper not in _SIGN_IN_WIDTH
        return f"{shown:0{width}d}" if piece.fill or upper in _ALWAYS_FILLED else str(shown)
    if upper in ("AM", "PM", "A.M.", "P.M."):
        half = "PM" if _signed(moment.micros, DAY) >= DAY // 2 else "AM"
        return _like(name, ".".join(half) + "." if "." in name else half)
    if upper in ("BC", "AD", "B.C.", "A.D."):
        _calendar_day(moment)
        era = "BC" if moment.year <= 0 else "AD"
        return _like(name, ".".join(era) + "." if "." in name else era)
    if upper == "Y,YYY":
        thousands = int(moment.shown_year / 1000)
        return f"{thousands},{moment.shown_year - thousands * 1000:03d}"
    if upper == "Q":
        return str((moment.month - 1) // 3 + 1) if moment.month else ""
    return _show_word(piece, moment)


def _show_word(piece: Piece, moment: Moment) -> str:
    name, upper = piece.name, piece.name.upper()
    if upper == "FX":
        return ""
    if upper in ("MONTH", "MON"):
        _calendar_day(moment)
        word = MONTHS[moment.month - 1]
        return _padded(piece, _like(name, word[:3] if upper == "MON" else word))
    if upper in ("DAY", "DY"):
        word = DAYS[calendar.weekday(_calendar_day(moment))]
        return _padded(piece, _like(name, word[:3] if upper == "DY" else word))
    if upper == "RM":
        word = _roman(moment)
        return _like(name, word.ljust(4) if piece.fill and word else word)
    return _show_zone(piece, upper, moment)


def _roman(moment: Moment) -> str:
    """Return the month; -1 is December, and no month of some years the year's last one."""
    if moment.month:
        return ROMAN[moment.month - 1 if moment.month > 0 else moment.month]
    return "" if not moment.year else ROMAN[11 if moment.year > 0 else 0]


def _padded(piece: Piece, word: str) -> str:
    """Full names are padded to the longest one."""
    return word.ljust(9) if piece.fill and piece.name.upper() in ("MONTH", "DAY") else word


def _show_zone(piece: Piece, upper: str, moment: Moment) -> str:
    _calendar_day(moment)
    if upper == "TZ":
        return moment.zone_name.upper() if piece.name == "TZ" else moment.zone_name.lower()
    sign, hours = "-" if moment.offset < 0 else "+", abs(moment.offset) // 3600
    minutes = f"{abs(moment.offset) // 60 % 60:02d}"
    if upper == "TZH":
        return f"{sign}{hours:02d}"
    if upper == "TZM":
        return minutes
    text = sign + (f"{hours:02d}" if piece.fill else str(hours))
    return f"{text}:{minutes}" if moment.offset % 3600 else text


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
    return _signed(int(moment.micros / calendar.HOUR), 12) or 12


def _century(moment: Moment) -> int:
    year = moment.year
    if moment.days is None:
        return int(year / 100)
    return (year + 99) // 100 if year > 0 else -((99 - (year - 1)) // 100)


def _signed(value: int, modulus: int) -> int:
    """Return the remainder with the value's sign."""
    return abs(value) % modulus * (-1 if value < 0 else 1)


def _part(size: int, modulus: int) -> Callable[[Moment], int]:
    """Return a field of the time, keeping an interval's sign."""

    def value(moment: Moment) -> int:
        return _signed(abs(moment.micros) // size * (-1 if moment.micros < 0 else 1), modulus)

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
    "YYY": (3, lambda moment: _signed(moment.shown_year, 1000)),
    "YY": (2, lambda moment: _signed(moment.shown_year, 100)),
    "Y": (1, lambda moment: _signed(moment.shown_year, 10)),
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
} | {f"FF{digits}": (digits, _part(10 ** (6 - digits), 10**digits)) for digits in range(1, 7)}


_SIGN_IN_WIDTH = frozenset(("DD", "DDD", "IDDD", "WW", "IW"))
_ALWAYS_FILLED = frozenset(("MS", "US", *(f"FF{digits}" for digits in range(1, 7))))


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


define("to_char(timestamp,text)", timestamp_to_char)
define("to_char(timestamptz,text)", timestamptz_to_char, needs_context=True)
define("to_char(interval,text)", interval_to_char)
