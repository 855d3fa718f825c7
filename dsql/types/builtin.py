"""Importing this module registers every built-in type."""

from __future__ import annotations

from dsql.types import (
    aclitem,
    binary,
    boolean,
    floating,
    integer,
    json,
    numeric,
    range_types,
    reg,
    string,
    system,
    temporal,
    vector,
)
from dsql.types.jsonpath import type as jsonpath

MODULES = (
    aclitem,
    binary,
    boolean,
    floating,
    integer,
    json,
    jsonpath,
    numeric,
    range_types,
    reg,
    string,
    system,
    temporal,
    vector,
)
