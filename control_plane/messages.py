"""HTTP as the pure rooms see it: a request that has come as a whole, and its answer."""

from __future__ import annotations

from typing import NamedTuple


class HttpRequest(NamedTuple):
    """`path` and `query` as they were sent, percent-encoded; headers by name in lower case.

    A header that came several times has its values joined by commas. `address` is the client's IP address.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    address: str
    encrypted: bool = True


class HttpAnswer(NamedTuple):
    """Status, headers and body."""

    status: int
    headers: dict[str, str]
    body: bytes
