"""Blocks for many tasks at once, with a store that loses commits and forgets what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from memory_server import MemoryStore

from dsql.catalog.loader import CatalogCache
from dsql.catalog.schema import SequenceOptions, Table
from dsql.catalog.store import CatalogWriter
from dsql.errors import SqlError
from dsql.hub.hub import Hub
from dsql.sequences.counter import COLUMNS, Counter, counter_key, encode
from dsql.sequences.server import SequenceServer
from dsql.transaction.interface import CommitOutcome, Conflict, Mode, Unknown
from dsql.transaction.manager import TransactionManager
from dsql.types import oids

OID = 16_384


class Store(MemoryStore):
    """`wait` is called before a commit is decided; `lie` may say what becomes of it instead."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0
        self.wait: Callable[[], None] = lambda: None
        self.lie: Callable[[], CommitOutcome | None] = lambda: None

    def commit(self, encoded: bytes, transaction_id: bytes, premises: bytes = b"") -> CommitOutcome:
        self.wait()
        lie = self.lie()
        if isinstance(lie, Conflict):
            return lie
        self.commits += 1
        if lie is not None and self.commits % 2:
            return lie  # it was lost; else it was not, and the answer is the same
        outcome = super().commit(encoded, transaction_id)
        return lie or outcome


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture
def store() -> Store:
    return Store()


def begin(store: Store) -> Any:
    return TransactionManager(store, store, store).begin()


def make_sequence(store: Store, *, cache: int = 1, maximum: int = 2**62) -> None:
    options = SequenceOptions(oids.INT8, 1, 1, 1, maximum, cache)
    sequence = Table(OID, "public", "s", 10, COLUMNS, kind="S", sequence=options)
    transaction = begin(store)
    CatalogWriter(transaction).put_table(sequence)
    transaction.put(counter_key(sequence), encode(Counter(1)), Mode.EXCLUSIVE)
    transaction.commit()
    store.commits = 0


def server_of(store: Store, hub: Hub) -> SequenceServer:
    return SequenceServer(lambda: begin(store), CatalogCache(), hub)


def run(hub: Hub, tasks: list[Callable[[], None]]) -> None:
    for task in tasks:
        hub.spawn(task)
    hub.run(lambda: hub.tasks == 0)


def give_way(hub: Hub) -> None:
    hub.wait(hub.monotonic())


def values(server: SequenceServer, wanted: int = 0) -> list[int]:
    taken = server.take(OID, lambda: None, wanted)
    assert taken is not None
    block = taken[1]
    return list(range(block.first, block.last + 1, block.step))


def test_tasks_that_ask_meanwhile_are_served_by_one_commit(hub: Hub, store: Store) -> None:
    make_sequence(store)
    store.wait = lambda: give_way(hub)
    server, found = server_of(store, hub), []
    run(hub, [lambda: found.extend(values(server)) for _ in range(20)])
    assert sorted(found) == list(range(1, 21))
    assert store.commits == 2  # of the first, and of those who came while it was at it


def test_processes_that_lose_conflicts_and_outcomes_hand_nothing_out_twice(
    hub: Hub, store: Store
) -> None:
    make_sequence(store, cache=3)
    random = Random(7)
    store.wait = lambda: give_way(hub)
    store.lie = lambda: random.choice([None, None, Conflict(False), Unknown()])
    servers = [server_of(store, hub) for _ in range(3)]
    found: list[int] = []

    def client(server: SequenceServer) -> None:
        before = 0
        for _ in range(10):
            block = values(server, random.choice([0, 1, 8]))
            used = block[: random.randint(1, len(block))]
            assert before < used[0], "they ascend"
            before = used[-1]
            found.extend(used)
            if len(block) == 8 and used != block:
                server.give_back(OID, block[-1], used[-1])

    run(hub, [lambda server=server: client(server) for server in servers * 4])  # type: ignore[misc]
    assert len(found) == len(set(found))
    assert len(found) >= 3 * 4 * 10


def test_what_is_given_back_comes_next_unless_somebody_has_gone_on(hub: Hub, store: Store) -> None:
    make_sequence(store)
    server = server_of(store, hub)
    assert values(server, 10) == list(range(1, 11))
    server.give_back(OID, 10, 4)
    assert values(server, 3) == [5, 6, 7]
    assert values(server) == [8]
    server.give_back(OID, 7, 5)
    assert values(server) == [9]


def test_what_a_store_refuses_everybody_is_told(hub: Hub, store: Store) -> None:
    make_sequence(store, maximum=2)
    store.wait = lambda: give_way(hub)
    server, told = server_of(store, hub), []

    def ask() -> None:
        try:
            told.extend(map(str, values(server)))
        except SqlError as error:
            told.append(error.sqlstate)

    run(hub, [ask] * 4)
    assert sorted(told) == ["1", "2", "2200H", "2200H"]


def test_who_gives_up_waiting_keeps_nobody_from_being_served(hub: Hub, store: Store) -> None:
    make_sequence(store)
    store.wait = lambda: give_way(hub)
    server, found = server_of(store, hub), []

    def leave() -> None:
        def attend() -> None:
            raise KeyError

        with pytest.raises(KeyError):
            server.take(OID, attend)

    run(hub, [lambda: found.extend(values(server)), leave, lambda: found.extend(values(server))])
    assert len(set(found)) == 2


def test_a_sequence_that_is_nobodys_yet_has_no_values_here(hub: Hub, store: Store) -> None:
    assert server_of(store, hub).take(OID, lambda: None) is None
    assert store.commits == 0


def test_a_counter_that_is_set_is_where_blocks_go_on(hub: Hub, store: Store) -> None:
    make_sequence(store)
    server = server_of(store, hub)
    assert server.set(OID, Counter(41, is_called=True))
    assert values(server) == [42]
    with server.reading() as current:
        assert current(OID) == Counter(42, is_called=True)
        assert current(OID + 1) is None
