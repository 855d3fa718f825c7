"""How long a session waits for its client's next message, and how it ends when none comes.

Every session has an age limit, which never cuts a transaction. PostgreSQL's parameters add others: for a
client that is silent, within a transaction or outside of one, and for a transaction as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dsql.errors import FatalError
from dsql.session.block import State, TransactionBlock
from dsql.session.settings import Settings
from dsql.tls.connection import Connection

_AGED_SECONDS = 1.0  # how often an aged session in a transaction is looked at


class Patience:
    """One session's. `deadline` is the end of its life, in seconds of `monotonic`.

    `limited` says that the settings have something to say about the client's turns: then `begin` is to be
    called at the start of each of them. `since` is when the last one began of which that was said.
    """

    __slots__ = (
        "_block",
        "_connection",
        "_deadline",
        "_monotonic",
        "_settings",
        "limited",
        "since",
    )

    def __init__(
        self,
        settings: Settings,
        block: TransactionBlock,
        connection: Connection,
        monotonic: Callable[[], float],
        deadline: float,
    ) -> None:
        self._settings = settings
        self._block = block
        self._connection = connection
        self._monotonic = monotonic
        self._deadline = deadline
        self.since = monotonic()
        self.limited = False

    def review(self) -> None:
        """Look at the settings, which may have changed; the client's turn begins."""
        self.take_up(self._monotonic())

    def take_up(self, since: float) -> None:
        """Look at the settings; the client's turn began at `since`."""
        settings = self._settings
        self.limited = bool(
            settings.idle_timeout_seconds
            or settings.idle_in_transaction_timeout_seconds
            or settings.transaction_timeout_seconds
        )
        self.since = since
        self.check()

    def begin(self) -> None:
        """Say that the client's turn begins."""
        self.since = self._monotonic()
        self.check()

    def check(self) -> None:
        """End the session with a FatalError if a time is over, else let `receive` wait until one is."""
        now = self._monotonic()
        limits = list(self._limits(now))
        for deadline, error in limits:
            if now >= deadline:
                raise error
        deadlines = (deadline for deadline, _ in limits)
        self._connection.deadline = min(deadlines, default=now + _AGED_SECONDS)

    def _limits(self, now: float) -> Iterator[tuple[float, FatalError]]:
        """Yield (when, how) the session may end, as long as nothing arrives."""
        settings, since = self._settings, self.since
        idle, in_transaction = (
            settings.idle_timeout_seconds,
            settings.idle_in_transaction_timeout_seconds,
        )
        state = self._block.state
        if state is State.IDLE or now < self._deadline:
            yield self._deadline, _terminated("57P01", "maximum connection age")
        if state is State.IDLE and idle:
            yield since + idle, _terminated("57P05", "idle-session timeout")
        if state in (State.OPEN, State.FAILED) and in_transaction:
            yield since + in_transaction, _terminated("25P03", "idle-in-transaction timeout")
        if state is not State.IDLE and settings.transaction_timeout_seconds:
            yield now + self._block.seconds_left(), _terminated("25P04", "transaction timeout")


def _terminated(sqlstate: str, reason: str) -> FatalError:
    return FatalError(sqlstate, f"terminating connection due to {reason}")
