"""String functions. Positions count characters from 1."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from dsql.errors import SqlError
from dsql.functions.definition import define
from dsql.functions.function import Context
from dsql.functions.templates import export
from dsql.limits import truncate_identifier
from dsql.types import oids, registry
from dsql.types.pieces import PIECE, find, in_pieces, lstrip, pieces, rstrip
from dsql.types.pieces import replace as replace_large
from dsql.types.size import SHORT, check_parts, check_size, join

_WORD = re.compile(r"[^\W_]+")
_DIGITS_AS_LETTERS = bytes.maketrans(b"0123456789", b"aaaaaaaaaa")
_CASE_BITS = bytes(0x20 if 0x61 <= code <= 0x7A else 0 for code in range(256))
_NORMAL_FORM_GROWTH = 18  # U+FDFA


def fold(text: str, change: Callable[[str], str]) -> str:
    """Change case character by character, leaving those that would become several."""
    return in_pieces(lambda piece: _folded(piece, change), text)


def _folded(text: str, change: Callable[[str], str]) -> str:
    changed = change(text)
    # A capital sigma at the end of a word is the only character that looks at its neighbours.
    if len(changed) == len(text) and "\u03a3" not in text:
        return changed
    each = (change(char) for char in text)
    return "".join(new if len(new) == 1 else old for old, new in zip(text, each, strict=True))


@export
def joined(left: Any, right: Any) -> Any:
    """Return two texts or byteas as one. Raises SqlError 54000."""
    check_size(len(left) + len(right), left, right)
    return left + right


def lower(text: str) -> str:
    """Return the text in lower case."""
    return fold(text, str.lower)


def upper(text: str) -> str:
    """Return the text in upper case."""
    return fold(text, str.upper)


def initcap(text: str) -> str:
    """Capitalize the first letter of every word, lower-case the others."""
    done, before = [], ""  # the character before a piece tells whether it begins within a word
    for piece in pieces(text):
        done.append(_capitalized(before + piece)[len(before) :])
        before = piece[-1]
    return "".join(done)


def _capitalized(text: str) -> str:
    if not text.isascii():
        return _WORD.sub(lambda word: upper(word[0][0]) + lower(word[0][1:]), text)
    # To bytes.title digits are no part of a word. So letters stand for them while it looks for the
    # first of each word, which are flipped in the text itself. All of that is done as with one number.
    small = text.encode().lower()
    shadow = small.translate(_DIGITS_AS_LETTERS)
    flipped = int.from_bytes(shadow, "big") ^ int.from_bytes(shadow.title(), "big")
    flipped &= int.from_bytes(small.translate(_CASE_BITS), "big")
    number = int.from_bytes(small, "big") ^ flipped
    return number.to_bytes(len(small), "big").decode()


def substring(value: Any, start: int, length: int | None = None) -> Any:
    """Return part of a text or bytea; positions before 1 use up length. Raises SqlError 22011."""
    if length is None:
        return value[max(start - 1, 0) :]
    if length < 0:
        raise SqlError("22011", "negative substring length not allowed")
    return value[max(start - 1, 0) : max(start + length - 1, 0)]


def overlay(value: Any, new: Any, start: int, length: int | None = None) -> Any:
    """Replace part of a text or bytea. Raises SqlError 22011."""
    if start <= 0:
        raise SqlError("22011", "negative substring length not allowed")
    length = len(new) if length is None else length
    check_size(len(value) + len(new), value, new)
    parts = [value[: start - 1], new, value[max(start - 1 + length, 0) :]]
    return value[:0].join(parts)


def pad(text: str, length: int, fill: str, *, left: bool) -> str:
    """Pad with `fill` or cut to a length, on the left or the right."""
    length = max(length, 0)
    missing = length - len(text)
    if missing <= 0 or not fill:
        return text[:length]
    check_size(length, text, fill)
    whole, rest = divmod(missing, len(fill))
    padding = [*_repeated(fill, whole), fill[:rest]]
    return "".join([*padding, text] if left else [text, *padding])


def repeat(text: str, count: int) -> str:
    """Repeat the text; negative counts give the empty text."""
    check_size(len(text) * max(count, 0), text)
    return text * count if len(text) * count <= PIECE else "".join(_repeated(text, count))


def _repeated(text: str, count: int) -> list[str]:
    """Return parts of what so many of a text are together."""
    several = max(PIECE // max(len(text), 1), 1)
    return [text * several] * (count // several) + [text * (count % several)]


def reverse(text: str) -> str:
    """Return the characters in reverse order."""
    return "".join([piece[::-1] for piece in pieces(text)][::-1])


@export
def place(text: Any, part: Any) -> int:
    """Return where a part of a large text or bytea begins, 0 if it has none."""
    return find(text, part) + 1


@export
def trimmed(text: Any, characters: Any) -> Any:
    """Return a large text without any of these characters at its ends."""
    return rstrip(lstrip(text, characters), characters)


def replace(text: str, old: str, new: str) -> str:
    """Replace every occurrence of a text. Raises SqlError 54000."""
    if not old:
        return text
    if len(new) > len(old) or not new.isascii():
        check_size(len(text) + text.count(old) * (len(new) - len(old)), text, new)
    return text.replace(old, new) if len(text) <= PIECE else replace_large(text, old, new)


def split_part(text: str, separator: str, number: int) -> str:
    """Return part `number` (from 1; negative from the end) between separators."""
    if number == 0:
        raise SqlError("22023", "field position must not be zero")
    if not separator:
        return text if number in (1, -1) else ""
    if number < 0:
        number += text.count(separator) + 2
    start = 0
    for _ in range(number - 1):
        at = text.find(separator, start)
        if at < 0:
            return ""
        start = at + len(separator)
    end = text.find(separator, start)
    return "" if number < 1 else text[start:] if end < 0 else text[start:end]


def translate(text: str, source: str, target: str) -> str:
    """Replace characters one by one; those without a counterpart go."""
    table: dict[int, str | None] = {}
    for at, char in enumerate(source):
        table.setdefault(ord(char), target[at] if at < len(target) else None)
    check_size(len(text), text, target)
    return in_pieces(lambda piece: piece.translate(table), text)


def md5(value: bytes) -> str:
    """Return the hash in hexadecimal digits."""
    if len(value) <= PIECE:
        return hashlib.md5(value, usedforsecurity=False).hexdigest()
    digest = hashlib.md5(usedforsecurity=False)
    for piece in pieces(value):
        digest.update(piece)
    return digest.hexdigest()


def character(code: int) -> str:
    """Return the character of a code point. Raises SqlError 54000."""
    if code == 0:
        raise SqlError("54000", "null character not permitted")
    if code < 0:
        raise SqlError("22023", "character number must be positive")
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        kind = (
            "requested character too large for encoding"
            if code > 0x10FFFF
            else ("requested character not valid for encoding")
        )
        raise SqlError("54000", f"{kind}: {code}")
    return chr(code)


def to_hex(value: int, bits: int) -> str:
    """Return the hexadecimal text of an integer in two's complement."""
    return f"{value & ((1 << bits) - 1):x}"


