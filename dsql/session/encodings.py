"""client_encoding: which encodings PostgreSQL knows, by which names, and the one that is spoken here.

Texts are UTF-8 on the way in and out; what would have to be converted is refused, as PostgreSQL refuses a
pair of encodings that it has no conversion for.
"""

from __future__ import annotations

import re

from dsql.errors import SqlError

_NAMES = """
    BIG5 EUC_CN EUC_JIS_2004 EUC_JP EUC_KR EUC_TW GB18030 GBK ISO_8859_5 ISO_8859_6 ISO_8859_7 ISO_8859_8
    JOHAB KOI8R KOI8U LATIN1 LATIN2 LATIN3 LATIN4 LATIN5 LATIN6 LATIN7 LATIN8 LATIN9 LATIN10
    MULE_INTERNAL SHIFT_JIS_2004 SJIS SQL_ASCII UHC UTF8 WIN866 WIN874 WIN1250 WIN1251 WIN1252
    WIN1253 WIN1254 WIN1255 WIN1256 WIN1257 WIN1258
""".split()
_ALIASES = {
    "abc": "WIN1258",
    "alt": "WIN866",
    "iso88591": "LATIN1",
    "iso885910": "LATIN6",
    "iso885913": "LATIN7",
    "iso885914": "LATIN8",
    "iso885915": "LATIN9",
    "iso885916": "LATIN10",
    "iso88592": "LATIN2",
    "iso88593": "LATIN3",
    "iso88594": "LATIN4",
    "iso88599": "LATIN5",
    "koi8": "KOI8R",
    "mskanji": "SJIS",
    "shiftjis": "SJIS",
    "tcvn": "WIN1258",
    "tcvn5712": "WIN1258",
    "unicode": "UTF8",
    "vscii": "WIN1258",
    "win": "WIN1251",
    "win932": "SJIS",
    "win936": "GBK",
    "win949": "UHC",
    "win950": "BIG5",
    "windows932": "SJIS",
    "windows936": "GBK",
    "windows949": "UHC",
    "windows950": "BIG5",
}


def _plain(name: str) -> str:
    """Return what PostgreSQL compares of a name: its letters and digits."""
    return re.sub("[^a-z0-9]", "", name.lower())


_KNOWN = {_plain(name): name for name in _NAMES} | _ALIASES
_KNOWN |= {f"windows{name[3:]}": name for name in _NAMES if name.startswith("WIN")}


def client_encoding(text: str) -> str:
    """Return the encoding of a name. With SQL_ASCII the client gets UTF-8 too, and has to send it.

    Raises SqlError 22023 for a name that PostgreSQL does not know, 0A000 for another encoding.
    """
    name = _KNOWN.get(_plain(text))
    if name in ("UTF8", "SQL_ASCII"):
        return name
    message = f'invalid value for parameter "client_encoding": "{text}"'
    if name is None:
        raise SqlError("22023", message)
    raise SqlError("0A000", message, detail=f"Conversion between {name} and UTF8 is not supported.")
