"""Encodings of text other than UTF-8: their names, and conversion both ways, as PostgreSQL's are.

The tables are Python's, amended where PostgreSQL's maps differ (`dsql.types.encoding_amendments`). A text
of ASCII is the same in all of them.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TypeVar

from dsql.errors import SqlError
from dsql.types.encoding_amendments import AMENDMENTS, ONE_WAY, REFUSED
from dsql.types.pieces import pieces
from dsql.types.string import decode_utf8

_SINGLE_BYTE = {
    "ISO_8859_5": "iso8859_5", "ISO_8859_6": "iso8859_6", "ISO_8859_7": "iso8859_7",
    "ISO_8859_8": "iso8859_8", "KOI8R": "koi8_r", "KOI8U": "koi8_u", "LATIN1": "latin_1",
    "LATIN2": "iso8859_2", "LATIN3": "iso8859_3",
    "LATIN4": "iso8859_4", "LATIN5": "iso8859_9", "LATIN6": "iso8859_10", "LATIN7": "iso8859_13",
    "LATIN8": "iso8859_14", "LATIN9": "iso8859_15", "LATIN10": "iso8859_16", "WIN866": "cp866",
    "WIN874": "cp874", "WIN1250": "cp1250", "WIN1251": "cp1251", "WIN1252": "cp1252", "WIN1253": "cp1253",
    "WIN1254": "cp1254", "WIN1255": "cp1255", "WIN1256": "cp1256", "WIN1257": "cp1257", "WIN1258": "cp1258",
}  # fmt: skip

# One character that is none of ASCII, as PostgreSQL's verifiers have it.
_EUC = rb"[\xa1-\xfe]"
_EUC_JP = rb"\x8e[\xa1-\xdf]|\x8f%b%b|%b%b" % (_EUC, _EUC, _EUC, _EUC)
_ANY_TWO = rb"[\x80-\xff][^\0]"
_SHIFTED = rb"[\xa1-\xdf]|[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]"
_GB18030 = rb"[\x81-\xfe](?:[\x40-\x7e\x80-\xfe]|[0-9][\x81-\xfe][0-9])"
_MULTI_BYTE = {
    "BIG5": ("big5", _ANY_TWO),
    "EUC_CN": ("gb2312", _EUC + _EUC),
    "EUC_JIS_2004": ("euc_jis_2004", _EUC_JP),
    "EUC_JP": ("euc_jp", _EUC_JP),
    "EUC_KR": ("cp949", _EUC + _EUC),
    "GB18030": ("gb18030", _GB18030),
    "GBK": ("gbk", _ANY_TWO),
    "JOHAB": ("johab", rb"\x8f%b%b|[\x80-\x8e\x90-\xff]%b" % (_EUC, _EUC, _EUC)),
    "SHIFT_JIS_2004": ("shift_jis_2004", _SHIFTED),
    "SJIS": ("cp932", _SHIFTED),
    "UHC": ("cp949", _ANY_TWO),
}
_NOT_CONVERTED = ("EUC_TW", "MULE_INTERNAL")
_ALIASES = {
    "abc": "WIN1258", "alt": "WIN866", "iso88591": "LATIN1", "iso885910": "LATIN6", "iso885913": "LATIN7",
    "iso885914": "LATIN8", "iso885915": "LATIN9", "iso885916": "LATIN10", "iso88592": "LATIN2",
    "iso88593": "LATIN3", "iso88594": "LATIN4", "iso88599": "LATIN5", "koi8": "KOI8R", "mskanji": "SJIS",
    "shiftjis": "SJIS", "tcvn": "WIN1258", "tcvn5712": "WIN1258", "unicode": "UTF8", "vscii": "WIN1258",
    "win": "WIN1251", "win932": "SJIS", "win936": "GBK", "win949": "UHC", "win950": "BIG5",
    "windows932": "SJIS", "windows936": "GBK", "windows949": "UHC", "windows950": "BIG5",
}  # fmt: skip
_REMEMBERED_MAX = 30_000  # characters of each encoding
_NOT_ASCII = re.compile("[^\0-\x7f]")
_WITH_COMBINED = re.compile(  # JIS X 0213 has characters for some pairs that end in these
    "[^\0-\x7f][\u02e5\u02e9\u0300\u0301\u309a]?"
)
Key = TypeVar("Key", str, bytes)
Value = TypeVar("Value", str, bytes)


def _plain(name: str) -> str:
    """Return what PostgreSQL compares of a name: its letters and digits."""
    return re.sub("[^a-z0-9]", "", name.lower())


_NAMES = (*_SINGLE_BYTE, *_MULTI_BYTE, *_NOT_CONVERTED, "SQL_ASCII", "UTF8")
_KNOWN = {_plain(name): name for name in _NAMES} | _ALIASES
_KNOWN |= {f"windows{name[3:]}": name for name in _NAMES if name.startswith("WIN")}


def encoding_name(text: str) -> str | None:
    """Return PostgreSQL's own name of an encoding, None if it knows none of that name."""
    return _KNOWN.get(_plain(text))


@cache
def find_encoding(name: str) -> TextEncoding | None:
    """Return the encoding of PostgreSQL's name; None for UTF8, SQL_ASCII and "": nothing is converted.

    Raises SqlError 0A000 where there is no conversion.
    """
    if name in ("", "UTF8", "SQL_ASCII"):
        return None
    if name in _SINGLE_BYTE:
        return TextEncoding(name, _SINGLE_BYTE[name])
    if name in _MULTI_BYTE:
        return _MultiByte(name, *_MULTI_BYTE[name])
    assert name in _NOT_CONVERTED
    raise SqlError("0A000", f"conversion between {name} and UTF8 is not supported")


