from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsql.encoding import keyspace


@given(st.binary(min_size=1).filter(lambda start: start.strip(b"\xff")), st.binary())
def test_prefix_end_is_above_every_key_with_the_prefix(start: bytes, rest: bytes) -> None:
    end = keyspace.prefix_end(start)
    assert start + rest < end
    assert not end.startswith(start)


@given(st.integers(0, 2**32 - 2), st.binary())
def test_range_of_a_keyspace_holds_its_keys_alone(identifier: int, rest: bytes) -> None:
    low, high = keyspace.keyspace_range(identifier)
    assert low <= keyspace.prefix(identifier) + rest < high
    assert not low <= keyspace.prefix(identifier + 1) + rest < high


def test_version_keys_differ_and_lie_in_keyspace_zero() -> None:
    keys = {keyspace.catalog_version_key(), *map(keyspace.table_version_key, (0, 1, 16_384))}
    assert len(keys) == 4
    assert {key[:4] for key in keys} == {keyspace.prefix(0)}
