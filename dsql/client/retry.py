"""Running a transaction again when that is right, and only then.

- 40001: it lost against a concurrent one. Only the whole may be repeated: its snapshot is out of date.
- The connection was lost before COMMIT was sent, or could not be made: nothing has happened.
- The connection was lost while COMMIT was on its way (or the server says so: 40003, 08007): it may have
  happened. That is an `OutcomeUnknownError`, unless the caller says that twice does no harm.

Everything else is raised: a constraint violation would fail again. What is repeated, when and how often is
decided by `Attempts`, which does nothing itself. The pauses double from 1 ms up to a cap, with a quarter of
jitter, until a deadline.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

Result = TypeVar("Result")

SERIALIZATION_FAILURE = "40001"
# statement_completion_unknown, transaction_resolution_unknown
_OUTCOME_UNKNOWN = ("40003", "08007")
# admin_shutdown, crash_shutdown, cannot_connect_now, too_many_connections
_CONNECTION_REFUSED = ("57P01", "57P02", "57P03", "53300")
_CONNECTION_CLASS = "08"
_CONFLICT_MARKS = ("(OC000)", "(OC001)")
_LOSSES = ("OperationalError", "ConnectionDoesNotExistError")  # of drivers, if without a SQLSTATE


class OutcomeUnknownError(Exception):
    """The connection was lost during COMMIT: the transaction has either happened or not.

    Look for what it would have written, such as a request's id, before it is run again. Its cause is the
    driver's error.
    """


class RetryPolicy(NamedTuple):
    """Until when a transaction is begun anew, and how long to wait before (all in seconds)."""

    deadline_seconds: float = 30.0
    base_seconds: float = 0.001
    cap_seconds: float = 0.5
    jitter: float = 0.25

    def pause(self, attempt: int, random_fraction: float) -> float:
        """Return the pause after the attempt of this number, from 0. `random_fraction` is from 0 to 1."""
        pause = min(self.cap_seconds, self.base_seconds * 2.0 ** min(attempt, 64))
        return pause * (1 + self.jitter * (2 * random_fraction - 1))


DEFAULT_POLICY = RetryPolicy()


@dataclass
class Progress:
    """How far an attempt has come, told by whoever makes it.

    `committing`: nothing is left but COMMIT. `lost`: its connection is closed, or was never made.
    """

    committing: bool = False
    lost: bool = False


class Attempts:
    """The attempts at one transaction. `idempotent`: it may happen twice without harm."""

    def __init__(
        self,
        policy: RetryPolicy = DEFAULT_POLICY,
        *,
        idempotent: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._idempotent = idempotent
        self._clock = clock
        self._deadline = clock() + policy.deadline_seconds
        self._failed = 0

    def remaining_seconds(self) -> float:
        """Return how long there is until the deadline, 0 behind it."""
        return max(0.0, self._deadline - self._clock())

    def pause_after(self, error: Exception, progress: Progress) -> float:
        """Return how long to wait before the next attempt.

        Raises `error` if there is to be none, or OutcomeUnknownError.
        """
        lost = progress.lost or is_connection_loss(error)
        unknown = progress.committing and (lost or _sqlstate(error) in _OUTCOME_UNKNOWN)
        if unknown and not self._idempotent:
            raise OutcomeUnknownError("the connection was lost during COMMIT") from error
        if not (lost or unknown or is_conflict(error)):
            raise error
        pause = self._policy.pause(self._failed, random.random())
        self._failed += 1
        if pause > self.remaining_seconds():
            raise error
        return pause


def retry(
    attempt: Callable[[Progress, Attempts], Result],
    policy: RetryPolicy = DEFAULT_POLICY,
    *,
    idempotent: bool = False,
) -> Result:
    """Return what `attempt` returns, which begins a transaction, does all of it, and commits."""
    attempts = Attempts(policy, idempotent=idempotent)
    while True:
        progress = Progress()
        try:
            return attempt(progress, attempts)
        except Exception as error:
            pause = attempts.pause_after(error, progress)
        time.sleep(pause)


async def retry_async(
    attempt: Callable[[Progress, Attempts], Awaitable[Result]],
    policy: RetryPolicy = DEFAULT_POLICY,
    *,
    idempotent: bool = False,
) -> Result:
    """Do as `retry` with a coroutine function."""
    attempts = Attempts(policy, idempotent=idempotent)
    while True:
        progress = Progress()
        try:
            return await attempt(progress, attempts)
        except Exception as error:
            pause = attempts.pause_after(error, progress)
        await asyncio.sleep(pause)


def is_conflict(error: BaseException) -> bool:
    """True for an error of any driver that says that a transaction lost against another one.

    Where a driver's error has no SQLSTATE, DSQL's codes in the text do.
    """
    state = _sqlstate(error)
    if state:
        return state == SERIALIZATION_FAILURE
    return any(mark in str(error) for mark in _CONFLICT_MARKS)


def is_connection_loss(error: BaseException) -> bool:
    """True for an error of any driver that says that there is no connection, or none any more.

    False if a server has refused it for a reason that stays, such as a wrong token.
    """
    inner = _driver_error(error)
    state = _sqlstate(inner)
    if state:
        return state.startswith(_CONNECTION_CLASS) or state in _CONNECTION_REFUSED
    if isinstance(inner, OSError):
        return True
    # libpq gives a refused login no SQLSTATE, but the server's words.
    named = any(kind.__name__ in _LOSSES for kind in type(inner).__mro__)
    return named and "FATAL:" not in str(inner)


def _driver_error(error: BaseException) -> BaseException:
    """Return what SQLAlchemy and the like have wrapped."""
    inner = getattr(error, "orig", None)
    return _driver_error(inner) if isinstance(inner, BaseException) else error


def _sqlstate(error: BaseException) -> str:
    """Return the SQLSTATE that a driver keeps in `sqlstate` or `pgcode`, or nothing."""
    inner = _driver_error(error)
    return getattr(inner, "sqlstate", None) or getattr(inner, "pgcode", None) or ""
