"""The operations guide knows every word of `dsql status`, which roles say, and names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

from dsql.health import conditions

TESTS = Path(__file__).parents[1]
GUIDE = (TESTS.parent / "docs" / "OPERATIONS.md").read_text("utf-8")


def test_every_word_has_its_line() -> None:
    source = Path(conditions.__file__).read_text("utf-8")
    words = set(re.findall(r'Condition\(\s*"(\w+)"', source)) | {*conditions.MEANINGS}
    words.add(conditions._ISOLATED[0])
    assert len(words) > len(conditions.MEANINGS)
    assert [word for word in sorted(words) if f"\n| `{word}` |" not in GUIDE] == []


def test_every_word_that_is_looked_for_is_one_that_a_role_says() -> None:
    servers = [TESTS.parent / package for package in ("journal", "adjudicator", "storage")]
    source = "".join(path.read_text("utf-8") for root in servers for path in root.glob("*.py"))
    said = set(re.findall(r'"(\w+)": |\["(\w+)"\] =', source))
    assert {*conditions.MEANINGS} <= {word for pair in said for word in pair}


def test_every_test_that_it_names_exists() -> None:
    named = re.findall(r"`((?:unit|integration|architecture)/[\w/]+\.py)::(\w+)`", GUIDE)
    assert named
    missing = [
        (path, name)
        for path, name in named
        if not re.search(rf"^(?:async )?def {name}\(", (TESTS / path).read_text("utf-8"), re.M)
    ]
    assert missing == []
