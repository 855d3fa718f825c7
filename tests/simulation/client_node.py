"""A query processor that commits, loses answers, and asks for what it lost."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from adjudicator.messages import Request, Verdict, decode_reply, encode_status
from dsql.transaction.interface import Mode, WriteSet

from .history import History
from .leader_node import LeaderNode, Published
from .world import MILLISECOND, SECOND, Node, World

_encode = msgspec.msgpack.Encoder().encode
_KEYS = [b"key%d" % number for number in range(6)]
_WRITE_MODES = [int(Mode.EXCLUSIVE), int(Mode.NON_KEY), int(Mode.NON_KEY), int(Mode.BLIND)]
_CHECK_MODES = [int(Mode.SHARE), int(Mode.EXCLUSIVE), int(Mode.CATALOG)]


class ClientNode(Node):
    """Runs one transaction after the other until told to stop. `leaders` are old and new ones."""

    def __init__(
        self,
        world: World,
        name: str,
        leaders: Callable[[], list[LeaderNode]],
        published: Published,
        history: History,
    ) -> None:
        super().__init__(world, name)
        self.stopping = False
        self.idle = True
        self.finished = 0
        self._leaders = leaders
        self._published = published
        self._history = history
        self._attempt = 0
        world.later(world.chance.randint(1, SECOND), self._begin)

    def _begin(self) -> None:
        if self.stopping:
            self.idle = True
            return
        self.idle = False
        self._start = self._published.timestamp
        self._history.begun.append((self.world.now, self._start))
        self.world.later(self.world.chance.randint(1, 20 * MILLISECOND), self._commit)

    def _commit(self) -> None:
        chance = self.world.chance
        self._id = chance.randbytes(16)
        keys = chance.sample(_KEYS, chance.randint(1, 4))
        writes = chance.randint(0, len(keys))
        write_set = WriteSet(
            self._id,
            self._start,
            [(key, chance.choice(_CHECK_MODES)) for key in keys[writes:]],
            [(key, chance.choice(_WRITE_MODES), b"v") for key in keys[:writes]],
        )
        self._ask(bytes((Request.COMMIT,)) + _encode(write_set))

    def _ask(self, request: bytes) -> None:
        """Ask the current leader, or now and then one that may have been replaced."""
        self._attempt += 1
        attempt = self._attempt
        world = self.world
        leaders = self._leaders()
        leader = leaders[-1] if world.chance.random() < 0.8 else world.chance.choice(leaders)

        def answer(body: bytes) -> None:
            if world.chance.random() >= world.faults.drop:
                world.later(self._delay(), lambda: self._answered(attempt, body))

        if world.chance.random() >= world.faults.drop:
            arrive = lambda: leader.do(lambda: leader.handle(request, answer))  # noqa: E731
            world.later(self._delay(), arrive)
        world.later(2 * SECOND, lambda: self._answered(attempt, b""))

    def _delay(self) -> int:
        return self.world.chance.randint(100, self.world.faults.delay)

    def _answered(self, attempt: int, body: bytes) -> None:
        if attempt != self._attempt:
            return
        verdict, timestamp = decode_reply(body)[1:] if body else (Verdict.UNKNOWN, 0)
        self.world.note(f"{self.name}: {Verdict(verdict).name} {timestamp}")
        self._attempt += 1
        if verdict == Verdict.UNKNOWN:
            question = encode_status(self._id, self._start)
            self.world.later(50 * MILLISECOND, lambda: self._ask(question))
            return
        if verdict == Verdict.COMMITTED:
            self._history.acknowledged[self._id] = (self.world.now, timestamp)
        else:
            self._history.aborted.add(self._id)
        self.finished += 1
        self.world.later(self.world.chance.randint(1, 50 * MILLISECOND), self._begin)
