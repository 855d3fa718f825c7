"""Having readers leave a replica that may be damaged, until its pages have been looked at.

A reader can be crashed by what it meets, and whoever asks for the same next would be as well. So while
there is a suspicion the board says that the replica is given up, and readers go on in another zone. But a
reader may have crashed for another reason, in every zone that it was sent to, and somebody has to
serve. So the replica is offered again when no other one is: each writer first says that it is left, and
looks at the others then, so that of several one sees that it is the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from storage.board import RETIRED, WATERMARK, Board, BoardUnavailableError
from storage.environment import ENVIRONMENT, WritableEnvironment


class Suspicion:
    """Against one open replica. `peers`: the replicas of the other zones on this host."""

    def __init__(self, environment: WritableEnvironment, peers: Sequence[Path], boot: int) -> None:
        self._environment = environment
        self._boards = [peer / ENVIRONMENT / "board" for peer in peers]
        self._boot = boot
        self._watermark = 0  # the own one when the others were last looked at: they have it by now

    def begin(self) -> None:
        """Have readers leave, if there is another replica."""
        self._watermark = 0
        self._environment.avoid()
        self.look()

    def look(self) -> None:
        """Offer the replica again if no other one can be read, or one that has fallen behind."""
        if self._environment.avoided and not any(map(self._can_be_read, self._boards)):
            self._environment.offer()
        self._watermark = self._environment.position.watermark

    def end(self) -> None:
        """Offer the replica again: it is sound."""
        self._environment.offer()

    def _can_be_read(self, path: Path) -> bool:
        try:
            board = Board(path, self._boot)
        except (BoardUnavailableError, OSError):
            return False
        try:
            return not board.words[RETIRED] and board.words[WATERMARK] >= self._watermark
        finally:
            board.close()
