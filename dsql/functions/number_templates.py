"""to_char and to_number of numbers, through templates such as '9,999.00'.

A template is read into a `Format`: digit places before and after the point, where the sign, the group
separators and literals stand. Writing walks the template once over the rounded digits.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache

from dsql.errors import SqlError
from dsql.functions.date_templates import ordinal_suffix
from dsql.functions.definition import define
from dsql.functions.number_casts import numeric_to_int4
from dsql.functions.numerics import negate
from dsql.types.numeric import EXACT, parse_numeric, rescale
from dsql.types.size import check_parts

_TOKEN = re.compile(
    r'"(?P<quoted>(?:[^"\\]|\\.)*)"|\\(?P<escaped>.)'
    r"|(?P<key>EEEE|FM|MI|PL|PR|RN|SG|TH|[90.,DGLSV])|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
_ROMAN_DIGITS = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"),
    (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip
_ROMAN_WIDTH = 15
_NOT_SCIENTIFIC = frozenset(("FM", "S", "PR", "MI", "PL", "SG", "RN", "V"))


_REMEMBERED_CHARACTERS_MAX = 1_000


@dataclass(slots=True)
class Format:
    """A parsed template. `tokens`: (kind, text), kinds being keys in upper case or "literal"."""

    tokens: list[tuple[str, str]] = field(default_factory=list)
    whole: int = 0  # digit places before the point
    fraction: int = 0
    shift: int = 0  # places after V
    first_zero: int = -1  # the place of the first 0 before the point, -1 for none
    fraction_zero: int = 0  # up to here the fraction keeps zeros under FM
    fill: bool = True
    flags: set[str] = field(default_factory=set)


def parse_format(template: str) -> Format:
    """Return the parsed template. Raises SqlError 42601 for contradictory parts."""
    if len(template) <= _REMEMBERED_CHARACTERS_MAX:
        return _parse_again(template)
    check_parts(len(template))
    return _parse(template)


@lru_cache(512)
def _parse_again(template: str) -> Format:
    return _parse(template)


def _parse(template: str) -> Format:
    made = Format()
    point = shifted = False
    for found in _TOKEN.finditer(template):
        key = (found["key"] or "").upper()
        if not key:
            quoted = found["quoted"]
            text = found["escaped"] or found["other"] or re.sub(r"\\(.)", r"\1", quoted or "")
            made.tokens.append(("literal", text))
            continue
        _check_scientific(made, key)
        if key in "90":
            _count_place(made, key, point, shifted)
        elif key in ".D":
            if point:
                raise SqlError("42601", "multiple decimal points")
            point = True
        elif key == "V":
            shifted = True
        elif key == "FM":
            made.fill = False
        made.flags.add("D" if key == "." else key)
        made.tokens.append((key, found["key"]))
    if "PR" in made.flags and made.flags & {"S", "PL", "MI", "SG"}:
        raise SqlError("42601", 'cannot use "PR" and "S"/"PL"/"MI"/"SG" together')
    return made


def _check_scientific(made: Format, key: str) -> None:
    if "EEEE" in made.flags and key != "EEEE":
        raise SqlError("42601", '"EEEE" must be the last pattern used')
    if key == "EEEE" and made.flags & _NOT_SCIENTIFIC:
        raise SqlError(
            "42601",
            '"EEEE" is incompatible with other formats',
            detail='"EEEE" may only be used together with digit and decimal point patterns.',
        )


def _count_place(made: Format, key: str, point: bool, shifted: bool) -> None:
    if shifted:
        made.shift += 1
    elif point:
        made.fraction += 1
        if key == "0":
            made.fraction_zero = made.fraction
    else:
        if key == "0" and made.first_zero < 0:
            made.first_zero = made.whole
        made.whole += 1


def number_to_char(
    value: Decimal, template: str, *, signed_zero: bool = False, places_max: int | None = None
) -> str:
    """Return a number through a template; # marks digits that do not fit.

    With `signed_zero` what is rounded to zero keeps its sign, as a double does. `places_max`: so many of
    the template's places behind the point are written at most.
    """
    form = parse_format(template)
    if places_max is not None and form.fraction > places_max:
        form = replace(form, fraction=places_max)
    if "RN" in form.flags:
        return _roman(value, form)
    if "EEEE" in form.flags:
        return _scientific(value, form)
    if form.shift:
        value = EXACT.scaleb(value, form.shift)
    places = form.whole + form.shift
    if not value.is_finite():
        word = "NaN" if value.is_nan() else "Infinity"
        negative = value.is_signed()
        if len(word) <= places:
            sign = "-" if negative else "+" if form.flags & {"S", "SG", "PL"} else ""
            separators = sum(kind in ",G" for kind, _ in form.tokens)
            return (sign + word).rjust(places + separators + 1 if form.fill else 0)
        return _write(form, "#" * places, "#" * form.fraction, negative)
    rounded = rescale(value, form.fraction)
    whole, _, fraction = format(rounded.copy_abs(), "f").partition(".")
    if whole.strip("0") and len(whole) > places:
        whole, fraction = "#" * places, "#" * form.fraction
    elif not whole.strip("0") and form.first_zero < 0 and not _shows_zero(form, fraction):
        whole = ""  # ".5" where no 0 asks for the leading zero
    negative = value.is_signed() if signed_zero else rounded < 0
    return _write(form, whole, fraction, negative)


def _shows_zero(form: Format, fraction: str) -> bool:
    """Return whether a number below 1 has a zero before its point although no 0 asks for it."""
    if not form.whole:
        return False
    return not form.fraction or not (form.fill or fraction.strip("0") or form.fraction_zero)


def _write(form: Format, whole: str, fraction: str, negative: bool) -> str:
    places = form.whole + form.shift
    return _Writer(
        form, whole.rjust(places)[-places:] if places else "", fraction, negative
    ).write()


class _Writer:
    """Writes one number's digits along the template."""

    def __init__(self, form: Format, whole: str, fraction: str, negative: bool) -> None:
        self.form = form
        self.negative = negative
        if form.first_zero >= 0:
            tail = whole[form.first_zero :].replace(" ", "0")
            whole = whole[: form.first_zero] + tail
        self.whole = whole
        self.fraction = self.trimmed(fraction)
        self.out: list[str] = []
        self.at = self.fraction_at = 0
        self.point = False
        self.sign_done = bool(form.flags & {"S", "MI", "PL", "SG", "PR"})
        self.anchored = "S" in form.flags and self.sign_leads()

    def trimmed(self, fraction: str) -> str:
        """Drop trailing zeros under FM, up to the last 0 of the template."""
        if self.form.fill:
            return fraction
        kept = fraction.rstrip("0")
        return fraction[: max(len(kept), self.form.fraction_zero)]

    def sign_leads(self) -> bool:
        kinds = [kind for kind, _ in self.form.tokens if kind in ("S", "9", "0")]
        return kinds[:1] == ["S"]

    def write(self) -> str:
        for kind, text in self.form.tokens:
            if kind in ("9", "0"):
                self.digit()
            elif kind == "literal":
                self.out.append(text)
            elif kind in (".", "D"):
                self.lead()
                self.point = True
                self.out.append("." if self.form.fraction else "")
            elif kind in (",", "G"):
                self.separator()
            elif kind == "L":
                self.out.append(" " if self.form.fill else "")
            else:
                self.mark(kind, text)
        text = "".join(self.out)
        if "PR" in self.form.flags:
            text = self.bracketed(text)
        return text

    def lead(self) -> None:
        """Write the sign in front of the first digit."""
        if self.anchored:
            self.anchored = False
            self.out.append("-" if self.negative else "+")
        elif not self.sign_done:
            self.sign_done = True
            self.out.append("-" if self.negative else " " if self.form.fill else "")

    def digit(self) -> None:
        if self.point:
            if self.fraction_at < len(self.fraction):
                self.out.append(self.fraction[self.fraction_at])
            self.fraction_at += 1
            return
        char = self.whole[self.at] if self.at < len(self.whole) else " "
        self.at += 1
        if char != " ":
            self.lead()
            self.out.append(char)
        elif self.form.fill:
            self.out.append(" ")

    def separator(self) -> None:
        started = bool(self.whole[: self.at].strip())
        if started:
            self.out.append(",")
        elif self.form.fill:
            self.out.append(" ")

    def mark(self, kind: str, text: str) -> None:
        if kind == "S" and not self.sign_leads():
            self.out.append("-" if self.negative else "+")
        elif kind == "MI":
            self.out.append("-" if self.negative else " " if self.form.fill else "")
        elif kind == "PL":
            self.out.append("+" if not self.negative else " " if self.form.fill else "")
            self.sign_done = not self.negative and self.sign_done
            if not self.negative:
                self.sign_done = False
        elif kind == "SG":
            self.out.append("-" if self.negative else "+")
        elif kind == "TH" and not self.negative and not self.fraction:
            suffix = ordinal_suffix(self.whole)
            self.out.append(suffix if text == "TH" else suffix.lower())

    def bracketed(self, text: str) -> str:
        bare = text.lstrip(" ")
        spaces = len(text) - len(bare)
        if self.negative:
            return " " * spaces + f"<{bare}>"
        return " " * (spaces + 1) + bare + " " if self.form.fill else bare


