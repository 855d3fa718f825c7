"""What ends a statement before it is done: a cancel, a timeout, its transaction's age, a vanished client.

Each session has its `Interrupts`, and so has a run of background jobs. Whoever wants to interrupt one calls
`cancel` or `terminate`; `tick` is called for the one that runs. What they raise, `Interrupted`, is no
`Exception`: nothing that reacts to a statement's errors on the way out can take it for one of them.
Nothing is ever raised in another session than its own: one that does not run is woken, and looks itself.

    resting --resume-> free         it is raised on the spot, between any two bytecodes
    free    --hold---> held         a commit: it is noted and waits, for what is decided is also reported
    held    --resume-> free         what was noted is raised
    held    --rest---> resting      the client's turn: what was noted came too late, or ends the session

While code of `_ATOMIC` is on the stack an interrupt waits for the next tick: a cut in there would leave
half a record on the wire, or a reader's slot that nobody gives up. So it does in a destructor, whose
exceptions Python drops. Whatever waits in there, or sleeps
anywhere, does so with `pause` or calls `attend`, which raise at a place of their own choosing. Nor does a
session give way to others in there (`give_way`): what all of them share would be seen half changed.

`tick` is to be called while the process is busy. It finds out what nobody tells: that a time is over, or
the client gone; and it raises once more what got lost while objects were taken down.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn, Protocol

from dsql.catalog.wait_events import ON_CPU, SLEEP
from dsql.errors import ClientGoneError, FatalError, Interrupted, SqlError
from dsql.hub.waiter import Activity, Waiter

# Modules and packages that neither an interrupt nor another session's turn must cut into.
_ATOMIC = (
    "adjudicator.",  # requests and their answers
    "dsql.executor.codes.",  # which are kept
    "dsql.executor.memory.",  # what is charged, and given back by destructors
    "dsql.executor.temporary.",  # which blocks are free
    "dsql.hub.hub.",  # who is ready
    "dsql.locks.",  # what is taken, and who knows of it
    "dsql.rpc.",
    "dsql.sequences.server.",  # who waits in which line
    "dsql.session.plan_cache.",  # what it holds, and how much that is
    "dsql.session.agent_line.",  # the same, and descriptors
    "dsql.session.interrupts.",  # by a tick that comes before the last one has been seen to
    "dsql.session.state.",  # what has been sent must leave the buffer
    "dsql.transaction.local_store.",  # LMDB's transactions, of which one at a time may write
    "dsql.tls.",  # records, and their sequence numbers
    "storage.",  # LMDB's transactions, slots on the board, environments half opened
)
_FOREIGN = (
    "importlib.",  # modules half made
    "logging.",  # a handler's lock knows threads, not sessions
)
_UNCUT = _ATOMIC + _FOREIGN
_DESTRUCTORS = ("__del__", "_remove")  # the second is what a WeakSet does when an element dies
_CLIENT_SECONDS = 0.05  # between two looks at the client: each is a system call

RESTING, FREE, HELD, RAISED = range(4)


class Timeouts(Protocol):
    """What of a session's settings counts here. 0: never."""

    statement_timeout_seconds: float


class Untimed:
    """The timeouts of what has none."""

    statement_timeout_seconds = 0.0


class Surroundings(Protocol):
    """What a session knows of its transaction and its client."""

    def age_error(self) -> SqlError | None:
        """Return the error of a transaction that is too old, None while it is not."""
        ...

    def client_is_gone(self) -> bool:
        """Return whether the client has closed or lost its connection."""
        ...

    def end_input(self) -> None:
        """Let who waits for the client, now or next, find the end of its input."""
        ...


class Alone:
    """The surroundings of work that no client waits for."""

    def age_error(self) -> None:
        """See `Surroundings`."""

    def client_is_gone(self) -> bool:
        """See `Surroundings`."""
        return False

    def end_input(self) -> None:
        """See `Surroundings`."""


