import asyncpg
import psycopg
import psycopg_pool
import pytest
import sqlalchemy.exc

from dsql.client.retry import (
    Attempts,
    OutcomeUnknownError,
    Progress,
    RetryPolicy,
    is_conflict,
    is_connection_loss,
    retry,
    retry_async,
)

FAST = RetryPolicy(deadline_seconds=30.0, base_seconds=0.0)
CONFLICT = psycopg.errors.SerializationFailure("change conflicts (OC000)")


class Flaky:
    """Fails as often as told, as far in its attempt as told, then answers."""

    def __init__(self, failures: int, error: Exception, *, committing: bool = False) -> None:
        self.failures = failures
        self.error = error
        self.committing = committing
        self.calls = 0

    def __call__(self, progress: Progress, attempts: Attempts) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            progress.committing = self.committing
            raise self.error
        return "done"

    async def run(self, progress: Progress, attempts: Attempts) -> str:
        return self(progress, attempts)


def wrapped(error: Exception) -> Exception:
    return sqlalchemy.exc.OperationalError("select 1", {}, error)


def test_conflicts_of_every_driver_are_recognised() -> None:
    assert is_conflict(CONFLICT)
    assert is_conflict(asyncpg.SerializationError("conflict"))
    assert is_conflict(wrapped(CONFLICT))
    assert is_conflict(RuntimeError("change conflicts with another transaction (OC000)"))
    assert not is_conflict(psycopg.errors.UniqueViolation("(OC000) is only text here"))
    assert not is_conflict(ConnectionResetError())


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError(),
        psycopg.OperationalError("server closed the connection unexpectedly"),
        psycopg.errors.AdminShutdown("terminating connection"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.TooManyConnectionsError("too many"),
        psycopg_pool.PoolTimeout("couldn't get a connection"),
        wrapped(psycopg.OperationalError("the connection is lost")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_lost_connection_of_every_driver_is_recognised(error: Exception) -> None:
    assert is_connection_loss(error)
    assert not is_conflict(error)


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("connection failed: FATAL:  unable to accept connection"),
        asyncpg.InvalidAuthorizationSpecificationError("access denied"),
        psycopg.errors.UniqueViolation("key"),
        psycopg.errors.QueryCanceled("timeout"),
        ValueError("of the program"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_another_attempt_would_meet_again_is_raised_at_once(error: Exception) -> None:
    transaction = Flaky(1, error)
    with pytest.raises(type(error)):
        retry(transaction, FAST)
    assert transaction.calls == 1


@pytest.mark.parametrize("error", [CONFLICT, ConnectionResetError()])
async def test_what_has_not_happened_is_repeated_until_it_passes(error: Exception) -> None:
    assert retry(transaction := Flaky(9, error), FAST) == "done"
    assert transaction.calls == 10
    transaction = Flaky(9, error)
    assert await retry_async(transaction.run, FAST) == "done"
    assert transaction.calls == 10


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        asyncpg.ConnectionDoesNotExistError("closed"),
        psycopg.errors.AdminShutdown("terminating connection"),
        psycopg.errors.StatementCompletionUnknown("perhaps"),
        psycopg.errors.TransactionResolutionUnknown("perhaps"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_loss_during_commit_is_repeated_only_if_that_does_no_harm(error: Exception) -> None:
    transaction = Flaky(1, error, committing=True)
    with pytest.raises(OutcomeUnknownError) as raised:
        retry(transaction, FAST)
    assert raised.value.__cause__ is error
    assert transaction.calls == 1
    assert retry(Flaky(1, error, committing=True), FAST, idempotent=True) == "done"


def test_a_conflict_at_commit_has_a_known_outcome() -> None:
    assert retry(Flaky(2, CONFLICT, committing=True), FAST) == "done"


def test_no_attempt_begins_behind_the_deadline() -> None:
    now = 100.0
    policy = RetryPolicy(deadline_seconds=10.0, base_seconds=1.0, cap_seconds=4.0, jitter=0.0)
    attempts = Attempts(policy, clock=lambda: now)
    assert attempts.remaining_seconds() == 10.0
    pauses = []
    with pytest.raises(psycopg.errors.SerializationFailure):
        while True:
            pauses.append(attempts.pause_after(CONFLICT, Progress()))
            now += pauses[-1]
    assert pauses == [1.0, 2.0, 4.0]
    now += 100
    assert attempts.remaining_seconds() == 0.0


def test_pauses_double_up_to_the_cap_within_the_jitter() -> None:
    policy = RetryPolicy(cap_seconds=0.1)
    assert [policy.pause(attempt, 0.5) for attempt in range(8)] == [
        pytest.approx(d) for d in (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.1)
    ]
    assert policy.pause(10_000, 1.0) == pytest.approx(0.125)
    assert policy.pause(10_000, 0.0) == pytest.approx(0.075)