class TextEncoding:
    """One with a byte for each character."""

    def __init__(self, name: str, codec: str) -> None:
        self.name = name
        self.codec = codec

    def to_utf8(self, data: bytes) -> bytes:
        """Return a text in UTF-8. Raises SqlError 22021 for what is no text, 22P05 for what UTF-8 lacks."""
        if data.isascii():
            return data
        return b"".join([self._decoded(piece) for piece in pieces(data)])

    def from_utf8(self, data: bytes) -> bytes:
        """Return a text of UTF-8 in this encoding. Raises SqlError 22P05 for a character that it lacks."""
        if data.isascii():
            return data
        return b"".join([self._encoded(piece) for piece in pieces(decode_utf8(data))])

    def encoded(self, text: str) -> bytes:
        """Return a text in this encoding. Raises SqlError 22P05 for a character that it lacks."""
        return text.encode() if text.isascii() else self._encoded(text)

    def whole(self, data: bytes) -> int:
        """Return how many of the first bytes are whole characters; the rest is the beginning of one."""
        return len(data)

    def _decoded(self, piece: bytes) -> bytes:
        try:
            return piece.decode(self.codec).encode()
        except UnicodeDecodeError as error:
            raise self._unknown(piece[error.start : error.start + 1]) from None

    def _encoded(self, piece: str) -> bytes:
        try:
            return piece.encode(self.codec)
        except UnicodeEncodeError as error:
            raise self._lacking(piece[error.start]) from None

    def _unknown(self, character: bytes) -> SqlError:
        return _no_equivalent(character, self.name, "UTF8")

    def _lacking(self, character: str) -> SqlError:
        return _no_equivalent(character.encode(), "UTF8", self.name)


class _MultiByte(TextEncoding):
    """One with characters of several bytes, each of which is looked up once."""

    def __init__(self, name: str, codec: str, character: bytes) -> None:
        super().__init__(name, codec)
        self._amended = AMENDMENTS.get(name, {})
        self._back = {text: data for data, text in reversed(self._amended.items())}
        self._one_way = ONE_WAY.get(name, {})
        self._one = re.compile(character)
        self._ours = re.compile(rb"(?:%b)|[\x80-\xff]" % character)
        self._theirs = _WITH_COMBINED if "2004" in name else _NOT_ASCII
        self._to: dict[bytes, bytes] = {}
        self._from: dict[str, str] = {}

    def to_utf8(self, data: bytes) -> bytes:
        """See `TextEncoding`."""
        return data if data.isascii() else self._ours.sub(self._character_to, data)

    def whole(self, data: bytes) -> int:
        """See `TextEncoding`."""
        at = (
            max(data.rfind(byte) for byte in b"\n\r\t ") + 1
        )  # these end no character of any encoding
        while at < len(data):
            size = self._size(data, at)
            if at + size > len(data):
                return at
            at += size
        return len(data)

    def _encoded(self, piece: str) -> bytes:
        return self._theirs.sub(self._character_from, piece).encode("latin_1")

    def _character_to(self, found: re.Match[bytes]) -> bytes:
        character = found[0]
        known = self._to.get(character)
        if known is None:
            if self._one.fullmatch(character) is None:
                raise self._invalid(found.string, found.start())
            text = self._text(character)
            if text is None:
                raise self._unknown(character)
            known = _remember(self._to, character, text.encode())
        return known

    def _character_from(self, found: re.Match[str]) -> str:
        """Return a character's bytes, each as a character of its own."""
        text = found[0]
        known = self._from.get(text)
        if known is None:
            character = self._bytes(text)
            if character is None and len(text) > 1:
                return "".join(self._theirs.sub(self._character_from, one) for one in text)
            if character is None:
                raise self._lacking(text)
            known = _remember(self._from, text, character.decode("latin_1"))
        return known

    def _text(self, character: bytes) -> str | None:
        """Return what PostgreSQL's map has for a character's bytes."""
        refused = REFUSED.get(self.name)
        if refused is not None and refused.fullmatch(character):
            return None
        try:
            return self._amended.get(character) or character.decode(self.codec)
        except UnicodeDecodeError:
            return None

    def _bytes(self, text: str) -> bytes | None:
        """Return what PostgreSQL's map has for a character: as a rule what is read as the same again."""
        try:
            data = text.encode(self.codec)
        except UnicodeEncodeError:
            data = b""
        if data and self.name != "JOHAB":  # of which less is read than written
            known = self._one.fullmatch(data) and self._text(data) == text
            data = data if known and text not in self._one_way else b""
        return self._one_way.get(text) or data or self._back.get(text)

    def _invalid(self, data: bytes, at: int) -> SqlError:
        shown = _shown(data[at : at + self._size(data, at)].partition(b"\0")[0])
        return SqlError("22021", f'invalid byte sequence for encoding "{self.name}": {shown}')

    def _size(self, data: bytes, at: int) -> int:
        """Return how many bytes a character has that begins there."""
        first = data[at]
        if first < 0x80 or (self._one.pattern == _SHIFTED and 0xA1 <= first <= 0xDF):
            return 1
        if self.name == "GB18030":
            return 4 if data[at + 1 : at + 2].isdigit() else 2
        return 3 if first == 0x8F and (self.name.startswith("EUC") or self.name == "JOHAB") else 2


def _remember(known: dict[Key, Value], key: Key, value: Value) -> Value:
    if len(known) < _REMEMBERED_MAX:
        known[key] = value
    return value


def _shown(character: bytes) -> str:
    return " ".join(f"0x{byte:02x}" for byte in character)


def _no_equivalent(character: bytes, source: str, target: str) -> SqlError:
    message = (
        f'character with byte sequence {_shown(character)} in encoding "{source}" '
        f'has no equivalent in encoding "{target}"'
    )
    return SqlError("22P05", message)
