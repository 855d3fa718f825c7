"""What a column's definition says of the column itself: in CREATE TABLE, and in ADD COLUMN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsql.ddl import nodes
from dsql.ddl.column import ColumnSource
from dsql.ddl.identity import read_identity
from dsql.errors import SqlError


def read_column_constraint(
    column: ColumnSource, constraint: Any, table: str, position: Callable[[int], int]
) -> bool:
    """Take a constraint into a column; return False for one that is rather its table's.

    Raises SqlError 42601 for what is said twice.
    """
    match nodes.enum_name(constraint, "contype"):
        case "CONSTR_NOTNULL":
            column.not_null = True
        case "CONSTR_NULL":
            column.not_null = False
        case "CONSTR_DEFAULT":
            if column.default is not None:
                raise SqlError(
                    "42601", f'multiple default values specified for column "{column.name}"'
                )
            column.default = constraint.raw_expr
        case "CONSTR_GENERATED":
            column.default = constraint.raw_expr
            column.generated = True
        case "CONSTR_IDENTITY":
            read_identity(column, constraint, table, position)
        case _:
            return False
    return True
