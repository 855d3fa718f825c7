"""One cluster in one zone: who is connected, and what waits for a leader, here or elsewhere.

Every zone of a cluster has a seat, and one of them leads. A request that comes to another is not lost:

- While a leader is known to live elsewhere, a COMMIT is refused, which names that zone. Nothing was done,
  so it may be sent there.
- Whoever asks for an outcome here does so because the leader is silent. The leader is looked at closely,
  and the question waits for its next sign of life (then it is refused), or for the next leader.
- While nobody leads, everything waits, for a bounded time; a shorter one if too few zones are in reach.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable

from adjudicator.commit_pipeline import Answer
from adjudicator.half_requests import HalfRequests
from adjudicator.leadership import Leadership
from adjudicator.messages import (
    Request,
    Verdict,
    encode_death,
    encode_refusal,
    encode_reply,
    subject_of,
)
from dsql.rpc.server import FramedConnection

log = logging.getLogger(__name__)

WAIT_SECONDS = 2.0  # for a leader; then it is said that there is none
ALONE_SECONDS = 1.0  # where there can be none
Handler = Callable[[bytes, Answer], None]


class Seat:
    """A cluster, in the zone of this process. `azs` are its zones in the order of its record.

    `handle(body, answer)` takes a request: it is the leadership's own while this zone leads. `leader` is
    the zone that leads elsewhere, "" if none does that lives. `used_at`: when somebody was connected last,
    by the loop's clock. `rests`: this zone leads, and lays that down because nobody is. `doubt` is called
    when somebody waits: that leader may hang. `in_reach(azs)` tells whether a majority of zones is.
    `promised` is the highest epoch that was met, `refusals` how often a claim failed since somebody led.
    """

    def __init__(
        self,
        cluster: str,
        azs: list[str],
        doubt: Callable[[Seat], None],
        in_reach: Callable[[list[str]], bool],
    ) -> None:
        self.cluster = cluster
        self.azs = azs
        self.leadership: Leadership | None = None
        self.connections: set[FramedConnection] = set()
        self.half_requests: HalfRequests[FramedConnection] = HalfRequests()
        self.handle: Handler = self._wait
        self.promised = 0
        self.refusals = 0
        self.used_at = asyncio.get_running_loop().time()
        self.rests = False
        self._doubt = doubt
        self._in_reach = in_reach
        self.leader = ""  # elsewhere
        self._waiting: list[tuple[bytes, Answer]] = []
        self._patience: asyncio.TimerHandle | None = None

    @property
    def waits(self) -> bool:
        """True while requests wait."""
        return bool(self._waiting)

    def follow(self, az: str) -> None:
        """Another zone leads, or "" nobody does that is known; requests wait from now on."""
        self.leader = az
        self.handle = self._wait
        if az:
            self.refusals = 0
            self.refuse()

    def lead(self, leadership: Leadership) -> None:
        """Lead from here: what waits is handled now."""
        self.leader, self.refusals = "", 0
        self.handle = leadership.handle
        for body, answer in self._take():
            try:
                leadership.handle(body, answer)
            except (ValueError, struct.error) as error:  # nobody correct waits for its answer
                log.warning("%s: malformed request: %s", self.cluster, error)

    def tell_of_death(self, az: str) -> None:
        """A zone has died, which its connections will show somewhat later."""
        if az in self.azs:
            notice = encode_death(sorted(self.azs).index(az))
            for connection in self.connections:
                connection.send(notice)

    def refuse(self) -> None:
        """The leader lives: send what waits there."""
        zone = sorted(self.azs).index(self.leader) if self.leader in self.azs else None
        for body, answer in self._take():
            answer(encode_refusal(subject_of(body), zone))

    def _wait(self, body: bytes, answer: Answer) -> None:
        subject_of(body)  # of a malformed request it is told at once
        self._waiting.append((body, answer))
        if self.leader and body[0] == Request.COMMIT:
            self.refuse()
            return
        self._doubt(self)
        if self._patience is None:
            self._wait_for(ALONE_SECONDS, self._give_up_alone)

    def _wait_for(self, seconds: float, give_up: Callable[[], None]) -> None:
        self._patience = asyncio.get_running_loop().call_later(seconds, give_up)

    def _give_up_alone(self) -> None:
        """Give up if there can be no leader; else wait on."""
        if self._in_reach(self.azs):
            self._wait_for(WAIT_SECONDS - ALONE_SECONDS, self._give_up)
        else:
            self._tell(Verdict.UNDECIDED)

    def _give_up(self) -> None:
        self._tell(Verdict.UNKNOWN)

    def _tell(self, of_questions: Verdict) -> None:
        """There is no leader: nothing was done for a COMMIT, and a question has this answer."""
        for body, answer in self._take():
            verdict = of_questions if body[0] == Request.STATUS else Verdict.UNAVAILABLE
            answer(encode_reply(subject_of(body), verdict))

    def _take(self) -> list[tuple[bytes, Answer]]:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        waiting, self._waiting = self._waiting, []
        return waiting
