"""Adjudicators of which some lead, refuse, are silent or gone."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from adjudicator.messages import Request, Verdict, encode_refusal, encode_reply, subject_of
from dsql.rpc.framing import FrameDecoder, frame

AZS = ["az1", "az2", "az3"]
Act = Callable[[bytes], bytes | None]  # a request; its reply, None for silence


def commits(request: bytes) -> bytes | None:
    return encode_reply(subject_of(request), Verdict.COMMITTED, 77)


def buries(request: bytes) -> bytes | None:
    """A new leader, which has never seen the transaction."""
    verdict = Verdict.COMMITTED if request[0] == Request.COMMIT else Verdict.ABORTED
    return encode_reply(subject_of(request), verdict, 88)


def is_silent(request: bytes) -> bytes | None:
    return None


def names(zone: int) -> Act:
    return lambda request: encode_refusal(subject_of(request), zone)


class Zones:
    """Adjudicators on threads. `asked`: (zone, kind of request), in order; `gone` ones accept nothing.

    `connected`: the zones that connections were made to; `sends`: what was sent to each in one go.
    `greets`: what each says before a connection is adopted.
    """

    def __init__(self) -> None:
        self.acts: dict[str, Act] = dict.fromkeys(AZS, names(0))
        self.gone: set[str] = set()
        self.asked: list[tuple[str, int]] = []
        self.connected: list[str] = []
        self.sends: list[tuple[str, int]] = []
        self.greets: dict[str, bytes] = {}
        self._ends: dict[str, list[socket.socket]] = {}
        self._threads: list[threading.Thread] = []

    def connect(self, az: str) -> tuple[str, socket.socket]:
        az = az or AZS[0]
        if az in self.gone:
            raise ConnectionRefusedError(az)
        self.connected.append(az)
        ours, theirs = socket.socketpair()
        self._ends.setdefault(az, []).append(theirs)
        if az in self.greets:
            theirs.sendall(frame(self.greets[az]))
        self._threads.append(threading.Thread(target=self._serve, args=(az, theirs)))
        self._threads[-1].start()
        return az, _Counted(self, az, ours)

    def say(self, az: str, notice: bytes) -> None:
        """Have a zone say something that nobody has asked for, on its newest connection."""
        self._ends[az][-1].sendall(frame(notice))

    def _serve(self, az: str, end: socket.socket) -> None:
        decoder = FrameDecoder()
        with contextlib.suppress(OSError):  # the client has what it needs, and hangs up
            while data := end.recv(65_536):
                for body in decoder.feed(data):
                    self.asked.append((az, body[0]))
                    reply = self.acts[az](body)
                    if reply == b"":
                        end.close()
                        return
                    if reply is not None:
                        end.sendall(frame(reply))

    def close(self) -> None:
        for thread in self._threads:
            thread.join(5)
        for ends in self._ends.values():
            for end in ends:
                end.close()


class _Counted(socket.socket):
    """A client's end, whose sends are counted."""

    def __init__(self, zones: Zones, az: str, connected: socket.socket) -> None:
        super().__init__(fileno=connected.detach())
        self._zones, self._az = zones, az

    def send(self, data: bytes, flags: int = 0) -> int:
        self._zones.sends.append((self._az, len(data)))
        return super().send(data, flags)

    def sendall(self, data: bytes, flags: int = 0) -> None:
        self._zones.sends.append((self._az, len(data)))
        super().sendall(data, flags)
