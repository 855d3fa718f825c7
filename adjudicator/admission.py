"""How fast commits are let in when storage does not keep up with the journal. Free of I/O.

Nothing is limited while the zones' storage is less than the low marks behind (`journal.backlog`). From
there on the rate falls, evenly on a logarithmic scale, from more than any disk takes to next to nothing at
the high marks, and to nothing beyond: wherever storage's own rate lies between, writers settle at it, and
the lag at some point below the high marks. Nobody is refused before HOLD_SECONDS.

    marks     low       high
    bytes     64 MiB    256 MiB    of a majority's storage
    seconds   1         5          of the best zone's: a reader waits so long, and gives up after 10

A limit is a number of bytes a second. Who comes when these are used up waits in a queue; whoever is let in
may use more than there is, and the next one waits for that. So the journal of a majority is at most
BYTES_HIGH, and what was let in between two looks, ahead of its storage.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

Answer = Callable[[bytes], None]
Handle = Callable[[bytes, Answer], None]

BYTES_LOW, BYTES_HIGH = 64 * 1024 * 1024, 256 * 1024 * 1024
SECONDS_LOW, SECONDS_HIGH = 1.0, 5.0
RATE_MAX, RATE_MIN = 256 * 1024 * 1024, 16 * 1024  # bytes a second, at the low and the high marks
HOLD_SECONDS = 10.0
_BURST_SECONDS = 0.05  # what is not used may be used so much later


def rate_at(bytes_behind: int, seconds_behind: float) -> float:
    """Return how many bytes a second may be committed; infinity if nothing is limited."""
    fullness = max(
        (bytes_behind - BYTES_LOW) / (BYTES_HIGH - BYTES_LOW),
        (seconds_behind - SECONDS_LOW) / (SECONDS_HIGH - SECONDS_LOW),
    )
    if fullness <= 0.0:
        return math.inf
    return 0.0 if fullness >= 1.0 else RATE_MAX * (RATE_MIN / RATE_MAX) ** fullness


class Admission:
    """The queue before one leader's commits. `handle` takes those that are let in, `refuse` the others.

    `rate` is the limit in bytes a second, `is_open` True while there is none and nobody waits: then a
    request need not be taken here.
    """

    def __init__(self, handle: Handle, refuse: Handle, monotonic: Callable[[], float]) -> None:
        self.rate = math.inf
        self.is_open = True
        self._handle = handle
        self._refuse = refuse
        self._monotonic = monotonic
        self._waiting: deque[tuple[float, bytes, Answer]] = deque()  # refused when, request
        self._budget = 0.0
        self._budget_at = 0.0

    def limit(self, rate: float) -> None:
        """Set the limit, let in whom it lets in, and refuse who has waited too long."""
        self._refill()
        self.rate = rate
        waiting = self._waiting
        while waiting and (self._budget > 0.0 or rate == math.inf):
            _, body, answer = waiting.popleft()
            self._let_in(body, answer)
        while waiting and waiting[0][0] <= self._budget_at:
            _, body, answer = waiting.popleft()
            self._refuse(body, answer)
        self.is_open = rate == math.inf and not waiting

    def take(self, body: bytes, answer: Answer) -> None:
        """Let a request in, now or later."""
        self._refill()
        if self._waiting or self._budget <= 0.0:
            self._waiting.append((self._budget_at + HOLD_SECONDS, body, answer))
        else:
            self._let_in(body, answer)

    def _let_in(self, body: bytes, answer: Answer) -> None:
        self._budget -= len(body)
        self._handle(body, answer)

    def _refill(self) -> None:
        now = self._monotonic()
        elapsed, self._budget_at = now - self._budget_at, now
        if self.rate == math.inf:
            self._budget = 0.0
        else:
            most = self.rate * _BURST_SECONDS
            self._budget = min(self._budget + self.rate * elapsed, most)
