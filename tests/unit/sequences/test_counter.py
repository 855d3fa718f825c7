"""The counter, against PostgreSQL's own loop that counts one value after the other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsql.catalog.schema import SequenceOptions
from dsql.sequences.counter import Counter, decode, encode, next_block
from dsql.types import oids

INT8_MIN, INT8_MAX = -(2**63), 2**63 - 1


def one_by_one(counter: Counter, of: SequenceOptions) -> list[int]:
    """Return the values that nextval would cache, as PostgreSQL's loop finds them; none: an error."""
    values = [] if counter.is_called else [counter.last_value]
    last = counter.last_value
    while len(values) < of.cache:
        following = last + of.increment
        if not of.minimum <= following <= of.maximum:
            if values or not of.cycle:
                return values
            following = of.minimum if of.increment > 0 else of.maximum
        values.append(following)
        last = following
    return values


@st.composite
def sequences(draw: st.DrawFn) -> tuple[Counter, SequenceOptions]:
    low = draw(st.sampled_from((INT8_MIN, -5, 1, 10)) | st.integers(-50, 50))
    high = draw(st.integers(low + 1, low + 40) | st.just(max(low + 1, INT8_MAX)))
    value = draw(st.integers(low, min(high, low + 60)) | st.integers(max(low, high - 60), high))
    step = draw(st.integers(-30, 30).filter(bool) | st.sampled_from((INT8_MIN, INT8_MAX)))
    cache, cycle = draw(st.integers(1, 50)), draw(st.booleans())
    of = SequenceOptions(oids.INT8, value, step, low, high, cache, cycle)
    return Counter(value, is_called=draw(st.booleans())), of


@given(sequences())
def test_a_block_has_the_values_that_postgresql_would_cache(
    sequence: tuple[Counter, SequenceOptions],
) -> None:
    counter, of = sequence
    expected = one_by_one(counter, of)
    taken = next_block(counter, of)
    if taken is None:
        assert expected == []
        return
    block, after = taken
    end = block.last + (1 if of.increment > 0 else -1)
    assert list(range(block.first, end, block.step)) == expected
    assert after == Counter(expected[-1], is_called=True)


@given(sequences(), st.integers(1, 20))
def test_blocks_that_follow_each_other_share_no_value_before_a_cycle(
    sequence: tuple[Counter, SequenceOptions], count: int
) -> None:
    counter, of = sequence
    seen: list[int] = []
    for _ in range(count):
        taken = next_block(counter, of)
        if taken is None:
            break
        block, counter = taken
        if seen and (block.first - seen[-1]) * of.increment <= 0:
            break  # it has begun anew
        seen += (block.first, block.last) if block.first != block.last else (block.first,)
    assert len(set(seen)) == len(seen)


def test_a_counter_is_stored_as_the_row_that_a_sequence_shows() -> None:
    counter = Counter(INT8_MIN, is_called=True)
    assert decode(encode(counter)) == counter
