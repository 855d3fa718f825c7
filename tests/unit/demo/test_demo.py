"""The demo's shop and its clients, against a server in memory and against one that is made up."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence

import pytest
from memory_server import Server

from dsql.demo.load import Account, Load
from dsql.demo.shop import PRODUCTS, STOCK, Query, buy, look_around, open_shop
from dsql.health.connection import ServerError


@pytest.mark.parametrize("profile", ["dsql", "postgres"])
async def test_what_is_bought_is_missing_from_the_shelf(profile: str) -> None:
    server = Server(profile)
    peer = server.connect()

    async def query(text: str) -> Sequence[Sequence[str | None]]:
        found = peer.rows(text)
        return [[None if v is None else v.decode() for v in row] for row in found]

    try:
        for _ in range(2):  # the second time all is there
            await open_shop(query)
        for number in range(20):
            await buy(query, random.Random(number))
        await look_around(query, random.Random(0))
        ((left,),) = await query("SELECT sum(stock) FROM demo.product")
        ((bought,),) = await query("SELECT sum(quantity) FROM demo.purchase")
        assert int(left or 0) + int(bought or 0) == PRODUCTS * STOCK
    finally:
        server.stop()


class Shop:
    """Answers everything, and refuses a COMMIT as it is told."""

    def __init__(self, *refusals: str) -> None:
        self.refusals = list(refusals)
        self.texts: list[str] = []
        self.opened = 0

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[Query]:
        self.opened += 1
        yield self.query

    async def query(self, text: str) -> Sequence[Sequence[str | None]]:
        self.texts.append(text)
        if text == "COMMIT" and self.refusals:
            raise ServerError(self.refusals.pop(0), "no")
        return [["7"]]


async def run_until(account: Account, shop: Shop, purchases: int) -> None:
    load = asyncio.create_task(Load(shop.connect, 1, 1e6, account).run())
    while account.purchases < purchases and not load.done():
        await asyncio.sleep(0)
    load.cancel()
    await asyncio.gather(load, return_exceptions=True)


async def test_what_loses_a_conflict_is_tried_again_and_counted() -> None:
    shop, account = Shop("40001", "40001"), Account()
    await run_until(account, shop, 3)
    assert (account.purchases, account.conflicts, account.lost) == (3, 2, 0)
    assert shop.texts.count("ROLLBACK") == 2
    assert "2 conflicts (40.0%)" in account.line(1.0)


async def test_a_connection_that_is_lost_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsql.demo.load._LOST_SECONDS", 0.0)
    shop, account = Shop("57P01"), Account()
    await run_until(account, shop, 1)
    assert (shop.opened, account.lost) == (2, 1)


async def test_what_nobody_expects_ends_the_load() -> None:
    shop = Shop("42501")
    with pytest.raises(ExceptionGroup) as caught:
        await Load(shop.connect, 1, 1e6, Account()).run()
    assert caught.group_contains(ServerError)
