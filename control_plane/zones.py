"""What the control plane asks of the roles: to take a cluster up now, and whether they have left it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable, Sequence
from pathlib import Path

import msgspec

from dsql.control.layout import ClusterRecord, Layout
from dsql.rpc.boot import current_boot
from dsql.rpc.client import ask_status, connect
from dsql.rpc.clock import ClockUnavailableError, PublishedClock
from dsql.rpc.messages import Hello
from dsql.rpc.messages import encode as encode_opening
from dsql.rpc.server import FramedConnection
from placement.client import AgentClient
from storage.messages import Locate, Located, decode_reply
from storage.messages import encode as encode_request

OPEN_SECONDS = 10.0
ANSWER_SECONDS = 2.0
_LOOK_SECONDS = 0.002
_ZONE_ROLES = (".journal", ".adjudicator", ".storage")


async def open_cluster(layout: Layout, record: ClusterRecord) -> None:
    """Have every zone take a new cluster up, and return once one leads it and most have its storage open.

    Raises TimeoutError, ConnectionError.
    """
    cluster = record.identifier
    async with asyncio.timeout(OPEN_SECONDS):
        with contextlib.ExitStack() as seats:
            for az in record.azs:
                with contextlib.suppress(OSError):
                    seat = await connect(layout.socket(f"{az}.adjudicator"), _Line)
                    seats.callback(seat.close)
                    seat.send(encode_opening(Hello(cluster)))
            if not await _most([_locate(layout, az, cluster) for az in record.azs]):
                raise ConnectionError("too few zones have its storage")
            while not _is_led(layout, cluster):
                await asyncio.sleep(_LOOK_SECONDS)


async def has_left(layout: Layout, cluster: str) -> bool:
    """Return whether no role has a cluster any more. One that does not answer may have it."""
    zones, agents = _listening(layout)
    answers = await asyncio.gather(
        *(asyncio.to_thread(_zone_has, path, cluster) for path in zones),
        *(_agent_has(path, cluster) for path in agents),
    )
    return not any(answers)


class _Line(FramedConnection):
    """A connection to a role; `answer` is the first frame that comes, or ConnectionError."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def frame_received(self, body: bytes) -> None:
        if not self.answer.done():
            self.answer.set_result(body)

    def closed(self) -> None:
        if not self.answer.done():
            self.answer.cancel()


async def _most(questions: Sequence[Coroutine[None, None, bool]]) -> bool:
    """Return whether most of the answers are yes, as soon as that is known."""
    asking = [asyncio.create_task(question) for question in questions]
    found = 0
    try:
        for answer in asyncio.as_completed(asking):
            found += await answer
            if found > len(asking) // 2:
                return True
        return False
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def _locate(layout: Layout, az: str, cluster: str) -> bool:
    try:
        line = await connect(layout.socket(f"{az}.storage"), _Line)
    except OSError:
        return False
    try:
        line.send(encode_opening(Hello(cluster)))
        line.send(encode_request(Locate()))
        await asyncio.wait([line.answer])
        if line.answer.cancelled():
            return False
        return isinstance(decode_reply(line.answer.result()), Located)
    finally:
        line.close()


def _is_led(layout: Layout, cluster: str) -> bool:
    """Return whether a leader has published a clock, without which nobody can begin a transaction."""
    try:
        PublishedClock(layout.clock(cluster), current_boot()).close()
    except ClockUnavailableError:
        return False
    return True


def _listening(layout: Layout) -> tuple[list[Path], list[Path]]:
    """Return the sockets of zones' roles, and of agents."""
    paths = list(layout.socket("x").parent.glob("*.sock"))
    zones = [path for path in paths if path.stem.endswith(_ZONE_ROLES)]
    return zones, [path for path in paths if path.stem.startswith("agent")]


def _zone_has(path: Path, cluster: str) -> bool:
    try:
        return _names(ask_status(path, ANSWER_SECONDS).values, cluster)
    except (FileNotFoundError, ConnectionError):
        return False  # there is nobody
    except (OSError, msgspec.DecodeError):
        return True


async def _agent_has(path: Path, cluster: str) -> bool:
    client = AgentClient(path)
    try:
        return _names(await asyncio.wait_for(client.status(), ANSWER_SECONDS), cluster)
    except (FileNotFoundError, ConnectionError):
        return False
    except Exception:
        return True
    finally:
        await client.close()


def _names(values: Iterable[str], cluster: str) -> bool:
    return any(name.startswith(f"{cluster}.") for name in values)
