"""The options of CREATE and ALTER SEQUENCE: read off their nodes, and made to a SequenceOptions.

The order of the checks and their words are those of PostgreSQL's init_params (commands/sequence.c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from dsql.catalog.schema import SequenceOptions
from dsql.ddl import nodes
from dsql.ddl.lacking_names import type_of
from dsql.errors import SqlError
from dsql.sequences.counter import Counter
from dsql.types import oids, registry

Written = dict[
    str, Any
]  # by the option's name: a number, a flag, a type's OID; None for NO MAXVALUE

_BOUNDS = {
    oids.INT2: (-(2**15), 2**15 - 1),
    oids.INT4: (-(2**31), 2**31 - 1),
    oids.INT8: (-(2**63), 2**63 - 1),
}


def read_options(options: Iterable[Any], position: Callable[[int], int]) -> Written:
    """Return a statement's options. Raises SqlError 42601 for one that is given twice, 42704, 22003."""
    written: Written = {}
    for wrapped in options:
        element = wrapped.def_elem
        name = str(element.defname)
        if name in written:
            at = position(element.location)
            raise SqlError("42601", "conflicting or redundant options", position=at)
        written[name] = _value(name, element)
    return written


def _value(name: str, element: Any) -> Any:
    if name == "as":
        return type_of(element.arg.type_name)
    value = nodes.option_value(element)
    if not isinstance(value, str) or name == "sequence_name":
        return value
    number = int(value)
    if not _BOUNDS[oids.INT8][0] <= number <= _BOUNDS[oids.INT8][1]:
        raise SqlError("22003", f'value "{value}" is out of range for type bigint')
    return number


def new_sequence(written: Written, *, for_identity: bool) -> tuple[SequenceOptions, Counter]:
    """Return the options and the first counter of a sequence to be made. Raises SqlError 22023, 42601."""
    of = SequenceOptions(oids.INT8, 0, 1, 0, 0, 1)
    return _completed(written, of, None, for_identity=for_identity)


def changed_sequence(
    written: Written, of: SequenceOptions, counter: Counter
) -> tuple[SequenceOptions, Counter]:
    """Return the options and the counter of a sequence after ALTER. Raises SqlError 22023, 42601."""
    return _completed(written, of, counter, for_identity=of.is_identity)


def _completed(
    written: Written, of: SequenceOptions, counter: Counter | None, *, for_identity: bool
) -> tuple[SequenceOptions, Counter]:
    if "sequence_name" in written:
        raise SqlError("42601", "invalid sequence option SEQUENCE NAME")
    is_new = counter is None
    type_oid = _type(written, of, for_identity=for_identity)
    increment = written.get("increment", of.increment)
    if increment == 0:
        raise SqlError("22023", "INCREMENT must not be zero")
    minimum, maximum = _bounds(written, of, type_oid, increment, is_new=is_new)
    usual = (minimum if increment > 0 else maximum) if is_new else of.start
    start = written.get("start", usual)
    _check_inside("START", start, minimum, maximum)
    if "restart" in written or counter is None:
        again = written.get("restart")
        counter = Counter(start if again is None else again)
    _check_inside("RESTART", counter.last_value, minimum, maximum)
    cache = written.get("cache", of.cache)
    if cache <= 0:
        raise SqlError("22023", f"CACHE ({cache}) must be greater than zero")
    cycle = written.get("cycle", of.cycle)
    changed = SequenceOptions(type_oid, start, increment, minimum, maximum, cache, cycle)
    kept = msgspec.structs.replace(changed, owner=of.owner, is_identity=of.is_identity)
    return kept, counter


def _type(written: Written, of: SequenceOptions, *, for_identity: bool) -> int:
    type_oid: int = written.get("as", of.type_oid)
    if type_oid not in _BOUNDS:
        what = "identity column" if for_identity else "sequence"
        raise SqlError("22023", f"{what} type must be smallint, integer, or bigint")
    return type_oid


def _bounds(
    written: Written, of: SequenceOptions, type_oid: int, increment: int, *, is_new: bool
) -> tuple[int, int]:
    """Return (minimum, maximum). Those that were the old type's become the new type's."""
    before, least_and_most = _BOUNDS[of.type_oid], _BOUNDS[type_oid]
    retyped = "as" in written and not is_new
    found = []
    for side, (name, kept, ascends) in enumerate(
        (("minvalue", of.minimum, increment < 0), ("maxvalue", of.maximum, increment > 0))
    ):
        reset = retyped and kept == before[side]
        if written.get(name) is not None:
            value = written[name]
        elif is_new or name in written or reset:
            value = least_and_most[side] if ascends or reset else (1, -1)[side]
        else:
            value = kept
        found.append(value)
    for name, value in (("MAXVALUE", found[1]), ("MINVALUE", found[0])):
        if not least_and_most[0] <= value <= least_and_most[1]:
            of_type = f"sequence data type {registry.get(type_oid).sql_name}"
            raise SqlError("22023", f"{name} ({value}) is out of range for {of_type}")
    minimum, maximum = found
    if minimum >= maximum:
        message = f"MINVALUE ({minimum}) must be less than MAXVALUE ({maximum})"
        raise SqlError("22023", message)
    return minimum, maximum


def _check_inside(what: str, value: int, minimum: int, maximum: int) -> None:
    if value < minimum:
        message = f"{what} value ({value}) cannot be less than MINVALUE ({minimum})"
        raise SqlError("22023", message)
    if value > maximum:
        message = f"{what} value ({value}) cannot be greater than MAXVALUE ({maximum})"
        raise SqlError("22023", message)
