"""Importing this module registers every built-in function, operator, cast and aggregate."""

from __future__ import annotations

from dsql.functions import (
    acl_functions,
    aggregates,
    arithmetic,
    arrays,
    binary,
    comparison,
    date_arithmetic,
    date_fields,
    date_functions,
    date_template_moments,
    date_templates,
    json_access,
    json_build,
    json_modify,
    json_records,
    like,
    math,
    number_casts,
    number_templates,
    numeric_powers,
    numerics,
    patterns,
    quoting,
    series,
    statistics,
    system,
    text,
    type_io,
    windows,
)
from dsql.functions.definition import define_casts, define_operators
from dsql.functions.jsonpath import functions as jsonpath_functions

FAMILIES = (
    acl_functions,
    aggregates,
    arithmetic,
    arrays,
    binary,
    comparison,
    date_arithmetic,
    date_fields,
    date_functions,
    date_template_moments,
    date_templates,
    json_access,
    json_build,
    json_modify,
    json_records,
    jsonpath_functions,
    like,
    math,
    number_casts,
    number_templates,
    numeric_powers,
    numerics,
    patterns,
    quoting,
    series,
    statistics,
    system,
    text,
    type_io,
    windows,
)

define_operators()
define_casts()
