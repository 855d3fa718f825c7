"""How Sphinx makes the site of these pages: `make docs`."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

project = "dsql"
author = "the dsql authors"
project_copyright = author
version = release = version_of("dsql")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
smartquotes = False  # messages are shown as they are
html_theme = "furo"
html_title = f"dsql {version}"
html_copy_source = False
# Shell sessions are shown as they are, also where a prompt of psql is in them.
suppress_warnings = ["misc.highlighting_failure"]
# Annotations of the client kit name classes of drivers, which have sites of their own.
nitpicky = False


def setup(app: Any) -> None:
    """Have the pages made that say what the code says."""
    from reference_pages import PAGES

    del app
    for name, make in PAGES.items():
        path = DOCS / "reference" / f"{name}.md"
        text = make()
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
