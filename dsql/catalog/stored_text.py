"""Stored expressions as they are shown. They refer to relations by OID, so that no name in them gets stale.

`nextval('16384'::regclass)` is kept where PostgreSQL keeps a constant, and shown as
`nextval('shop.ids'::regclass)`, by the name that the sequence has by then.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dsql.catalog.catalog import Catalog
from dsql.catalog.names import relation_text

# Quoted names and literals, which may hold one another's quotes.
_QUOTED = re.compile(r"\"(?:[^\"]|\"\")*\"|'((?:[^']|'')*)'(::regclass)?")


def shown_text(text: str, catalog: Catalog, search_path: Sequence[str]) -> str:
    """Return a stored expression with names, qualified where the search path does not find them."""
    if "::regclass" not in text:
        return text

    def shown(found: re.Match[str]) -> str:
        name = None
        if found[2] and found[1].isdigit():
            name = relation_text(catalog, search_path, int(found[1]))
        if name is None:
            return found[0]
        return "'" + name.replace("'", "''") + "'::regclass"

    return _QUOTED.sub(shown, text)
