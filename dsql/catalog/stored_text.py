"""Stored expressions as they are shown. They refer to relations by OID, so that no name in them gets stale.

`nextval('16384'::regclass)` is kept where PostgreSQL keeps a constant, and shown as
`nextval('shop.ids'::regclass)`, by the name that the sequence has by then.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dsql.catalog.catalog import Catalog
from dsql.catalog.names import relation_text
from dsql.catalog.user_types import types_of
from dsql.types.identifier import quote_identifier

# Quoted names and literals, which may hold one another's quotes; and casts to types in schemas.
_NAME = r"(?:\"(?:[^\"]|\"\")*\"|[\w$]+)"
_QUOTED = re.compile(rf"::({_NAME}\.{_NAME})|\"(?:[^\"]|\"\")*\"|'((?:[^']|'')*)'(::regclass)?")


def shown_text(text: str, catalog: Catalog, search_path: Sequence[str]) -> str:
    """Return a stored expression with names, qualified where the search path does not find them."""
    if "::regclass" not in text and not catalog.user_types:
        return text
    types = {
        f"{quote_identifier(kind.schema)}.{quote_identifier(kind.name)}": kind.sql_name
        for kind in types_of(catalog, search_path).values()
    }

    def shown(found: re.Match[str]) -> str:
        name = None
        if found[1]:
            return f"::{types.get(found[1], found[1])}"
        if found[3] and found[2].isdigit():
            name = relation_text(catalog, search_path, int(found[2]))
        if name is None:
            return found[0]
        return "'" + name.replace("'", "''") + "'::regclass"

    return _QUOTED.sub(shown, text)
