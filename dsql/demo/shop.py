"""The shop's tables and what is in them, and what one client does there. No I/O but a query at a time.

Products are bought the more often the lower their number is, so that clients meet at the first ones: that
is what conflicts (40001) are, and each is tried again.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator, Sequence

Row = Sequence[str | None]
Query = Callable[[str], Awaitable[Sequence[Row]]]

CUSTOMERS, PRODUCTS, STOCK = 200, 20, 1_000
_CITIES = ("Amsterdam", "Bologna", "Cork", "Dresden", "Espoo", "Funchal", "Ghent")
_NAMES = ("Ada", "Ben", "Chloe", "Dev", "Emre", "Fatima", "Gus", "Hana", "Ines", "Jonas")
_THINGS = (
    "anvil",
    "bell",
    "candle",
    "drum",
    "easel",
    "flute",
    "globe",
    "hammock",
    "inkwell",
    "jug",
)
_COLOURS = ("blue", "red")

TABLES = (
    "CREATE SCHEMA IF NOT EXISTS demo",
    "CREATE TABLE IF NOT EXISTS demo.customer (id int PRIMARY KEY, name text NOT NULL, city text NOT NULL)",
    "CREATE TABLE IF NOT EXISTS demo.product (id int PRIMARY KEY, name text NOT NULL, price numeric(8,2)"
    " NOT NULL, stock int NOT NULL)",
    "CREATE TABLE IF NOT EXISTS demo.purchase (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), customer int"
    " NOT NULL, product int NOT NULL, quantity int NOT NULL, bought_at timestamptz NOT NULL DEFAULT now())",
)


def sample_rows() -> Iterator[str]:
    """Yield the statements that fill the shop; what is there already stays."""
    people = ", ".join(
        f"({n}, '{_NAMES[n % len(_NAMES)]} {n}', '{_CITIES[n % len(_CITIES)]}')"
        for n in range(1, CUSTOMERS + 1)
    )
    things = ", ".join(
        f"({n}, '{_COLOURS[n % 2]} {_THINGS[n // 2 % len(_THINGS)]}', {3 + n * 7 % 40}.90, {STOCK})"
        for n in range(1, PRODUCTS + 1)
    )
    yield f"INSERT INTO demo.customer VALUES {people} ON CONFLICT (id) DO NOTHING"
    yield f"INSERT INTO demo.product VALUES {things} ON CONFLICT (id) DO NOTHING"


async def open_shop(query: Query) -> None:
    """Make the tables, each in a transaction of its own as Aurora DSQL wants it, and fill them."""
    for statement in (*TABLES, *sample_rows()):
        await query(statement)


async def buy(query: Query, chance: random.Random) -> None:
    """Buy something, in one transaction; an empty shelf is filled up. Raises what `query` raises."""
    product = 1 + int(PRODUCTS * chance.random() ** 2)
    customer, quantity = chance.randint(1, CUSTOMERS), chance.randint(1, 3)
    await query("BEGIN")
    ((stock,),) = await query(f"SELECT stock FROM demo.product WHERE id = {product}")
    left = int(stock or 0) - quantity
    await query(
        f"UPDATE demo.product SET stock = {left if left >= 0 else STOCK} WHERE id = {product}"
    )
    await query(
        "INSERT INTO demo.purchase (customer, product, quantity)"
        f" VALUES ({customer}, {product}, {quantity})"
    )
    await query("COMMIT")


async def look_around(query: Query, chance: random.Random) -> None:
    """Look what a customer has bought most of."""
    customer = chance.randint(1, CUSTOMERS)
    await query(
        "SELECT p.name, sum(b.quantity) FROM demo.purchase b JOIN demo.product p ON p.id = b.product"
        f" WHERE b.customer = {customer} GROUP BY p.name ORDER BY 2 DESC LIMIT 5"
    )
