"""pg_advisory_lock and its kin, pg_locks and pg_blocking_pids.

A lock is named by one bigint or by two integers, which are two spaces of names. Aurora DSQL has no such
functions (`dsql.sql.refusals`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dsql.catalog.context_functions import define
from dsql.catalog.index_forms import DSQL
from dsql.catalog.virtual import provides
from dsql.types import oids

_WORD = 0xFFFF_FFFF
_BIGINT, _TWO_INTEGERS = 1, 2  # pg_locks.objsubid


def _tag(*key: int) -> tuple[int, int, int]:
    if len(key) == 1:
        return key[0] >> 32 & _WORD, key[0] & _WORD, _BIGINT
    return key[0] & _WORD, key[1] & _WORD, _TWO_INTEGERS


def _taker(*, shared: bool, for_transaction: bool, waits: bool) -> Callable[..., Any]:
    def take(context: Any, *key: int) -> Any:
        taken = context.facts.take_lock(
            _tag(*key), shared=shared, for_transaction=for_transaction, waits=waits
        )
        return "" if waits else taken

    return take


def _giver_up(*, shared: bool) -> Callable[..., bool]:
    def give_up(context: Any, *key: int) -> bool:
        had: bool = context.facts.give_lock_up(_tag(*key), shared=shared)
        return had

    return give_up


for _key in ((oids.INT8,), (oids.INT4, oids.INT4)):
    for _suffix, _shared in (("", False), ("_shared", True)):
        for _xact, _for_transaction in (("", False), ("_xact", True)):
            _forms = {"shared": _shared, "for_transaction": _for_transaction}
            define(f"pg_advisory{_xact}_lock{_suffix}", _key, oids.VOID, volatility="v")(
                _taker(**_forms, waits=True)
            )
            define(f"pg_try_advisory{_xact}_lock{_suffix}", _key, oids.BOOL, volatility="v")(
                _taker(**_forms, waits=False)
            )
        define(f"pg_advisory_unlock{_suffix}", _key, oids.BOOL, volatility="v")(
            _giver_up(shared=_shared)
        )


@define("pg_advisory_unlock_all", (), oids.VOID, volatility="v")
def _pg_advisory_unlock_all(context: Any) -> str:
    context.facts.give_all_locks_up()
    return ""


@define("pg_blocking_pids", (oids.INT4,), oids.INT4_ARRAY, volatility="v")
def _pg_blocking_pids(context: Any, pid: int) -> list[int]:
    found: dict[int, None] = {}
    for entry in context.facts.locks():
        if entry.claim.process_id == pid:
            found.update(dict.fromkeys(one.process_id for one in entry.blockers))
    return list(found)


@provides("pg_catalog", "pg_locks")
def _pg_locks(context: Any) -> Iterator[Mapping[str, Any]]:
    if context.profile == DSQL:
        return
    for entry in context.facts.locks():
        claim = entry.claim
        yield {
            "locktype": "advisory",
            "database": context.catalog.database.oid,
            "classid": entry.tag.high,
            "objid": entry.tag.low,
            "objsubid": entry.tag.kind,
            "virtualtransaction": f"{claim.process_id}/0",
            "pid": claim.process_id,
            "mode": claim.mode.title,
            "granted": entry.granted,
            "fastpath": False,
            "waitstart": None if entry.granted else context.facts.timestamp(claim.since),
        }
