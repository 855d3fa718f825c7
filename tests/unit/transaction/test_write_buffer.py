from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dsql.transaction.interface import Mode
from dsql.transaction.write_buffer import WriteBuffer, merge

keys = st.binary(min_size=1, max_size=2)
own_writes = st.lists(st.tuples(keys, st.none() | st.binary(max_size=2)), max_size=12)


@given(
    stored=st.dictionaries(keys, st.binary(max_size=2), max_size=12),
    writes=own_writes,
    low=keys,
    high=keys,
    reverse=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_merged_scan_equals_a_scan_after_the_writes(
    stored: dict[bytes, bytes],
    writes: list[tuple[bytes, bytes | None]],
    low: bytes,
    high: bytes,
    reverse: bool,
) -> None:
    buffer = WriteBuffer(None)
    expected = dict(stored)
    for number, (key, value) in enumerate(writes):
        buffer.write(key, value, Mode.EXCLUSIVE, row=False)
        if number == len(writes) // 2:
            buffer.overlay(low, high)  # from here on keys are kept sorted
        if value is None:
            expected.pop(key, None)
        else:
            expected[key] = value
    rows = sorted(((k, v) for k, v in stored.items() if low <= k < high), reverse=reverse)
    merged = list(merge(iter(rows), buffer.overlay(low, high), reverse=reverse))
    wanted = sorted(((k, v) for k, v in expected.items() if low <= k < high), reverse=reverse)
    assert merged == wanted
