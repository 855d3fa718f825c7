"""Importing this module registers every built-in function, operator, cast and aggregate."""

from __future__ import annotations

from dsql.functions import arithmetic, comparison, math, number_casts, numerics
from dsql.functions.definition import define_casts, define_operators

FAMILIES = (arithmetic, comparison, math, number_casts, numerics)

define_operators()
define_casts()
