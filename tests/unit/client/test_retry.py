import asyncpg
import psycopg
import pytest
import sqlalchemy.exc

from dsql.client.retry import Backoff, is_conflict, retry_on_conflict, retry_on_conflict_async

FAST = Backoff(retries=3, base_seconds=0.0, cap_seconds=0.0)


class Flaky:
    """Fails as often as told, then answers."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures = failures
        self.error = error
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "done"

    async def run(self) -> str:
        return self()


CONFLICT = psycopg.errors.SerializationFailure("change conflicts (OC000)")


def test_conflicts_of_every_driver_are_recognised() -> None:
    assert is_conflict(CONFLICT)
    assert is_conflict(asyncpg.SerializationError("conflict"))
    assert is_conflict(sqlalchemy.exc.OperationalError("select 1", {}, CONFLICT))
    assert is_conflict(RuntimeError("change conflicts with another transaction (OC000)"))
    assert not is_conflict(psycopg.errors.UniqueViolation("(OC000) is only text here"))
    assert not is_conflict(ConnectionResetError())


def test_conflict_is_retried_until_it_passes() -> None:
    transaction = Flaky(3, CONFLICT)
    assert retry_on_conflict(transaction, FAST) == "done"
    assert transaction.calls == 4


def test_last_conflict_is_raised() -> None:
    transaction = Flaky(9, CONFLICT)
    with pytest.raises(psycopg.errors.SerializationFailure):
        retry_on_conflict(transaction, FAST)
    assert transaction.calls == 4


def test_other_errors_are_raised_at_once() -> None:
    transaction = Flaky(1, psycopg.errors.UniqueViolation("key"))
    with pytest.raises(psycopg.errors.UniqueViolation):
        retry_on_conflict(transaction, FAST)
    assert transaction.calls == 1


async def test_coroutines_are_retried_alike() -> None:
    transaction = Flaky(2, asyncpg.SerializationError("conflict"))
    assert await retry_on_conflict_async(transaction.run, FAST) == "done"
    assert transaction.calls == 3


def test_delays_double_up_to_the_cap_within_the_jitter() -> None:
    backoff = Backoff(retries=8)
    assert list(backoff.delays(lambda: 0.5)) == [
        pytest.approx(d) for d in (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.1)
    ]
    assert max(backoff.delays(lambda: 1.0)) == pytest.approx(0.125)
