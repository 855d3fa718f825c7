"""A plan that its tables have outgrown is made again, for who prepared it as well."""

from __future__ import annotations

from memory_server import Server

from dsql.planner.row_counts import ROWS_MIN
from dsql.session import plan_cache
from dsql.wire import client


def test_a_prepared_statement_follows_the_size_of_its_table() -> None:
    server = Server("postgres")
    peer = server.connect()
    plans = server.environments[-1].plans
    rows, now = 10.0, plans._reviewed_at
    plans.row_counts.count = lambda _low, _high: rows
    plans.row_counts._monotonic = plans._monotonic = lambda: now
    peer.query("create table t (id int primary key, a int)")
    peer.query("insert into t values (1, 1), (2, 1)")
    text = "select count(*) from t join t u on t.a = u.id"
    run = client.bind([], statement="q") + client.execute() + client.sync()

    def rows_of_plan() -> set[float]:
        query = next(each for each in plans.latest(20) if getattr(each, "text", "") == text)
        return {count for _, count in query.program.plan.rows}

    peer.ask(client.parse(text, "q", ()), client.sync())
    before = peer.ask(run)
    assert rows_of_plan() == {ROWS_MIN}
    rows, now = 1e6, now + 10 * plan_cache.REVIEW_SECONDS
    peer.query("select 1 as another")
    assert peer.ask(run) == before
    assert rows_of_plan() == {1e6}
    server.stop()
