"""The names that the types' templates use, as globals for generated code."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from dsql.types import aclitem
from dsql.types.array import map_leaves
from dsql.types.binary import format_uuid
from dsql.types.numeric import format_numeric

NAMES: dict[str, Any] = {
    "Decimal": Decimal,
    "aclitem_from_bytes": aclitem.from_bytes,
    "aclitem_to_bytes": aclitem.to_bytes,
    "format_numeric": format_numeric,
    "format_uuid": format_uuid,
    "map_leaves": map_leaves,
}
