"""Importing this module registers every built-in function, operator, cast and aggregate."""

from __future__ import annotations

from dsql.functions import (
    arithmetic,
    binary,
    comparison,
    date_arithmetic,
    date_fields,
    date_functions,
    math,
    number_casts,
    numerics,
    patterns,
    quoting,
    text,
)
from dsql.functions.definition import define_casts, define_operators

FAMILIES = (
    arithmetic,
    binary,
    comparison,
    date_arithmetic,
    date_fields,
    date_functions,
    math,
    number_casts,
    numerics,
    patterns,
    quoting,
    text,
)

define_operators()
define_casts()
