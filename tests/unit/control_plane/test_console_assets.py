"""The page that is shipped is the one whose sources are here, and it is small."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

ROOT = Path(__file__).parents[3]
ASSETS = ROOT / "control_plane" / "console" / "assets"
SOURCES = ROOT / "console"
SIZE_MAX = 300_000  # compressed, all files together


def test_the_page_was_built_from_these_sources() -> None:
    lines = (ASSETS / "SOURCES").read_text().splitlines()
    known = {path: digest for digest, path in (line.split("  ") for line in lines)}
    files = [*(SOURCES / "src").rglob("*.*"), SOURCES / "package-lock.json", SOURCES / "build.mjs"]
    there = {
        str(path.relative_to(SOURCES)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file()
    }
    assert known == there, "make console builds it anew"


def test_the_page_is_small_and_asks_nobody_else() -> None:
    pages = {path: path.read_bytes() for path in ASSETS.iterdir() if path.name != "SOURCES"}
    assert sum(len(gzip.compress(content)) for content in pages.values()) < SIZE_MAX
    page = next(content for path, content in pages.items() if path.name == "index.html")
    assert b"http" not in page
