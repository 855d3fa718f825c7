"""SQLAlchemy over psycopg: tables, expressions, reflection, sessions with nested transactions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
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


class Shelf(Base):
    __tablename__ = "alchemy_shelves"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)  # a serial column
    name: orm.Mapped[str] = orm.mapped_column(sa.String(20), unique=True)
    books: orm.Mapped[list[Book]] = orm.relationship(
        back_populates="shelf", cascade="all, delete-orphan"
    )


class Book(Base):
    __tablename__ = "alchemy_books"
    id: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, sa.Identity(), primary_key=True)
    shelf_id: orm.Mapped[int] = orm.mapped_column(
        sa.ForeignKey("alchemy_shelves.id", ondelete="CASCADE"), index=True
    )
    data: orm.Mapped[dict[str, int]] = orm.mapped_column(sa.JSON)
    shelf: orm.Mapped[Shelf] = orm.relationship(back_populates="books")


LIBRARY = [Base.metadata.tables[name] for name in ("alchemy_shelves", "alchemy_books")]


@pytest.fixture
def library(plain_engine: sa.Engine) -> Iterator[sa.Engine]:
    Base.metadata.create_all(plain_engine, tables=LIBRARY)
    yield plain_engine
    with plain_engine.begin() as connection:
        connection.execute(sa.text("drop table if exists alchemy_books, alchemy_shelves cascade"))


def test_keys_are_counted_and_orphans_deleted(library: sa.Engine) -> None:
    with orm.Session(library) as session:
        shelf = Shelf(name="one", books=[Book(data={"pages": 10}), Book(data={})])
        session.add(shelf)
        session.commit()
        assert [book.id for book in shelf.books] == [1, 2]
        counted = sa.select(Shelf.name, sa.func.count(Book.id)).join(Book).group_by(Shelf.name)
        assert session.execute(counted).all() == [("one", 2)]
        session.delete(shelf)
        session.commit()
        assert session.scalar(sa.select(sa.func.count()).select_from(Book)) == 0


def test_keys_and_counters_are_reflected(library: sa.Engine) -> None:
    inspector = sa.inspect(library)
    (key,) = inspector.get_foreign_keys("alchemy_books")
    assert (key["referred_table"], key["options"]) == ("alchemy_shelves", {"ondelete": "CASCADE"})
    assert inspector.get_pk_constraint("alchemy_books")["constrained_columns"] == ["id"]
    (index,) = inspector.get_indexes("alchemy_books")
    assert index["column_names"] == ["shelf_id"]
    columns = {column["name"]: column for column in inspector.get_columns("alchemy_books")}
    assert columns["id"]["identity"]["increment"] == 1
    shelf_id, _ = inspector.get_columns("alchemy_shelves")
    assert shelf_id["default"] == "nextval('alchemy_shelves_id_seq'::regclass)"


def test_alembic_finds_no_difference_and_changes_tables(library: sa.Engine) -> None:
    with library.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        ours = [
            change
            for change in compare_metadata(context, Base.metadata)
            if "alchemy_shelves" in repr(change) or "alchemy_books" in repr(change)
        ]
        assert ours == []
        operations = Operations(context)
        operations.add_column(
            "alchemy_shelves", sa.Column("age", sa.Integer, nullable=False, server_default="3")
        )
        operations.alter_column("alchemy_shelves", "name", type_=sa.Text, nullable=True)
        operations.create_check_constraint("positive", "alchemy_shelves", "age > 0")
        operations.create_index("by_age", "alchemy_shelves", ["age"])
        operations.rename_table("alchemy_shelves", "alchemy_racks")
    columns = {c["name"]: c for c in sa.inspect(library).get_columns("alchemy_racks")}
    assert (str(columns["name"]["type"]), columns["name"]["nullable"]) == ("TEXT", True)
    assert (columns["age"]["nullable"], columns["age"]["default"]) == (False, "3")
    with library.begin() as connection:
        connection.execute(sa.text("alter table alchemy_racks rename to alchemy_shelves"))