def _scientific(value: Decimal, form: Format) -> str:
    if not value.is_finite():
        return " " + "#" * form.whole + "." + "#" * (form.fraction + 4)
    power = value.adjusted() if value else 0
    # Like PostgreSQL, round what is left of the point once: 9.99 to one place is 10.0e+00.
    mantissa = rescale(EXACT.scaleb(value.copy_abs(), -power), form.fraction)
    sign = "-" if value < 0 else " "
    return f"{sign}{mantissa:f}e{power:+03d}"


def _scientific_float(value: float, form: Format) -> str:
    if not math.isfinite(value):
        return _scientific(Decimal(value), form)
    return f"{value: .{form.fraction}e}"


def _roman(value: Decimal, form: Format) -> str:
    number = numeric_to_int4(value)
    if not 0 < number < 4000:
        text = "#" * _ROMAN_WIDTH
    else:
        text = ""
        for size, letters in _ROMAN_DIGITS:
            count, number = divmod(number, size)
            text += letters * count
    lowered = any(kind == "RN" and shown == "rn" for kind, shown in form.tokens)
    text = text.lower() if lowered else text
    return text.rjust(_ROMAN_WIDTH) if form.fill else text


def to_number(text: str, template: str) -> Decimal:
    """Return the number that a text shows under a template. Raises SqlError 22P02."""
    form = parse_format(template)
    digits = re.sub(r"[^0-9.]", "", text)
    whole, point, fraction = digits.partition(".")
    kept = whole[: form.whole + form.shift] + point + fraction[: form.fraction]
    negative = "-" in text or ("PR" in form.flags and "<" in text)
    if not kept.strip("."):
        raise SqlError("22P02", 'invalid input syntax for type numeric: " "')
    value = parse_numeric(kept.rstrip("."))
    if form.shift:
        value = EXACT.scaleb(value, -form.shift)
    return negate(value) if negative else value


