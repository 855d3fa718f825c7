"""Using a zone's storage from another process: it follows a cluster as long as this is connected."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from dsql.rpc.client import connect
from dsql.rpc.messages import Hello, encode
from dsql.rpc.server import FramedConnection

_RECONNECT_SECONDS = 0.25


class SocketUse:
    """The storage server behind a Unix socket, as an adjudicator uses it. Made on its event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def use(self, cluster: str) -> None:
        """Have a cluster followed, now and whenever the server comes back, until `leave`."""
        if cluster not in self._tasks:
            self._tasks[cluster] = asyncio.get_running_loop().create_task(self._keep(cluster))

    def leave(self, cluster: str) -> None:
        """Let it go."""
        self._tasks.pop(cluster).cancel()

    async def _keep(self, cluster: str) -> None:
        while True:
            with contextlib.suppress(OSError):
                line = await connect(self._path, _Line)
                try:
                    line.send(encode(Hello(cluster)))
                    await line.lost
                finally:
                    line.close()
            await asyncio.sleep(_RECONNECT_SECONDS)


class _Line(FramedConnection):
    """On which nothing is asked. `lost` is done when it is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def frame_received(self, body: bytes) -> None:
        """Take what nobody has asked for."""

    def closed(self) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
