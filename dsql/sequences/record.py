"""What a session keeps of sequences, as a value: what it takes along to another process."""

from __future__ import annotations

from typing import Annotated

import msgspec

Oid = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Value = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class CachedRecord(msgspec.Struct, array_like=True, frozen=True):
    """A `Cached`, and what `made` and `ahead` have of it."""

    oid: Oid
    keyspace: Oid
    last: Value
    end: Value
    step: Value
    is_called: bool
    made: bool | None = None
    ahead: Value = 0
    first: Value = 0
    cache: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0


class SequencesRecord(msgspec.Struct, array_like=True, frozen=True):
    """What a session keeps of sequences, for another process."""

    latest: Oid
    cached: tuple[CachedRecord, ...]

    def is_sound(self) -> bool:
        """Return whether a session can have left it behind."""
        known = {entry.oid for entry in self.cached}
        return self.latest in (0, *known) and all(
            entry.step and (entry.end - entry.last) % entry.step == 0 for entry in self.cached
        )
