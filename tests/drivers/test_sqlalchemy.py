"""SQLAlchemy Core over psycopg: tables, expressions, reflection."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from running_cluster import RunningCluster


@pytest.fixture
def engine(cluster: RunningCluster) -> Any:
    dsn = cluster.dsn()
    url = sa.URL.create("postgresql+psycopg", username="admin", database="postgres")
    engine = sa.create_engine(url, connect_args=dsn, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


METADATA = sa.MetaData()
ITEMS = sa.Table(
    "alchemy_items",
    METADATA,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("price", sa.Numeric(10, 2)),
    sa.Column("added", sa.DateTime(timezone=True), server_default=sa.func.now()),
    sa.UniqueConstraint("name"),
)


def test_create_insert_select_update_delete(engine: Any) -> None:
    METADATA.create_all(engine)
    METADATA.create_all(engine)  # finds the table and leaves it alone
    with engine.connect() as connection:
        connection.execute(
            ITEMS.insert(), [{"id": n, "name": f"item {n}", "price": n} for n in range(20)]
        )
        dear = sa.select(ITEMS.c.name).where(ITEMS.c.price > 17).order_by(ITEMS.c.id.desc())
        assert connection.execute(dear).scalars().all() == ["item 19", "item 18"]
        grouped = sa.select((ITEMS.c.id % 3).label("r"), sa.func.count()).group_by("r")
        assert dict(connection.execute(grouped).all()) == {0: 7, 1: 7, 2: 6}
        result = connection.execute(ITEMS.update().where(ITEMS.c.id < 5).values(price=0))
        assert result.rowcount == 5
        assert connection.execute(ITEMS.delete().where(ITEMS.c.id == 0)).rowcount == 1


def test_reflection_sees_what_was_created(engine: Any) -> None:
    METADATA.create_all(engine)
    inspector = sa.inspect(engine)
    assert "alchemy_items" in inspector.get_table_names()
    columns = {column["name"]: column for column in inspector.get_columns("alchemy_items")}
    assert isinstance(columns["id"]["type"], sa.BigInteger)
    assert columns["name"]["type"].length == 40
    assert not columns["name"]["nullable"]
    assert inspector.get_pk_constraint("alchemy_items")["constrained_columns"] == ["id"]
    unique = inspector.get_unique_constraints("alchemy_items")
    assert [constraint["column_names"] for constraint in unique] == [["name"]]


def test_a_transaction_rolls_back_as_a_whole(cluster: RunningCluster) -> None:
    url = sa.URL.create("postgresql+psycopg", username="admin", database="postgres")
    engine = sa.create_engine(url, connect_args=cluster.dsn())
    METADATA.create_all(engine)
    with pytest.raises(RuntimeError), engine.begin() as connection:
        connection.execute(ITEMS.insert().values(id=1000, name="never"))
        raise RuntimeError
    with engine.connect() as connection:
        found = connection.execute(sa.select(ITEMS).where(ITEMS.c.id == 1000)).all()
    assert found == []
    engine.dispose()
