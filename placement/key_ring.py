"""Which session has which key of cancellation, and where it is now. No I/O."""

from __future__ import annotations

from placement.parking import ParkedSession
from placement.sessions import Keys
from placement.worker import Worker


class KeyRing:
    """Sessions that a query processor serves, and those on their way to one, by process key."""

    def __init__(self) -> None:
        self._served: dict[int, tuple[Worker, int]] = {}  # as which number
        self._arriving: dict[int, ParkedSession] = {}

    def __len__(self) -> int:
        """How many are served."""
        return len(self._served)

    def server_of(self, keys: Keys) -> Worker | None:
        """Return who serves the session with this process key."""
        served = self._served.get(keys.process_key)
        return None if served is None else served[0]

    def cancel(self, process_key: int, secret_key: int) -> None:
        """Cancel what a session runs, or will find that its client has sent when it has arrived."""
        arriving = self._arriving.get(process_key)
        if arriving is not None:
            arriving.cancelled |= arriving.keys.allow(secret_key)
        elif process_key in self._served:
            worker, number = self._served[process_key]
            worker.cancel(number, secret_key)

    def signal(self, cluster: str, process_key: int, *, ends: bool) -> bool:
        """Interrupt a session of a cluster as `cancel` does, or end it; return whether it is known here."""
        arriving = self._arriving.get(process_key)
        if arriving is not None and arriving.cluster == cluster:
            arriving.cancelled |= not ends
            arriving.ended |= ends
            return True
        worker, number = self._served.get(process_key, (None, 0))
        if worker is None or worker.cluster != cluster:
            return False
        if ends:
            worker.end_session(number)
        else:
            worker.interrupt(number)
        return True

    def activities(self, cluster: str) -> list[bytes]:
        """Return what sessions of a cluster that are on their way have said of themselves."""
        return [
            session.activity for session in self._arriving.values() if session.cluster == cluster
        ]

    def served(self, worker: Worker, number: int, keys: Keys) -> None:
        """A query processor has been given a session."""
        self._served[keys.process_key] = worker, number

    def left(self, worker: Worker, number: int, keys: Keys | None) -> None:
        """A query processor serves a session no more."""
        if keys is not None and self._served.get(keys.process_key) == (worker, number):
            del self._served[keys.process_key]

    def departs(self, session: ParkedSession) -> None:
        """A session is on its way to a query processor."""
        self._arriving[session.keys.process_key] = session

    def arrived(self, session: ParkedSession) -> None:
        """It is there, or nowhere."""
        self._arriving.pop(session.keys.process_key, None)
