"""Taking connections from a listening socket, also when descriptors are short."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0  # asyncio's listeners pause as long


class Acceptor:
    """On the running event loop; owns the listener. `accepted(connection)` owns each connection.

    While the system has no descriptor to spare it looks away: who waits at the door would have the loop
    turn and turn.
    """

    def __init__(self, listener: socket.socket, accepted: Callable[[socket.socket], None]) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._accepted = accepted
        self._again: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._listen()

    def close(self) -> None:
        """Accept no more."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _listen(self) -> None:
        self._again = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # the caller went away again
        except OSError as error:
            logger.warning("cannot accept", extra={"reason": str(error)})
            self._loop.remove_reader(self._listener)
            self._again = self._loop.call_later(AGAIN_SECONDS, self._listen)
            return
        self._accepted(connection)


def close_server(server: asyncio.AbstractServer) -> None:
    """Have the running loop's server accept no more, at the end of the loop's turn.

    At once would lose who was accepted in this very turn, and leave that socket open: asyncio makes the
    connection in a task of its own, which asserts that the server is open (`Server._attach`, Python 3.11).
    """
    asyncio.get_running_loop().call_soon(server.close)


def accept_or_pause(listener: socket.socket, seconds: float) -> socket.socket | None:
    """Accept for a loop that may block; None after so many seconds if descriptors are short."""
    try:
        connection, _ = listener.accept()
    except OSError:
        time.sleep(seconds)
        return None
    return connection
