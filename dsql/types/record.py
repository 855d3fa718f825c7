"""Records that know their fields.

A record is a tuple. What makes one (a row constructor, a whole-row reference, a set-returning function) may
use a class from `record_class`, so that text formats and JSON functions see field names and types; a
plain tuple shows as f1, f2, ... and is formatted by what its values look like.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar


class Record(tuple[Any, ...]):
    """A tuple with named, typed fields."""

    __slots__ = ()
    names: ClassVar[tuple[str, ...]] = ()
    oids: ClassVar[tuple[int, ...]] = ()


@lru_cache(1024)
def record_class(names: tuple[str, ...], oids: tuple[int, ...]) -> type[Record]:
    """Return the class of records with these fields; call it with an iterable of values."""
    return type("Record", (Record,), {"__slots__": (), "names": names, "oids": oids})
