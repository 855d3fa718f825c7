"""Conditions that tell nothing of their operands but the result: no error, no notice, no side effect.

Only those may be looked at before a security_barrier view has decided which rows there are. The functions
are PostgreSQL's (pg_proc.proleakproof): comparisons of types all of whose values can be compared.
"""

from __future__ import annotations

from dsql.planner.expressions import Slot, walk
from dsql.sql import bound
from dsql.sql.bound import Expression
from dsql.types import oids

_TYPES = frozenset(
    (
        oids.BOOL, oids.INT2, oids.INT4, oids.INT8, oids.FLOAT4, oids.FLOAT8, oids.OID, oids.TEXT,
        oids.VARCHAR, oids.BPCHAR, oids.NAME, oids.BYTEA, oids.UUID, oids.DATE, oids.TIME, oids.TIMETZ,
        oids.TIMESTAMP, oids.TIMESTAMPTZ, oids.INTERVAL,
    )
)  # fmt: skip
_SILENT = (
    Slot,
    bound.Constant,
    bound.Parameter,
    bound.And,
    bound.Or,
    bound.Not,
    bound.NullTest,
    bound.BooleanTest,
    bound.Relabel,
)


def is_leakproof(condition: Expression) -> bool:
    """Tell whether a condition may be evaluated for rows that its user must not see."""
    return all(isinstance(node, _SILENT) or _compares(node) for node in walk(condition))


def _compares(node: Expression) -> bool:
    if not isinstance(node, bound.Call) or not (node.strategy or node.operator == "<>"):
        return False
    return all(argument.type_oid in _TYPES for argument in node.arguments)
