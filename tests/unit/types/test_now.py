"""'now', 'today' and their kind mean the start of the session's transaction."""

from __future__ import annotations

import contextvars

import pytest

import dsql.types.builtin  # noqa: F401
from dsql.types import registry
from dsql.types.calendar import DAY, HOUR
from dsql.types.datetime_parse import install_clock
from dsql.types.type import FormatSettings

START = 9_000 * DAY + 5 * HOUR
SETTINGS = FormatSettings(time_zone="UTC")


@pytest.mark.parametrize(
    ("type_name", "text", "value"),
    [
        ("timestamptz", "now", START),
        ("timestamp", "now", START),
        ("date", "now", 9_000),
        ("time", "now", 5 * HOUR),
        ("timestamptz", "tomorrow", 9_001 * DAY),
        ("date", "yesterday", 8_999),
    ],
)
def test_now_is_the_installed_time(type_name: str, text: str, value: int) -> None:
    def read() -> object:
        install_clock(lambda: START)
        found = registry.find(type_name)
        assert found is not None
        return found.text_decoder(SETTINGS)(text.encode())

    assert contextvars.copy_context().run(read) == value
