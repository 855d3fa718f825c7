"""SQLAlchemy over psycopg: tables, expressions, reflection, sessions with nested transactions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from running_cluster import RunningCluster
from sqlalchemy import orm


def make_engine(cluster: RunningCluster, **options: object) -> sa.Engine:
    url = sa.URL.create("postgresql+psycopg", username="admin", database="postgres")
    return sa.create_engine(url, connect_args=cluster.dsn(), **options)  # type: ignore[arg-type]


@pytest.fixture
def engine(cluster: RunningCluster) -> Iterator[sa.Engine]:
    """As on Aurora DSQL: without the probe for hstore, which needs a savepoint."""
    engine = make_engine(cluster, isolation_level="AUTOCOMMIT", use_native_hstore=False)
    yield engine
    engine.dispose()


@pytest.fixture
def plain_engine(postgres_cluster: RunningCluster) -> Iterator[sa.Engine]:
    engine = make_engine(postgres_cluster)
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


class Base(orm.DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "alchemy_authors"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=False)
    name: orm.Mapped[str]
    tags: orm.Mapped[list[str]] = orm.mapped_column(sa.ARRAY(sa.Text))


def test_create_insert_select_update_delete(engine: sa.Engine) -> None:
    METADATA.create_all(engine)
    METADATA.create_all(engine)  # finds the table and leaves it alone
    with engine.connect() as connection:
        connection.execute(
            ITEMS.insert(), [{"id": n, "name": f"item {n}", "price": n} for n in range(20)]
        )
        dear = sa.select(ITEMS.c.name).where(ITEMS.c.price > 17).order_by(ITEMS.c.id.desc())
        assert connection.execute(dear).scalars().all() == ["item 19", "item 18"]
        grouped = sa.select((ITEMS.c.id % 3).label("r"), sa.func.count()).group_by("r")
        assert dict(map(tuple, connection.execute(grouped))) == {0: 7, 1: 7, 2: 6}
        result = connection.execute(ITEMS.update().where(ITEMS.c.id < 5).values(price=0))
        assert result.rowcount == 5
        assert connection.execute(ITEMS.delete().where(ITEMS.c.id == 0)).rowcount == 1


@pytest.mark.parametrize("profile", ["engine", "plain_engine"])
def test_reflection_sees_what_was_created(profile: str, request: pytest.FixtureRequest) -> None:
    engine: sa.Engine = request.getfixturevalue(profile)
    METADATA.create_all(engine)
    inspector = sa.inspect(engine)
    assert "alchemy_items" in inspector.get_table_names()
    columns = {column["name"]: column for column in inspector.get_columns("alchemy_items")}
    assert isinstance(columns["id"]["type"], sa.BigInteger)
    assert columns["name"]["type"].length == 40  # type: ignore[attr-defined]
    assert not columns["name"]["nullable"]
    assert columns["added"]["default"] == "now()"
    assert inspector.get_pk_constraint("alchemy_items")["constrained_columns"] == ["id"]
    unique = inspector.get_unique_constraints("alchemy_items")
    assert [constraint["column_names"] for constraint in unique] == [["name"]]
    assert inspector.get_foreign_keys("alchemy_items") == []
    assert inspector.get_check_constraints("alchemy_items") == []
    assert "alchemy_items" not in inspector.get_view_names()
    found = sa.Table("alchemy_items", sa.MetaData(), autoload_with=engine)
    assert list(found.columns.keys()) == list(ITEMS.columns.keys())


def test_a_transaction_rolls_back_as_a_whole(cluster: RunningCluster) -> None:
    engine = make_engine(cluster, use_native_hstore=False)
    METADATA.create_all(engine)
    with pytest.raises(RuntimeError), engine.begin() as connection:
        connection.execute(ITEMS.insert().values(id=1000, name="never"))
        raise RuntimeError
    with engine.connect() as connection:
        found = connection.execute(sa.select(ITEMS).where(ITEMS.c.id == 1000)).all()
    assert found == []
    engine.dispose()


def test_a_nested_transaction_rolls_back_alone(plain_engine: sa.Engine) -> None:
    Base.metadata.create_all(plain_engine)
    with orm.Session(plain_engine) as session:
        session.add(Author(id=1, name="kept", tags=["a", "b"]))
        session.flush()
        with pytest.raises(sa.exc.IntegrityError), session.begin_nested():
            session.execute(sa.insert(Author).values(id=1, name="twice", tags=[]))
        session.add(Author(id=2, name="also kept", tags=[]))
        session.commit()
    with orm.Session(plain_engine) as session:
        authors = session.scalars(sa.select(Author).order_by(Author.id)).all()
        assert [(author.name, author.tags) for author in authors] == [
            ("kept", ["a", "b"]),
            ("also kept", []),
        ]
        tagged = sa.select(Author.id).where(sa.any_(Author.tags) == "b")
        assert session.scalars(tagged).all() == [1]


def test_rows_stream_through_a_cursor(plain_engine: sa.Engine) -> None:
    with plain_engine.connect() as connection:
        rows = connection.execution_options(stream_results=True, max_row_buffer=10).execute(
            sa.text("select n from generate_series(1, 100) n")
        )
        assert sum(rows.scalars()) == 5050
