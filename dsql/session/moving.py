"""Sessions that have left a query processor in the midst of a transaction and are not elsewhere yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Release = Callable[[], None]


class Moving:
    """What is kept for them: whoever has arrived shows its snapshot itself, and this one is released.

    A session may leave again before its last arrival was told of: the agent tells of all, in their order.
    """

    def __init__(self) -> None:
        self._releases: dict[int, deque[Release]] = {}  # by number

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._releases)

    def departs(self, number: int, release: Release) -> None:
        """A session leaves."""
        self._releases.setdefault(number, deque()).append(release)

    def stays(self, number: int) -> None:
        """The one that was about to leave does not."""
        self._releases[number].pop()
        self._forget_if_done(number)

    def arrived(self, number: int) -> Release:
        """Return what is to be called, in a task, now that a session is in other hands."""

        def release() -> None:
            if number in self._releases:
                self._releases[number].popleft()()
                self._forget_if_done(number)

        return release

    def abandon(self) -> None:
        """Release all: nobody will tell of them. In a task."""
        for releases in list(self._releases.values()):
            for release in releases:
                release()
        self._releases.clear()

    def _forget_if_done(self, number: int) -> None:
        if not self._releases[number]:
            del self._releases[number]
