"""A relay's counters, all in one place."""

from __future__ import annotations

from collections import Counter

import msgspec


class Metrics(msgspec.Struct):
    """Counts since the start; `open_logins`, `splices` and `copies` are how many there are now.

    `logins` had a good password, `refused` counts refusals by SQLSTATE, `broken` connections that ended
    before a message could be sent to them: by their client, by a TLS failure, or by the login deadline.
    `gave_way` counts logins ended in favour of newer ones; `cancels` were passed on, the others had an
    unknown key or came too fast.
    """

    accepted: int = 0
    logins: int = 0
    handed_over: int = 0
    spliced: int = 0
    copied: int = 0
    cancels: int = 0
    cancels_unknown: int = 0
    cancels_limited: int = 0
    broken: int = 0
    gave_way: int = 0
    open_logins: int = 0
    splices: int = 0
    copies: int = 0
    refused: Counter[str] = msgspec.field(default_factory=Counter)

    def snapshot(self) -> dict[str, object]:
        """Return every counter by name, refusals as `refused.SQLSTATE`."""
        values: dict[str, object] = {name: getattr(self, name) for name in self.__struct_fields__}
        del values["refused"]
        return values | {f"refused.{state}": n for state, n in sorted(self.refused.items())}
