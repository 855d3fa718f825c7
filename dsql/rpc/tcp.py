"""What all of our TCP sockets have in common."""

from __future__ import annotations

import socket
from asyncio.trsock import TransportSocket

# A host that has gone without a word is noticed within a minute. There is no TCP_USER_TIMEOUT: it would
# also end those that answer, but do not read for so long, and replace the count of probes.
_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)


def keep_alive(connection: socket.socket | TransportSocket) -> None:
    """Have the kernel probe a silent peer, and send at once. Who is accepted inherits a listener's."""
    for level, option, value in _OPTIONS:
        connection.setsockopt(level, option, value)
