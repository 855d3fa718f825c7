"""Django with its own PostgreSQL backend, unmodified, in the postgres profile."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import django
import pytest
from django import db
from django.conf import settings
from django.core.management import call_command
from running_cluster import RunningCluster


@pytest.fixture(scope="module")
def users(postgres_cluster: RunningCluster) -> Iterator[Any]:
    """The manager of Django's users, whose tables its migrations have made."""
    dsn = postgres_cluster.dsn()
    options = {key: dsn[key] for key in ("hostaddr", "sslmode", "sslrootcert")}
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": dsn["dbname"],
        "USER": dsn["user"],
        "PASSWORD": dsn["password"],
        "HOST": dsn["host"],
        "PORT": dsn["port"],
        "OPTIONS": options,
    }
    applications = ["admin", "auth", "contenttypes", "sessions"]
    settings.configure(
        DATABASES={"default": database},
        INSTALLED_APPS=[f"django.contrib.{name}" for name in applications],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    )
    django.setup()
    call_command("migrate", verbosity=0)
    from django.contrib.auth.models import User

    yield User.objects
    db.connections.close_all()


def test_all_migrations_run_and_none_is_left(users: Any) -> None:
    told = StringIO()
    call_command("showmigrations", "--plan", stdout=told)
    assert "[X]  auth.0012_alter_user_first_name_max_length" in told.getvalue()
    assert "[ ]" not in told.getvalue()


def test_rows_are_numbered_found_and_deleted_with_what_refers_to_them(users: Any) -> None:
    from django.contrib.auth.models import Group

    one, group = (
        users.create_user("one", "one@example.org", "secret"),
        Group.objects.create(name="g"),
    )
    two = users.create_user("two")
    assert two.pk > one.pk
    one.groups.add(group)
    found = users.filter(username__istartswith="ON", groups__name="g").values_list(
        "email", flat=True
    )
    assert list(found) == ["one@example.org"]
    group.delete()
    assert list(one.groups.all()) == []


def test_a_violation_undoes_its_savepoint_only(users: Any) -> None:
    with db.transaction.atomic():
        kept = users.create_user("kept")
        with pytest.raises(db.IntegrityError), db.transaction.atomic():
            users.create_user("kept")
        assert users.select_for_update().get(pk=kept.pk) == kept
    assert users.filter(username="kept").count() == 1


def test_rows_are_read_in_parts_through_a_cursor_that_outlives_its_transaction(users: Any) -> None:
    for number in range(5):
        users.create_user(f"part {number}")
    parts = users.filter(username__startswith="part").order_by("pk").iterator(chunk_size=2)
    assert [user.username for user in parts] == [f"part {number}" for number in range(5)]


def test_models_are_made_of_the_tables(users: Any) -> None:
    told = StringIO()
    call_command("inspectdb", "auth_group_permissions", stdout=told)
    assert "permission = models.ForeignKey('AuthPermission', models.DO_NOTHING)" in told.getvalue()
    assert "unique_together = (('group', 'permission'),)" in told.getvalue()
