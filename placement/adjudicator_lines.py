"""The connections to adjudicators that one query processor was given: one to each zone at most."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from dsql.rpc.packets import PacketChannel
from dsql.session.control import Adjudicator, encode

# Given a zone, or "" for the likely leader: the zone and a connection; None if it does not answer.
ConnectAdjudicator = Callable[[str], tuple[str, socket.socket] | None]


class AdjudicatorLines:
    """See the module. `connect` is to be set when the process has a cluster, `azs` are those of it."""

    def __init__(self, channel: PacketChannel) -> None:
        self.connect: ConnectAdjudicator = lambda _: None
        self.azs: list[str] = []
        self._channel = channel
        self._lines: dict[str, socket.socket] = {}  # by zone

    def send(self, az: str) -> None:
        """Give the process a new one, or say that none answers. Raises ConnectionError if it is gone."""
        self._end(az)
        connected = self.connect(az)
        if connected is None:
            self._channel.send(encode(Adjudicator(az)))
            return
        az, connection = connected
        self._end(az)
        self._lines[az] = connection
        self._channel.send(encode(Adjudicator(az)), (connection.fileno(),))

    def complete(self) -> None:
        """Give it those that it has not got. Raises ConnectionError as `send` does."""
        for az in self.azs:
            if az not in self._lines:
                self.send(az)

    def end(self) -> None:
        """End all of them."""
        for az in list(self._lines):
            self._end(az)

    def _end(self, az: str) -> None:
        """End the connection to a zone that it was given last, for whoever has it by now."""
        if az in self._lines:
            with contextlib.suppress(OSError), self._lines.pop(az) as connection:
                connection.shutdown(socket.SHUT_RDWR)
