"""pg_notify and what goes with it. Aurora DSQL has none of them (`dsql.sql.refusals`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dsql.catalog.context_functions import define
from dsql.types import oids


@define("pg_notify", (oids.TEXT, oids.TEXT), oids.VOID, strict=False, volatility="v")
def _pg_notify(context: Any, channel: str | None, payload: str | None) -> str:
    context.facts.notify(channel or "", payload or "")
    return ""


@define("pg_listening_channels", (), oids.TEXT, returns_set=True)
def _pg_listening_channels(context: Any) -> Iterable[str]:
    channels: Iterable[str] = context.facts.channels
    return channels


@define("pg_notification_queue_usage", (), oids.FLOAT8, volatility="v")
def _pg_notification_queue_usage(context: Any) -> float:
    usage: float = context.facts.notification_usage
    return usage