def float_to_char(value: float, template: str, digits: int) -> str:
    """Return a float, of which so many digits count, through a template."""
    form = parse_format(template)
    if "EEEE" in form.flags and "RN" not in form.flags:
        return _scientific_float(value, form)
    if "RN" in form.flags and math.isfinite(value):
        return _roman(Decimal(round(value)), form)
    # As many digits as a float has, those in front of the point counted first.
    places = max(digits - len(f"{abs(value):.0f}"), 0) if math.isfinite(value) else form.fraction
    number = Decimal(f"{value:.{digits}g}")
    return number_to_char(number, template, signed_zero=True, places_max=places)


def int4_to_char(value: int, template: str) -> str:
    """Return an integer through a template; its scientific notation is a double's."""
    form = parse_format(template)
    if "EEEE" in form.flags and "RN" not in form.flags:
        return _scientific_float(float(value), form)
    return number_to_char(Decimal(value), template)


define("to_char(int4,text)", int4_to_char)
define("to_char(int8,text)", lambda v, t: number_to_char(Decimal(v), t))
define("to_char(numeric,text)", number_to_char)
define("to_char(float8,text)", lambda v, t: float_to_char(v, t, 15))
define("to_char(float4,text)", lambda v, t: float_to_char(v, t, 6))
define("to_number", to_number)