def string_to_array(text: str | None, separator: str | None, null: str | None = None) -> Any:
    """Split at a separator: NULL for every character, empty for none."""
    if text is None:
        return None
    if not text:
        return []
    check_parts(len(text) if separator is None else text.count(separator) if separator else 1)
    if separator is None:
        parts = list(text)
    else:
        parts = text.split(separator) if separator else [text]
    return [None if null is not None and part == null else part for part in parts]


def _concat(*types: int) -> Callable[..., str]:
    def concat(context: Context, *values: Any) -> str:
        return join("", _texts(context, types, values))

    return concat


def _concat_ws(*types: int) -> Callable[..., str | None]:
    def concat_ws(context: Context, separator: str | None, *values: Any) -> str | None:
        return None if separator is None else join(separator, _texts(context, types[1:], values))

    return concat_ws


def _texts(context: Context, types: tuple[int, ...], values: tuple[Any, ...]) -> Iterator[str]:
    """Yield the text formats of the values that are not NULL."""
    for oid, value in zip(types, values, strict=True):
        if value is not None:
            yield as_text(context, oid, value)


def as_text(context: Context, oid: int, value: Any) -> str:
    """Return the text format of a value."""
    return registry.get(oid).text_encoder(context.settings)(value).decode()


def _cast_to_text(context: Context, oid: int, value: Any) -> str:
    """Return what value::text gives, which differs from the text format for two types."""
    if oid == oids.BOOL:
        return "true" if value else "false"
    text = as_text(context, oid, value)
    return text.rstrip(" ") if oid == oids.BPCHAR else text


def _cast_from(oid: int) -> Callable[[Context, Any], str]:
    """Return `_cast_to_text` of a type."""
    if oid in (oids.BOOL, oids.BPCHAR):
        return lambda context, value: _cast_to_text(context, oid, value)
    encoder = registry.get(oid).text_encoder
    return lambda context, value: encoder(context.settings)(value).decode()


def _text_first(_left: int, right: int) -> Callable[..., str]:
    cast = _cast_from(right)
    return lambda context, text, value: joined(text, cast(context, value))


def _text_last(left: int, _right: int) -> Callable[..., str]:
    cast = _cast_from(left)
    return lambda context, value, text: joined(cast(context, value), text)


