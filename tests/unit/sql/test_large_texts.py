from __future__ import annotations

import threading

import postgast
import pytest

from dsql.call_thread import CallThread
from dsql.sql import large_texts
from dsql.sql.gate import parse_script

LARGE = {
    "columns": "select " + ", ".join(f"f{n}(a.b{n}, 'ü')" for n in range(20_000)),
    "nested": "select " + "(" * 300 + ", ".join(f"a.b{n}" for n in range(30_000)) + ", 1)" * 300,
    "chain": "select " + " + ".join(f"abcdefghijklmnopqr{n}" for n in range(7_000)),
    "statements": "insert into t values (1, a.b, 2.5);" * 5_000,
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_message_made_in_pieces_is_the_same(kind: str) -> None:
    text = LARGE[kind]
    assert len(text) > large_texts.LARGE_CHARACTERS
    assert large_texts.parse(text) == postgast.parse(text)
    assert large_texts.scan(text) == postgast.scan(text)


def test_an_error_in_a_large_text_is_as_in_a_small_one() -> None:
    text = "select " + "1, " * 100_000 + "fro 1 m"
    for read in (large_texts.parse, large_texts.check):
        with pytest.raises(postgast.PgQueryError, match='at or near "1"') as caught:
            read(text)
        assert caught.value.cursorpos == text.index("1 m") + 1


def test_where_no_thread_can_be_started_a_large_text_is_parsed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(large_texts, "thread", CallThread("parser", 1 << 20))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert len(parse_script(LARGE["columns"])) == 1
