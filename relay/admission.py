"""Who may be in the middle of logging in: bounded in all and per source, and the slowest give way first.

A stranger costs nothing but a place here until the password is verified, so places are what is limited. At
a limit the newcomer gets in and the login that began the longest ago is ended: of the newcomer's own source
if that has its share, of all otherwise. Silent connections are thus always the ones that go, and a client
that talks at the usual speed is through long before its turn would come. No I/O.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Generic, TypeVar

_IPV6_PREFIX_BITS = 64  # what one customer is given at least, and can take addresses from at will

Login = TypeVar("Login")


def source_of(host: str) -> str:
    """Return what the limits count a client's IP address as: an IPv4 address, or an IPv6 /64.

    >>> source_of("2001:db8::1"), source_of("::ffff:192.0.2.1"), source_of("192.0.2.1")
    ('2001:db8::/64', '192.0.2.1', '192.0.2.1')
    """
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), _IPV6_PREFIX_BITS), strict=False))


class Admission(Generic[Login]):
    """The logins in progress, oldest first. `total_max` and `per_source_max` are at least 1."""

    def __init__(self, total_max: int, per_source_max: int) -> None:
        self._total_max = total_max
        self._per_source_max = per_source_max
        self._all: OrderedDict[Login, str] = OrderedDict()
        self._by_source: dict[str, OrderedDict[Login, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, login: Login, source: str) -> Login | None:
        """Take a login in; return the one that gives way to it, which has left already."""
        loser = self._loser(source)
        if loser is not None:
            self.leave(loser)
        self._all[login] = source
        self._by_source.setdefault(source, OrderedDict())[login] = None
        assert len(self._all) <= self._total_max
        return loser

    def leave(self, login: Login) -> None:
        """Forget a login that has ended one way or the other, known or not."""
        source = self._all.pop(login, None)
        if source is None:
            return
        mates = self._by_source[source]
        del mates[login]
        if not mates:
            del self._by_source[source]

    def _loser(self, source: str) -> Login | None:
        mates = self._by_source.get(source)
        if mates is not None and len(mates) >= self._per_source_max:
            return next(iter(mates))
        return next(iter(self._all)) if len(self._all) >= self._total_max else None
