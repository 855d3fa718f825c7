"""What a run of a suite comes to: for each test its failure's text, None if it passed."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

Results = dict[str, str | None]
SKIPPED = "skipped"
_RULE = "=" * 70
_ERROR = re.compile(
    r"^[\w.]*(?:Error|Exception|Supported|Failed|Warning|Failure)\b.*", re.MULTILINE
)
_CAUSE_CHARACTERS = 110


def passed(results: Results) -> set[str]:
    """Return the names of the tests that passed."""
    return {name for name, failure in results.items() if failure is None}


def cause_of(failure: str | None) -> str:
    """Return the line of a failure that tells its cause, without what differs from case to case."""
    lines = (
        _ERROR.findall(failure or "") or (failure or "").strip().splitlines()[:1] or ["no message"]
    )
    text = re.sub(r"\(log id \w+\)", "", lines[-1])
    return re.sub(r"[0-9]+", "N", re.sub(r'"[^"]*"', '"..."', text))[:_CAUSE_CHARACTERS]


def from_junit(path: Path) -> Results:
    """Read what pytest has written. A test that fails once, in its teardown too, has failed."""
    results: Results = {}
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        failures = [child for child in case if child.tag in ("failure", "error")]
        if failures:
            results[name] = f"{failures[0].get('message')}"
        elif case.find("skipped") is not None:
            results.setdefault(name, SKIPPED)
        else:
            results.setdefault(name, None)
    return results


def from_unittest(text: str) -> Results:
    """Read what unittest prints with -v: a line for each test, and a block for each failure."""
    results: Results = dict.fromkeys(re.findall(r"^\w+ \(([\w.]+)\)", text, re.MULTILINE))
    for name in re.findall(r"^\w+ \(([\w.]+)\)(?:\n.*)? \.\.\. skipped", text, re.MULTILINE):
        results[name] = SKIPPED
    for block in text.split(_RULE)[1:]:
        head = re.match(r"\n(?:ERROR|FAIL): \w+ \(([\w.]+)\)", block)
        if head:
            results[head[1]] = block.split("-" * 70)[1]
    return results
