"""LISTEN, UNLISTEN and NOTIFY: the channels of one session, and what it has heard and not told its client.

LISTEN and UNLISTEN act when their transaction commits. From just before that on the session hears what
others commit (`adjudicator.listening`); it tells its client when no transaction is open, before the next
ReadyForQuery or, if it is the client's turn, at once. What it has told its own channels it hears like
everybody else, in the same order, so its commit waits a moment for that.

What a client does not take is kept up to a bound, at which the session ends: there is never a gap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from dsql.ddl.result import UtilityResult
from dsql.errors import FatalError, SqlError
from dsql.limits import HEARD_BYTES_MAX, IDENTIFIER_BYTES_MAX, NOTIFY_PAYLOAD_BYTES_MAX
from dsql.session.record import ListeningRecord
from dsql.transaction.interface import Notification

if TYPE_CHECKING:
    from adjudicator.client import NotificationFeed
    from dsql.hub.waiter import Waiter
    from dsql.session.environment import SessionTransaction
    from dsql.session.state import SessionState
    from dsql.sql.gate import ParsedStatement

_ECHO_SECONDS = 1.0  # for what the session itself has told; later it comes as what others tell does
_PUBLISHED_SECONDS = 1.0  # more than a change of leaders takes
_LOOK_SECONDS = 0.001
_ENTRY_BYTES = 150  # what a notification takes besides its texts


class _Action(NamedTuple):
    """A LISTEN, or an UNLISTEN (`channel` "": of all), of the statement with this number."""

    statement: int
    listens: bool
    channel: str


class Listening:
    """A session's channels. It implements `adjudicator.listening.Listener`.

    `wake` has the session look at `heard` if it waits for its client; `end` ends it. `channels` are those
    that it listens to, in the order of LISTEN, each with the timestamp behind which it does.
    """

    __slots__ = (
        "_actions",
        "_bytes",
        "_echoes",
        "_end",
        "_feed",
        "_new",
        "_wake",
        "channels",
        "heard",
    )

    def __init__(
        self, feed: NotificationFeed, wake: Callable[[], None], end: Callable[[FatalError], None]
    ) -> None:
        self.channels: dict[str, int] = {}
        self.heard: deque[tuple[int, Notification]] = deque()  # with the commit's timestamp
        self._feed = feed
        self._wake = wake
        self._end = end
        self._actions: list[_Action] = []
        self._new: list[str] = []  # channels that the commit has made known to the feed
        self._echoes = False  # the commit tells a channel of the session's own
        self._bytes = 0  # of what was heard

    # ------------------------------------------------------------ adjudicator.listening.Listener

    def hear(self, timestamp: int, notification: Notification) -> None:
        """See Listener."""
        if timestamp <= self.channels.get(notification[1], 0):
            return
        self.heard.append((timestamp, notification))
        self._bytes += _size_of(notification)
        if self._bytes > HEARD_BYTES_MAX:
            self._end(
                FatalError(
                    "57P01",
                    "terminating connection because of too many notifications",
                    detail="The client has not taken what the session has heard.",
                )
            )
        else:
            self._wake()

    def forgotten(self) -> None:
        """See Listener."""
        self._end(
            FatalError(
                "57P01",
                "terminating connection because notifications may have been missed",
                detail="The journals do not have any more what the session was to hear next.",
            )
        )

    # ------------------------------------------------------------ from the session

    def act(self, statement: int, channel: str, *, listens: bool) -> None:
        """Listen, or do no more, once the transaction commits. `channel` "" stands for all."""
        self._actions.append(_Action(statement, listens, channel))

    def take(self, waiter: Waiter) -> list[Notification]:
        """Return what was heard, for the client, which finds what was committed with it when it looks.

        A zone may know of a commit some moments before it is published; that is waited for. What is not
        published by then is told later.
        """
        deadline = waiter.monotonic() + _PUBLISHED_SECONDS
        while self.heard[-1][0] > self._feed.latest() and waiter.monotonic() < deadline:
            waiter.wait(waiter.monotonic() + _LOOK_SECONDS)
        published, found = self._feed.latest(), []
        while self.heard and self.heard[0][0] <= published:
            notification = self.heard.popleft()[1]
            self._bytes -= _size_of(notification)
            found.append(notification)
        if self.heard:
            self._wake()
        return found

    @property
    def usage(self) -> float:
        """What is heard of what may be at most, from 0 to 1."""
        return self._bytes / HEARD_BYTES_MAX

    # ------------------------------------------------------------ from its transactions

    def prepare(self, transaction: SessionTransaction) -> None:
        """Begin to hear what the transaction, which is about to commit, has asked for."""
        wanted = dict.fromkeys(one.channel for one in self._actions if one.listens)
        self._new = [channel for channel in wanted if channel not in self.channels]
        self._join(dict.fromkeys(self._new, 0))
        told = transaction.notifications
        self._echoes = any(channel in self.channels for _, channel, _ in told)

    def commit(self, timestamp: int) -> None:
        """The transaction has committed, at a timestamp if it has told or written anything."""
        if self._actions:
            kept = self.channels.keys() - self._new
            for _, listens, channel in self._actions:
                if listens:
                    kept.add(channel)
                else:
                    kept -= {channel} if channel else kept
            self._settle(kept)
        if self._echoes and self.channels:
            self._feed.reached(timestamp, _ECHO_SECONDS)

    def rollback(self) -> None:
        """The transaction has not committed."""
        if self._actions:
            self._settle(self.channels.keys() - self._new)

    def rewind(self, statement: int) -> None:
        """Take back what this statement and later ones have asked for."""
        self._actions = [one for one in self._actions if one.statement < statement]

    def close(self) -> None:
        """Hear nothing more."""
        self._settle(set())

    # ------------------------------------------------------------ moves

    @property
    def is_settled(self) -> bool:
        """Whether no running transaction will change the channels."""
        return not self._actions

    def record(self) -> ListeningRecord | None:
        """Return it for another process: what was heard and not taken is heard there again."""
        if not self.channels:
            return None
        heard = self.heard[0][0] - 1 if self.heard else self._feed.position(self)
        return ListeningRecord(tuple(self.channels.items()), heard)

    def take_up(self, record: ListeningRecord) -> None:
        """Become what another one was."""
        self._join(dict(record.channels), record.heard)

    # ------------------------------------------------------------ inside

    def _join(self, channels: dict[str, int], behind: int = 0) -> None:
        """Listen to channels that are new, behind a timestamp; 0: now."""
        if not channels:
            return
        behind = behind or self._feed.latest()
        if not self.channels:
            self._feed.join(self, behind)
        for channel, since in channels.items():
            self.channels[channel] = since or behind
            self._feed.listen(self, channel)

    def _settle(self, kept: set[str]) -> None:
        """Listen to these channels only; nothing is to be done at a commit."""
        self._actions, self._new = [], []
        gone = [channel for channel in self.channels if channel not in kept]
        if not gone:
            return
        for channel in gone:
            del self.channels[channel]
            self._feed.unlisten(self, channel)
        if not self.channels:
            self._feed.leave(self)
        heard, self.heard, self._bytes = self.heard, deque(), 0
        for timestamp, notification in heard:
            self.hear(timestamp, notification)


def _size_of(notification: Notification) -> int:
    _, channel, payload = notification
    return _ENTRY_BYTES + len(channel) + len(payload)


def listening_of(state: SessionState) -> Listening:
    """Return a session's channels, made with the first LISTEN."""
    found = state.block.listening
    if found is None:
        feed = state.environment.feed
        assert feed is not None, "the profile has no LISTEN where there is no feed"

        def wake() -> None:
            state.connection.step_back()
            state.interrupts.wake()

        state.block.listening = found = Listening(feed, wake, state.interrupts.end)
    return found


