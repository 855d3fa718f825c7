"""Copying a leader's log to its replicas, free of I/O.

Each replica has a position. Frames of the recent window are sent straight from memory, older ones are
fetched from a replica that has them. What goes to several replicas alike is one object, encoded once.
"""

from __future__ import annotations

from journal.codec import Append, Fetched, LeaderMessage
from journal.extent import EMPTY_LOG, LogExtent
from journal.followers import Follower, Followers
from journal.messages import Fetch, StartAt
from journal.segment import Frame
from journal.window import FrameWindow

WINDOW_BYTES = 32 * 1024 * 1024
FETCH_BYTES = 1024 * 1024
APPENDS_OUTSTANDING_MAX = 32  # to one replica, without an answer
_TRIED_WITH = 1  # append, whether a full disk has room again

Send = tuple[int, LeaderMessage]  # replica, message


class Copier:
    """Sends each replica what it lacks of `log`.

    `epoch` and `commit` are the leader's; records from `retain_from` on are not trimmed.
    """

    def __init__(self, replicas: Followers) -> None:
        self.log = LogExtent(EMPTY_LOG)
        self.window = FrameWindow(WINDOW_BYTES)
        self.epoch = 0
        self.commit = 0
        self.retain_from = 0
        self._replicas = replicas
        self._followers = replicas.every
        self._last_append: Append | None = None

    def pump(self, replica: int) -> list[Send]:
        """Send what a replica lacks, as far as it may be sent now."""
        follower = self._followers[replica]
        sends: list[Send] = []
        while (
            follower.joined
            and follower.next <= self.log.last
            and follower.fetching is None
            and not self.holds_back(follower)
        ):
            frames = self.window.since(follower.next, self.log.last, FETCH_BYTES)
            if not frames:
                return sends + self._fetch_for(follower)
            sends.append((replica, self._send_frames(follower, frames)))
        return sends

    def holds_back(self, follower: Follower) -> bool:
        """Return whether a replica has to answer before it is sent more."""
        return follower.outstanding >= (_TRIED_WITH if follower.full else APPENDS_OUTSTANDING_MAX)

    def notice(self, replica: int) -> list[Send]:
        """Tell the commit index to a replica that does not know it yet."""
        follower = self._followers[replica]
        if not follower.joined or follower.told_commit >= self.commit:
            return []
        follower.told_commit = self.commit
        return [(replica, self._make_append(follower.next - 1, []))]

    def begin(self, replica: int) -> list[Send]:
        """Have a replica that has joined go on behind what it shares with the log.

        One that is lost and ends before the log begins is begun anew there: what it holds was trimmed here,
        so nobody can tell whether it is what was committed, nor append behind it.
        """
        follower = self._followers[replica]
        follower.next = follower.matched + 1
        if follower.lost and self.log.first > max(1, follower.matched):
            return [self._start_at(replica, self.log.first)]
        return []

    def fetched(self, replica: int, fetched: Fetched) -> list[Send]:
        """Pass on the frames that one replica gave for another."""
        # A source may hold more than it shares with us: frames that it still has to cut off.
        shared = self._followers[replica].matched
        frames = [frame for frame in fetched.frames if frame.last <= shared]
        assert all(map(self._is_ours, frames)), "only what is in the leader's log is passed on"
        sends: list[Send] = []
        for index, follower in enumerate(self._followers):
            if follower.fetching == (replica, fetched.from_sequence):
                follower.fetching = None
                if not fetched.frames:  # that one cannot read it: another one, or later
                    self._followers[replica].unreadable = follower.next
                    if self._readable_from(follower.next):
                        sends += self.pump(index)
                    continue
                if frames and follower.lost and frames[0].first > follower.next:
                    sends.append(self._start_at(index, frames[0].first))
                if frames and frames[0].first == follower.next:
                    sends.append((index, self._send_frames(follower, frames)))
                    sends += self.pump(index)
        return sends

    def _start_at(self, replica: int, first: int) -> Send:
        self._followers[replica].next = first
        return replica, StartAt(self.epoch, first)

    def _is_ours(self, frame: Frame) -> bool:
        epoch = self.log.epoch_at(frame.first)  # 0: trimmed, hence the same everywhere
        return frame.last <= self.log.last and epoch in (0, frame.epoch)

    def _send_frames(self, follower: Follower, frames: list[Frame]) -> Append:
        message = self._make_append(follower.next - 1, frames)
        follower.next = frames[-1].last + 1
        follower.outstanding += 1
        follower.told_commit = self.commit
        return message

    def _make_append(self, previous: int, frames: list[Frame]) -> Append:
        last = self._last_append
        if (
            last is not None
            and last.previous_sequence == previous
            and last.commit == self.commit
            and last.frames == frames
        ):
            return last  # the same object for all replicas: it is encoded once
        epoch = self.log.epoch_at(previous)
        made = Append(self.epoch, previous, epoch, self.commit, self._trim_before(), frames)
        self._last_append = made
        return made

    def _fetch_for(self, follower: Follower) -> list[Send]:
        source = self._replicas.source(follower.next)
        if source is None:
            return []
        follower.fetching = (source, follower.next)
        return [(source, Fetch(follower.next, FETCH_BYTES))]

    def _readable_from(self, sequence: int) -> bool:
        """Return whether a replica is left that may be able to give a record.

        If not, all of them are asked anew when the next tick wants it.
        """
        source = self._replicas.source(sequence)
        if source is not None and self._followers[source].unreadable != sequence:
            return True
        for follower in self._followers:
            follower.unreadable = 0
        return False

    def _trim_before(self) -> int:
        return min(self._replicas.checkpoint + 1, self.retain_from)
