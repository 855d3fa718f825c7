"""Importing this module registers every built-in type."""

from __future__ import annotations

from dsql.types import (
    aclitem,
    binary,
    bits,
    boolean,
    floating,
    integer,
    json,
    mac_address,
    money,
    network,
    numeric,
    range_types,
    reg,
    snapshot,
    string,
    system,
    temporal,
    vector,
)
from dsql.types.jsonpath import type as jsonpath

MODULES = (
    aclitem,
    binary,
    bits,
    boolean,
    floating,
    integer,
    json,
    jsonpath,
    mac_address,
    money,
    network,
    numeric,
    range_types,
    reg,
    snapshot,
    string,
    system,
    temporal,
    vector,
)