def normalize(text: str, form: str) -> str:
    """Return the text in a Unicode normal form. Raises SqlError 22023."""
    if form.upper() not in ("NFC", "NFD", "NFKC", "NFKD"):
        raise SqlError("22023", f"invalid normalization form: {form}")
    if not text.isascii():
        check_size(len(text) * _NORMAL_FORM_GROWTH, text)
    return unicodedata.normalize(form.upper(), text)  # type: ignore[arg-type]


def unistr(text: str) -> str:
    r"""Replace \XXXX, \+XXXXXX, \uXXXX and \UXXXXXXXX by the characters they mean."""
    pattern = r"\\(?:(\\)|([0-9a-fA-F]{4})|\+([0-9a-fA-F]{6})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))"
    if re.sub(pattern, "", text).count("\\"):
        raise SqlError("42601", "invalid Unicode escape")

    def replace(found: re.Match[str]) -> str:
        digits = next((group for group in found.groups()[1:] if group), None)
        return character(int(digits, 16)) if digits else "\\"

    return re.sub(pattern, replace, text)


for _type in ("text", "bpchar"):
    define(f"length({_type}) char_length({_type}) character_length({_type})",
           (lambda text: len(text)) if _type == "text" else lambda text: len(text.rstrip(" ")))  # fmt: skip
    define(f"octet_length({_type})",
           lambda text: len(text) if text.isascii() else len(text.encode()))  # fmt: skip
define("textlen", template="len({0})")
define("bit_length(text)", lambda text: 8 * len(text.encode()))
define(
    "textcat",
    template=f"({{0}} + {{1}} if len({{0}}) + len({{1}}) <= {SHORT} else joined({{0}}, {{1}}))",
)
define("textanycat", typed=_text_first, needs_context=True)
define("anytextcat", typed=_text_last, needs_context=True)
define("lower(text)", lower)
define("upper(text)", upper)
define("initcap", initcap)
define("substr(text,int4) substring(text,int4)", substring)
define("substr(text,int4,int4) substring(text,int4,int4)", substring)
define("overlay(text,text,int4) overlay(text,text,int4,int4)", overlay)
define("position(text,text) strpos",
       template=f"({{0}}.find({{1}}) + 1 if len({{0}}) <= {PIECE} else place({{0}}, {{1}}))")  # fmt: skip
define("btrim(text)",
       template=f'({{0}}.strip(" ") if len({{0}}) <= {PIECE} else trimmed({{0}}, " "))')  # fmt: skip
define("ltrim(text)", template='{0}.lstrip(" ")')
define("rtrim(text)", template='{0}.rstrip(" ")')
define("btrim(text,text)", lambda text, chars: trimmed(text, chars) if chars else text)
define("ltrim(text,text)", lambda text, chars: lstrip(text, chars) if chars else text)
define("rtrim(text,text)", lambda text, chars: rstrip(text, chars) if chars else text)
define("lpad(text,int4,text)", lambda text, length, fill: pad(text, length, fill, left=True))
define("rpad(text,int4,text)", lambda text, length, fill: pad(text, length, fill, left=False))
define("lpad(text,int4)", lambda text, length: pad(text, length, " ", left=True))
define("rpad(text,int4)", lambda text, length: pad(text, length, " ", left=False))
define("left", lambda text, count: text[:count])
define("right", lambda text, count: text[-count:] if count > 0 else text[-count:] if count else "")
define("repeat", repeat)
define("reverse", reverse)
define("replace", replace)
define("split_part", split_part)
define("translate", translate)
define("ascii", lambda text: ord(text[0]) if text else 0)
define("chr", character)
define("to_hex(int4)", lambda value: to_hex(value, 32))
define("to_hex(int8)", lambda value: to_hex(value, 64))
define("starts_with", template="{0}.startswith({1})")
define("string_to_array(text,text) string_to_array(text,text,text)", string_to_array)
define("string_to_table(text,text) string_to_table(text,text,text)",
       lambda *given: string_to_array(*given) or [])  # fmt: skip
define("concat", typed=_concat, needs_context=True)
define("concat_ws", typed=_concat_ws, needs_context=True)
define("md5(text)", lambda text: md5(text.encode()))
define("normalize", normalize)
define("is_normalized", lambda text, form: normalize(text, form) == text)
define("unistr", unistr)
define("text(bpchar)", lambda text: text.rstrip(" "))
define("text(name) bpchar(name) varchar(name)", template="{0}")
define("name(text) name(varchar)", truncate_identifier)
define("name(bpchar)", lambda text: truncate_identifier(text.rstrip(" ")))
define("text(char) bpchar(char)", template="{0}")
define("char(text)", lambda text: chr(text.encode()[0]) if text else "")
define("text(bool)", template="('true' if {0} else 'false')")
define(
    "nameconcatoid", lambda name, oid: truncate_identifier(name)[: 62 - len(str(oid))] + f"_{oid}"
)
