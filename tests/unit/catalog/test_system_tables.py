from __future__ import annotations

from typing import Any

import pytest

from dsql.catalog.virtual import virtual_tables


def read(context: Any, schema: str, name: str) -> list[dict[str, Any]]:
    table = virtual_tables()[schema, name]
    names = [column for column, _ in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows(context)]


@pytest.mark.parametrize("key", sorted(virtual_tables()))
def test_every_row_has_the_columns_of_its_table(context: Any, key: tuple[str, str]) -> None:
    table = virtual_tables()[key]
    for row in table.rows(context):
        assert len(row) == len(table.columns)
        for value, required, (column, _) in zip(row, table.not_null, table.columns, strict=True):
            assert value is not None or not required, column


def test_pg_class_lists_tables_indexes_and_system_tables(context: Any) -> None:
    kinds = {row["relname"]: row["relkind"] for row in read(context, "pg_catalog", "pg_class")}
    assert (kinds["Orders"], kinds["Orders_pkey"], kinds["pg_class"]) == ("r", "i", "r")


def test_oids_of_pg_class_are_unique(context: Any) -> None:
    oids = [row["oid"] for row in read(context, "pg_catalog", "pg_class")]
    assert len(oids) == len(set(oids))


def test_oids_of_pg_proc_and_pg_type_are_unique(context: Any) -> None:
    for name in ("pg_proc", "pg_type"):
        oids = [row["oid"] for row in read(context, "pg_catalog", name)]
        assert len(oids) == len(set(oids)), name


def test_a_primary_key_includes_every_other_column(context: Any) -> None:
    rows = {row["indexrelid"]: row for row in read(context, "pg_catalog", "pg_index")}
    assert rows[16_401]["indkey"] == (1, 2, 3)
    assert rows[16_401]["indnkeyatts"] == 1


def test_information_schema_describes_columns_as_postgresql_does(context: Any) -> None:
    columns = {
        row["column_name"]: row
        for row in read(context, "information_schema", "columns")
        if row["table_name"] == "Orders"
    }
    assert columns["status"]["character_maximum_length"] == 10
    assert columns["total"]["numeric_precision"], columns["total"]["numeric_scale"] == (10, 2)
    assert columns["id"]["is_nullable"] == "NO"