class Interrupts:
    """Those of one session. `resume`, `hold` and `rest` only set `state`: see the module."""

    __slots__ = (
        "_activity",
        "_look_at",
        "_monotonic",
        "_over",
        "_raised",
        "_surroundings",
        "_timeouts",
        "_waiter",
        "deadline",
        "pending",
        "state",
        "wait_event",
    )

    def __init__(self, timeouts: Timeouts, surroundings: Surroundings, waiter: Waiter) -> None:
        self._timeouts = timeouts
        self._surroundings = surroundings
        self._waiter = waiter
        self._monotonic = waiter.monotonic
        self._activity: Activity | None = None
        self.state = RESTING
        self.wait_event = ON_CPU
        self.pending: Exception | None = None
        self._raised: Interrupted | None = None
        self.deadline = 0.0  # of the statement, 0: none
        self._over = True  # the statement that the deadline is for
        self._look_at = 0.0

    # ------------------------------------------------------------ from outside

    def cancel(self) -> None:
        """Cancel the running statement (57014): the next tick raises it. Without one it came too late."""
        self._note(SqlError("57014", "canceling statement due to user request"))
        if self.pending is not None:
            self._is_elsewhere()

    def terminate(self, frame: FrameType | None = None) -> None:
        """End the session as soon as that is allowed: FATAL 57P01 for its client.

        The running statement is cut short; a commit comes to its end first. `frame` is where a signal
        handler was called: what the interrupt would cut into.
        """
        message = "terminating connection due to administrator command"
        self._note(FatalError("57P01", message))
        self._surroundings.end_input()
        self._deliver(frame)

    def end(self, error: FatalError) -> None:
        """End the session with an error as soon as that is allowed; whatever runs may say so."""
        self._note(error)
        self._surroundings.end_input()
        self._is_elsewhere()

    def tick(self, frame: FrameType | None = None) -> None:
        """Look at the clock and at the client, and raise what is due."""
        raised = self._raised
        if raised is not None and self.state == RAISED and not _is_on_its_way():
            self._raised, self.state = None, FREE
            self._note(raised.error)
        if self.state == FREE:
            self._look()
            self._deliver(frame)

    def wake(self) -> None:
        """Have the session look at what else has come for it, if it waits."""
        self._waiter.wake(self._activity)

    # ------------------------------------------------------------ from the session

    def give_way(self, give_way: Callable[[], None], frame: FrameType) -> None:
        """Let others run, if this is the place for it; then raise what has come meanwhile.

        `frame`: as in `terminate`.
        """
        if not _is_on_its_way() and not _is_atomic(frame):
            give_way()
            self._deliver(frame)

    def adopt(self) -> None:
        """Say that the session is what runs now: only there may anything be raised."""
        self._activity = self._waiter.current

    def resume(self) -> None:
        """Say that what follows may be interrupted, and raise what is pending."""
        self.state = FREE
        if self.pending is not None:
            self._raise()

    def hold(self) -> None:
        """Let nothing be raised until `resume`."""
        self.state = HELD

    def begin_statement(self) -> None:
        """Let statement_timeout count from here on, unless it does already.

        It counts from the first message for a statement: Parse, Bind and Execute share it, and the replays.
        """
        if self._over and self._timeouts.statement_timeout_seconds:
            self.deadline = self._monotonic() + self._timeouts.statement_timeout_seconds
            self._over = False

    def end_statement(self) -> None:
        """Say that the next `begin_statement` is another one's; up to there, for replays, time runs on."""
        self._over = True

    def caught(self) -> None:
        """Say that what was raised has arrived; what else was noted for the statement is pointless now."""
        self.state = HELD
        self._raised = None
        self.stop_clock()
        self._forget()

    def stop_clock(self) -> None:
        """Say that the statement is over, its replays included."""
        self.deadline = 0.0
        self._over = True

    def rest(self) -> None:
        """Say that it is the client's turn."""
        self.state = RESTING
        if self.pending is not None:
            self._forget()

    # ------------------------------------------------------------ from what waits

    def check(self) -> None:
        """Raise what has been noted; cheap, for long loops."""
        if self.pending is not None and (self.state != RESTING or _is_final(self.pending)):
            self._raise()

    def attend(self) -> None:
        """Raise what is due, after a look at the clock and at the client."""
        self._look()
        self.check()

    def pause(self, seconds: float, event: str = SLEEP) -> None:
        """Sleep so long, or until there is something to raise; `event` is what others see it wait for."""
        end = self._monotonic() + seconds
        before, self.wait_event = self.wait_event, event
        try:
            while True:
                self.attend()
                now = self._monotonic()
                if now >= end:
                    return
                self._waiter.wait(min(end, now + _CLIENT_SECONDS, self.deadline or end))
        finally:
            self.wait_event = before

    # ------------------------------------------------------------ inside

    def _forget(self) -> None:
        """Drop what is pending, unless it ends the session."""
        if self.pending is not None and not _is_final(self.pending):
            self.pending = None

    def _note(self, error: Exception) -> None:
        """Let an error be raised when that is allowed. A resting session can only be ended."""
        if self.state == RESTING and not _is_final(error):
            return
        if self.pending is None or (_is_final(error) and not _is_final(self.pending)):
            self.pending = error

    def _look(self) -> None:
        """Note what has become due."""
        now = self._monotonic()
        if self.deadline and now >= self.deadline and self.state != RESTING:
            self.deadline = 0.0
            self._note(SqlError("57014", "canceling statement due to statement timeout"))
        if now >= self._look_at:
            self._look_at = now + _CLIENT_SECONDS
            if self._surroundings.client_is_gone():
                self._note(ClientGoneError("the client has gone"))
            elif (error := self._surroundings.age_error()) is not None:
                self._note(error)

    def _deliver(self, frame: FrameType | None) -> None:
        """Raise what is pending if this is the place for it."""
        if self.pending is None:
            return
        if self._is_elsewhere() or self.state != FREE:
            return
        # One that is about to be caught must not be joined by another: who catches it expects one only.
        if not _is_on_its_way() and not _is_atomic(frame):
            self._raise()

    def _is_elsewhere(self) -> bool:
        """Return whether something else runs than the session; it is woken then, and looks itself."""
        elsewhere = self._waiter.current != self._activity
        if elsewhere:
            self._waiter.wake(self._activity)
        return elsewhere

    def _raise(self) -> NoReturn:
        assert self.pending is not None
        raised, self.pending = Interrupted(self.pending), None
        self.state, self._raised = RAISED, raised
        raise raised


def _is_final(error: Exception) -> bool:
    """Return whether an error ends the session."""
    return isinstance(error, FatalError | ConnectionError)


def _is_atomic(frame: FrameType | None) -> bool:
    while frame is not None:
        module = frame.f_globals.get("__name__", "") + "."
        if module.startswith(_UNCUT) or frame.f_code.co_name in _DESTRUCTORS:
            return True
        frame = frame.f_back
    return False


def _is_on_its_way() -> bool:
    """Return whether an interrupt is in the `except` and `finally` of this stack."""
    handled = sys.exc_info()[1]
    while handled is not None and not isinstance(handled, Interrupted):
        handled = handled.__context__
    return handled is not None
