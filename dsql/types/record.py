"""Records that know their fields.

A record is a tuple. What makes one (a row constructor, a whole-row reference, a set-returning function) may
use a class from `record_class`, so that text formats and JSON functions see field names and types; a
plain tuple shows as f1, f2, ... and is formatted by what its values look like.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def store_record(value: Sequence[Any], places: Sequence[int], ways: Sequence[Any]) -> list[Any]:
    """Return what a row holds: the fields at their places, each turned by a function of `ways` or None."""
    held: list[Any] = [None] * (max(places) + 1 if places else 0)
    for place, way, item in zip(places, ways, value, strict=True):
        held[place] = item if item is None or way is None else way(item)
    return held


def load_record(
    held: Sequence[Any],
    places: Sequence[int],
    ways: Sequence[Any],
    names: tuple[str, ...],
    oids: tuple[int, ...],
) -> Record:
    """Return the record of what a row holds of it."""
    items = (held[place] if place < len(held) else None for place in places)
    return record_class(names, oids)(
        [
            item if item is None or way is None else way(item)
            for way, item in zip(ways, items, strict=True)
        ]
    )
