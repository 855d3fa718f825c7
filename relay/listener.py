"""How a listening socket ends without a reset for anybody.

Closing a listener resets who stands in its queue, and who is half way through TCP's handshake with it. So a
relay that ends first has the kernel drop new handshakes: their hosts send them again a second later, when
the listener is gone and another one on the port answers (or nobody, and they are refused). Handshakes under
way come to their end meanwhile, and those are accepted.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from asyncio.trsock import TransportSocket

Listener = socket.socket | TransportSocket

_SO_ATTACH_FILTER = 26  # linux: include/uapi/asm-generic/socket.h
# Classic BPF on a TCP socket sees segments from the TCP header on; byte 13 are the flags (RFC 9293, 3.1).
_DROP_SYN = (
    struct.pack("=HBBI", 0x30, 0, 0, 13)  # A = the byte at 13
    + struct.pack("=HBBI", 0x54, 0, 0, 0x12)  # A &= SYN | ACK
    + struct.pack("=HBBI", 0x15, 0, 1, 0x02)  # unless it is SYN alone, skip one
    + struct.pack("=HBBI", 0x06, 0, 0, 0)  # drop
    + struct.pack("=HBBI", 0x06, 0, 0, 0xFFFFFFFF)  # let pass
)


def drop_newcomers(listener: Listener) -> None:
    """Have the kernel drop what begins a handshake with this listener from now on."""
    program = ctypes.create_string_buffer(_DROP_SYN, len(_DROP_SYN))
    described = struct.pack("@HP", len(_DROP_SYN) // 8, ctypes.addressof(program))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)


def accept_waiting(listener: Listener) -> socket.socket | None:
    """Return who waits in the queue of a listener that does not block, None if nobody does."""
    with socket.socket(fileno=os.dup(listener.fileno())) as door:
        try:
            return door.accept()[0]
        except OSError:
            return None
