"""Makes Python programs find a cluster by its endpoint, whose address PGHOSTADDR has, as libpq does."""

import os
import socket
from typing import Any

_resolve = socket.getaddrinfo


def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
    """Return the addresses of a host."""
    name = host.decode() if isinstance(host, bytes) else host
    if name == os.environ.get("PGHOST"):
        host = os.environ.get("PGHOSTADDR", host)
    return _resolve(host, *arguments, **options)


socket.getaddrinfo = getaddrinfo
