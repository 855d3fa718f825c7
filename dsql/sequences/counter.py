"""A sequence's counter, and how the next block of values is taken from it. Pure: PostgreSQL's nextval.

A counter is the one row of its sequence, in the keyspace of the sequence: what SELECT * FROM it shows. A
block is an arithmetic progression, and never longer than the sequence's CACHE; it ends at the sequence's
bound, and where a sequence has CYCLE only the next block begins anew.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from dsql.catalog.schema import Column, SequenceOptions, Table
from dsql.encoding.keyspace import prefix
from dsql.errors import SqlError
from dsql.types import oids

# What SELECT * FROM a sequence has. `log_cnt` counts what PostgreSQL's log is ahead: here nothing is.
COLUMNS = (
    Column("last_value", 1, oids.INT8, not_null=True),
    Column("log_cnt", 2, oids.INT8, not_null=True),
    Column("is_called", 3, oids.BOOL, not_null=True),
)


_COUNTER = b"\0"  # to delete the prefix alone gives the whole keyspace up


class Counter(msgspec.Struct, frozen=True, array_like=True):
    """`last_value` was the last one that was given away, or is the next one unless `is_called`."""

    last_value: int
    log_cnt: int = 0
    is_called: bool = False


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Counter).decode


class Block(NamedTuple):
    """The values from `first` to `last`, both of them included, `step` apart."""

    first: int
    last: int
    step: int


def counter_key(sequence: Table) -> bytes:
    """Return the key of a sequence's counter, the only one in its keyspace."""
    return prefix(sequence.keyspace_id) + _COUNTER


def next_block(counter: Counter, options: SequenceOptions) -> tuple[Block, Counter] | None:
    """Return the next block of a counter, and the counter behind it; None if there are no more values."""
    step, first = options.increment, counter.last_value
    if counter.is_called:
        first += step
        if not options.minimum <= first <= options.maximum:
            if not options.cycle:
                return None
            first = options.minimum if step > 0 else options.maximum
    room = (options.maximum if step > 0 else options.minimum) - first
    last = first + step * min(options.cache - 1, room // step)
    return Block(first, last, step), Counter(last, is_called=True)


def exhausted(name: str, options: SequenceOptions) -> SqlError:
    """Return the error (2200H) of a sequence that has no more values."""
    word, bound = ("maximum", options.maximum)
    if options.increment < 0:
        word, bound = ("minimum", options.minimum)
    return SqlError("2200H", f'nextval: reached {word} value of sequence "{name}" ({bound})')


def out_of_bounds(name: str, options: SequenceOptions, value: int) -> SqlError:
    """Return the error (22003) of setval with a value that the sequence does not have."""
    bounds = f"({options.minimum}..{options.maximum})"
    return SqlError(
        "22003", f'setval: value {value} is out of bounds for sequence "{name}" {bounds}'
    )
