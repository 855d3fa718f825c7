"""Text in other encodings: nothing but SQL errors, and the same in pieces as in one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsql.errors import SqlError
from dsql.types.text_encodings import TextEncoding, encoding_name, find_encoding

NAMES = (
    "BIG5", "EUC_CN", "EUC_JIS_2004", "EUC_JP", "EUC_KR", "GB18030", "GBK", "JOHAB", "SHIFT_JIS_2004",
    "SJIS", "UHC", "KOI8R", "LATIN1", "WIN1252",
)  # fmt: skip
names = st.sampled_from(NAMES)
# Mostly bytes that may be parts of characters, and some that end lines.
texts = st.lists(st.sampled_from([*range(0x30, 0x3A), 0x0A, 0x5C, *range(0x80, 0x100)])).map(bytes)


def of(name: str) -> TextEncoding:
    found = find_encoding(encoding_name(name) or "")
    assert found is not None
    return found


def read(encoding: TextEncoding, data: bytes) -> bytes | None:
    try:
        return encoding.to_utf8(data)
    except SqlError as error:
        if error.sqlstate not in ("22021", "22P05"):
            raise
        return None


@given(names, texts)
def test_bytes_are_text_or_an_sql_error(name: str, data: bytes) -> None:
    text = read(of(name), data)
    assert text is None or text.decode() is not None


@given(names, texts)
def test_what_was_read_can_be_written_and_is_read_as_the_same(name: str, data: bytes) -> None:
    encoding = of(name)
    text = read(encoding, data)
    if text is not None:
        assert read(encoding, encoding.from_utf8(text)) == text


@given(names, st.text(st.characters(blacklist_categories=("Cs",))))
def test_a_character_is_written_or_an_sql_error(name: str, text: str) -> None:
    try:
        of(name).encoded(text)
    except SqlError as error:
        if error.sqlstate != "22P05":
            raise


@given(names, texts, st.integers(0, 30))
def test_text_is_the_same_in_pieces(name: str, data: bytes, cut: int) -> None:
    encoding = of(name)
    whole = read(encoding, data)
    if whole is None:
        return
    size = encoding.whole(data[:cut])
    assert len(data[:cut]) - size < 4
    assert encoding.to_utf8(data[:size]) + encoding.to_utf8(data[size:]) == whole
