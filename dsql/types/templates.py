"""The names that the types' templates use, as globals for generated code."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from dsql.types import aclitem, array
from dsql.types.binary import format_uuid
from dsql.types.numeric import format_numeric
from dsql.types.range_types import map_bounds
from dsql.types.record import load_record, store_record

NAMES: dict[str, Any] = {
    "Decimal": Decimal,
    "aclitem_from_bytes": aclitem.from_bytes,
    "aclitem_to_bytes": aclitem.to_bytes,
    "array_load": array.load,
    "array_load_each": array.load_each,
    "array_store": array.store,
    "array_store_each": array.store_each,
    "format_numeric": format_numeric,
    "format_uuid": format_uuid,
    "load_record": load_record,
    "map_bounds": map_bounds,
    "store_record": store_record,
}