def notify(state: SessionState, channel: str, payload: str) -> Notification:
    """Have the running transaction tell a channel when it commits. Raises SqlError 22023, 54000."""
    if not channel:
        raise SqlError("22023", "channel name cannot be empty")
    if len(channel.encode()) > IDENTIFIER_BYTES_MAX:
        raise SqlError("22023", "channel name too long")
    if len(payload.encode()) > NOTIFY_PAYLOAD_BYTES_MAX:
        raise SqlError("22023", "payload string too long")
    notification = state.client.process_id, channel, payload
    state.block.transaction.notify(notification)
    return notification


def run_notify(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """NOTIFY. It is one of the statements that may run again after a conflict."""
    state.block.transaction.begin_statement()
    state.recording.note_notification(notify(state, parsed.node.conditionname, parsed.node.payload))
    return UtilityResult("NOTIFY")


def run_listen(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """LISTEN."""
    statement = state.block.transaction.begin_statement()
    listening_of(state).act(statement, parsed.node.conditionname, listens=True)
    return UtilityResult("LISTEN")


def run_unlisten(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """UNLISTEN of a channel or of all."""
    unlisten(state, parsed.node.conditionname)
    return UtilityResult("UNLISTEN")


def unlisten(state: SessionState, channel: str = "") -> None:
    """Listen no more once the transaction commits; "" stands for all channels."""
    if state.block.listening is not None:
        statement = state.block.transaction.begin_statement()
        state.block.listening.act(statement, channel, listens=False)
