"""How many rows lie in a range of keys is read off a few pages that nobody keeps."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from storage.range_counts import count_rows

COUNTS = {1: 5, 2: 300, 3: 40_000, 4: 7_000, 5: 0, 6: 3_000}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lmdb.Environment]:
    choose = random.Random(1)
    directory = tmp_path_factory.mktemp("counts")
    environment = lmdb.open(str(directory), map_size=1 << 28, max_dbs=3, sync=False)
    database = environment.open_db(b"main")
    with environment.begin(write=True, db=database) as transaction:
        for keyspace, count in COUNTS.items():
            for number in range(count):
                key = keyspace.to_bytes(4, "big") + number.to_bytes(8, "big")
                transaction.put(key, choose.randbytes(choose.choice((20, 200))))
    yield environment
    environment.close()


def _count(environment: lmdb.Environment, low: int, high: int) -> float | None:
    ends = (number.to_bytes(4, "big") for number in (low, high))
    return count_rows(Path(environment.path()), environment.stat()["psize"], *ends)


@pytest.mark.parametrize("keyspace", COUNTS)
def test_a_count_is_about_right(filled: lmdb.Environment, keyspace: int) -> None:
    found, count = _count(filled, keyspace, keyspace + 1), COUNTS[keyspace]
    assert found is not None
    assert count / 2 <= found <= count * 2


def test_the_count_of_all_keys_is_about_their_number(filled: lmdb.Environment) -> None:
    found = _count(filled, 0, 100)
    assert found is not None
    assert found == pytest.approx(sum(COUNTS.values()), rel=0.5)
    assert _count(filled, 7, 100) == 0
    assert _count(filled, 3, 3) == 0


def test_nothing_is_said_of_what_is_no_environment(
    tmp_path: Path, filled: lmdb.Environment
) -> None:
    whole = (Path(filled.path()) / "data.mdb").read_bytes()
    ends = (3).to_bytes(4, "big"), (4).to_bytes(4, "big")
    assert count_rows(tmp_path, 4096, *ends) is None
    (tmp_path / "data.mdb").write_bytes(bytes(100_000))
    assert count_rows(tmp_path, 4096, *ends) is None
    (tmp_path / "data.mdb").write_bytes(whole[: 4096 * 3])
    assert count_rows(tmp_path, 4096, *ends) is None
    choose = random.Random(2)
    for _ in range(50):
        torn = bytearray(whole)
        for _ in range(200):
            torn[choose.randrange(2 * 4096, len(torn))] = choose.randrange(256)
        (tmp_path / "data.mdb").write_bytes(torn)
        found = count_rows(tmp_path, 4096, *ends)
        assert found is None or 0 <= found <= sum(COUNTS.values())
