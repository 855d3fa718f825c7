"""AWS's own connectors and dialects from PyPI, unmodified, with the tokens that they make themselves."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import aurora_dsql_asyncpg
import aurora_dsql_psycopg
import aurora_dsql_psycopg2
import pytest
import sqlalchemy as sa
from aurora_dsql_sqlalchemy import create_dsql_engine
from running_cluster import RunningCluster
from sqlalchemy import orm


@pytest.fixture(autouse=True)
def _credentials(cluster: RunningCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, cluster.variables[name])
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture
def where(cluster: RunningCluster) -> dict[str, Any]:
    """What libpq is told; the connectors add user's action, token and application name."""
    variables = cluster.variables
    return {
        "host": variables["PGHOST"],
        "hostaddr": variables["PGHOSTADDR"],
        "port": variables["PGPORT"],
        "user": "admin",
        "sslmode": "verify-full",
        "sslrootcert": variables["PGSSLROOTCERT"],
    }


@pytest.fixture
def resolved(cluster: RunningCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint's name leads here, as a line in /etc/hosts would have it."""
    look_up = socket.getaddrinfo

    def find(host: Any, *arguments: Any, **options: Any) -> Any:
        if host in (cluster.variables["PGHOST"], cluster.variables["PGHOST"].encode()):
            host = cluster.variables["PGHOSTADDR"]
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", find)


@pytest.mark.parametrize("connector", [aurora_dsql_psycopg, aurora_dsql_psycopg2])
def test_the_connectors_of_libpqs_drivers_connect(connector: Any, where: dict[str, Any]) -> None:
    connect = getattr(connector, "DSQLConnection", connector).connect
    connection = connect(**where)
    cursor = connection.cursor()
    cursor.execute("select current_user, current_setting('application_name')")
    user, application = cursor.fetchone()
    assert user == "admin"
    assert application.startswith("aurora-dsql-python-psycopg")
    connection.close()


def test_psycopgs_connector_has_a_pool_that_runs_transactions_again(where: dict[str, Any]) -> None:
    with aurora_dsql_psycopg.create_pool(kwargs=where, min_size=1, max_size=2) as pool:
        with pool.connection() as connection:
            connection.execute("create table aws_pool (id int primary key, v int)")
        with pool.connection() as connection:
            connection.execute("insert into aws_pool values (1, 0)")
        attempts = []

        def add_one(connection: Any) -> None:
            attempts.append(connection)
            connection.execute("update aws_pool set v = v + 1")
            if len(attempts) == 1:
                with pool.connection() as other:
                    other.execute("update aws_pool set v = v + 1")

        pool.run_transaction(add_one, retry=True)
        assert len(attempts) == 2
        with pool.connection() as connection:
            assert connection.execute("select v from aws_pool").fetchone() == (2,)


@pytest.mark.usefixtures("resolved")
async def test_asyncpgs_connector_and_its_pool_connect(where: dict[str, Any]) -> None:
    parameters = {name: value for name, value in where.items() if name != "hostaddr"}
    parameters |= {"port": int(where["port"]), "ssl": "verify-full"}
    connection = await aurora_dsql_asyncpg.connect(**parameters)
    assert await connection.fetchval("select current_user") == "admin"
    await connection.close()
    pool = await aurora_dsql_asyncpg.create_pool(**parameters, min_size=1, max_size=2)
    async with pool.acquire() as connection:
        first = connection.get_server_pid()
    async with pool.acquire() as connection:
        assert connection.get_server_pid() == first
        assert await connection.fetchval("select 1") == 1
    await pool.close()


class Base(orm.DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "aws_authors"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(40))
    books: orm.Mapped[list[Book]] = orm.relationship(back_populates="author")


class Book(Base):
    __tablename__ = "aws_books"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    title: orm.Mapped[str] = orm.mapped_column(sa.String(40))
    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey(Author.id))
    author: orm.Mapped[Author] = orm.relationship(back_populates="books")


@pytest.fixture(params=["psycopg", "psycopg2"])
def engine(request: pytest.FixtureRequest, where: dict[str, Any]) -> Iterator[sa.Engine]:
    more = {name: where[name] for name in ("hostaddr", "port")}
    made = create_dsql_engine(
        where["host"],
        "admin",
        request.param,
        sslrootcert=where["sslrootcert"],
        connect_args=more,
    )
    yield made
    made.dispose()


def test_sqlalchemys_dialect_makes_fills_and_drops_tables(engine: sa.Engine) -> None:
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add(Author(name="one", books=[Book(title="a"), Book(title="b")]))
        session.commit()
        (author,) = session.scalars(sa.select(Author).join(Book).where(Book.title == "b"))
        assert [book.title for book in author.books] == ["a", "b"]
    assert sa.inspect(engine).get_pk_constraint("aws_books")["constrained_columns"] == ["id"]
    Base.metadata.drop_all(engine)
    assert not sa.inspect(engine).has_table("aws_books")


# Django's settings are of a whole process.
_DJANGO = """
import json, sys
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": json.load(sys.stdin)},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()
from django.db import connection, models

class Author(models.Model):
    name = models.CharField(max_length=40)
    class Meta: app_label = "kit"

class Book(models.Model):
    author = models.ForeignKey(Author, models.CASCADE, db_index=False, db_constraint=False)
    added = models.DateTimeField(auto_now_add=True)
    class Meta: app_label = "kit"

for model in (Author, Book):
    with connection.schema_editor() as editor:
        editor.create_model(model)
author = Author.objects.create(name="one")
Book.objects.create(author=author)
print(list(Book.objects.filter(author__name="one").values_list("author__name", flat=True)))
print(Book.objects.all().delete()[0], Book.objects.count())
"""


def test_djangos_backend_makes_tables_and_finds_rows(where: dict[str, Any]) -> None:
    options = {name: where[name] for name in ("hostaddr", "sslmode", "sslrootcert")}
    database = {
        "ENGINE": "aurora_dsql_django",
        "NAME": "postgres",
        "USER": "admin",
        "HOST": where["host"],
        "PORT": where["port"],
        "OPTIONS": options,
    }
    found = subprocess.run(
        [sys.executable, "-c", _DJANGO],
        input=json.dumps(database),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == ["['one']", "1 0"]
