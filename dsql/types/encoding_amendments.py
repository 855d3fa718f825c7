"""Where PostgreSQL's maps between encodings differ from the tables that Python has.

Taken from what convert_from() and convert_to() of PostgreSQL 15 answer for all sequences of bytes and all
characters; `tests/differential/test_client_encodings.py` compares again.
"""

from __future__ import annotations

import re


def _following(first: str, characters: str) -> dict[bytes, str]:
    """Return characters by their bytes, which follow one another from `first` (hexadecimal) on."""
    *lead, last = bytes.fromhex(first)
    return {bytes([*lead, last + place]): one for place, one in enumerate(characters)}


def _private(first: str, start: int) -> dict[bytes, str]:
    """Return a row of 94 characters that are for everybody's own use."""
    return _following(first, "".join(map(chr, range(start, start + 94))))


_BIG5 = "a15a", "a1c3", "a1c5", "a1fe", "a240", "a2cc", "a2ce"  # nobody's: they read as U+FFFD
_EUC_JP = (
    _following("a1c1", "\uff5e\u2225")
    | _following("a1dd", "\uff0d")
    | _following("a1f1", "\uffe0\uffe1")
    | _following("a2cc", "\uffe2")
    | _following("ada1", "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩ")
    | _following("adc0", "㍉㌔㌢㍍㌘㌧㌃㌶㍑㍗㌍㌦㌣㌫㍊㌻㎜㎝㎞㎎㎏㏄㎡")
    | _following("addf", "㍻〝〟№㏍℡㊤㊥㊦㊧㊨㈱㈲㈹㍾㍽㍼≒≡∫∮∑√⊥∠∟⊿∵∩\u222a")
    | _following("8fa2c3", "\uffe4")
    | _following("8ff3f3", "ⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹⅠⅡ")
    | _following(
        "8ff4a1",
        "ⅢⅣⅤⅥⅦⅧⅨⅩ\uff07\uff02㈱№℡炻仼僴凬匇匤\ufa0e咊坙\ufa0f\ufa10增寬峵嵓\ufa11德"
        "悅愠敎昻晥\ufa12\uf929栁\ufa13\ufa14橫櫢淸淲瀨\ufa15\ufa16甁皂皞\ufa17礰\ufa18\ufa19"
        "\ufa1a\ufa1b竧\ufa1c\ufa1d綠緖\ufa1e荢\ufa1f薰\ufa20\ufa21蠇\ufa22譿賴赶\ufa23\ufa24"
        "\ufa25郞\ufa26鄕\ufa27\ufa28閒\uf9dc\ufa29霻靍靑\ufa2a\ufa2b\ufa2c馞髙魲\ufa2d黑",
    )
)

# What bytes are read as.
AMENDMENTS: dict[str, dict[bytes, str]] = {
    "BIG5": dict.fromkeys(map(bytes.fromhex, _BIG5), "\ufffd")
    | _following("f9d6", "碁銹裏墻恒粧嫺"),
    "EUC_JIS_2004": _following("a1b1", "‾")
    | _following("a1bd", "\u2014")
    | _following("a1ef", "¥")
    | _following("a2d6", "\uff5f\uff60"),
    "EUC_JP": _EUC_JP,
    "EUC_KR": _following("a2e8", "㉾"),
    "JOHAB": _following("d9e8", "㉾"),
    "SHIFT_JIS_2004": _following("815c", "\u2014") | _following("81d4", "\uff5f\uff60"),
    "UHC": _following("a2e8", "㉾") | _private("c9a1", 0xE000) | _private("fea1", 0xE05E),
}

# What characters are written as, though the bytes are read as another one, or others are read as the same.
_IBM_ROWS = [
    bytes([row, cell])
    for row, end in ((0xFA, 0xFD), (0xFB, 0xFD), (0xFC, 0x4C))
    for cell in range(0x40, end)
    if cell != 0x7F
]
ONE_WAY: dict[str, dict[str, bytes]] = {
    "EUC_JIS_2004": {chr(code): bytes([code]) for code in range(0x80, 0xA0)},
    "EUC_JP": {"№": b"\xad\xe2", "¦": b"\x8f\xa2\xc3"},
    "GBK": {"€": b"\x80"},
    "SHIFT_JIS_2004": {"¥": b"\\", "‾": b"~"},
    "SJIS": {one.decode("cp932"): one for one in _IBM_ROWS}
    | {
        "¢": b"\x81\x91",
        "£": b"\x81\x92",
        "¥": b"\\",
        "¬": b"\x81\xca",
        "‖": b"\x81\x61",
        "‾": b"~",
    }
    | {"\u2212": b"\x81\x7c", "∵": b"\x81\xe6", "\u301c": b"\x81\x60", "\uffe2": b"\x81\xca"},
}

# Bytes that Python reads and PostgreSQL does not.
REFUSED = {
    "EUC_JP": re.compile(rb"\x8f\xa2\xb7"),
    "EUC_JIS_2004": re.compile(rb"\x8f[^\xa1\xa3-\xa5\xa8\xac-\xaf\xee-\xfe]."),  # JIS X 0212
    "SJIS": re.compile(rb"[\xf0-\xf9]."),  # everybody's own
}
