"""Compiled programs by everything they depend on, shared by all sessions of a query processor."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from itertools import islice
from typing import Any

from dsql.limits import PLAN_BYTES_PER_CHARACTER, PLANS_BYTES_MAX
from dsql.planner.row_counts import RowCounts

PLANS_MAX = 2_000
REVIEW_SECONDS = 10.0


class PlanCache:
    """What texts were parsed and compiled to: the most recently used, as many as fit.

    They are bounded by number and by the memory that they are likely to take, judged by their texts.
    `row_counts` is what queries are planned by.
    """

    def __init__(
        self,
        count_max: int = PLANS_MAX,
        bytes_max: int = PLANS_BYTES_MAX,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._reviewed_at = monotonic()
        self._count_max = count_max
        self._bytes_max = bytes_max
        self.row_counts = RowCounts()
        self._plans: OrderedDict[Hashable, Any] = OrderedDict()
        self._sizes: dict[Hashable, int] = {}
        self._bytes = 0

    def get(self, key: Hashable) -> Any:
        """Return the value of `key`, None if there is none."""
        found = self._plans.get(key)
        if found is not None:
            self._plans.move_to_end(key)
        return found

    def keep(self, key: Hashable, value: Any, text: str) -> None:
        """Keep what a text was made into."""
        size = len(text) * PLAN_BYTES_PER_CHARACTER
        self._bytes += size - self._sizes.get(key, 0)
        self._plans[key] = value
        self._sizes[key] = size
        self._plans.move_to_end(key)
        while len(self._plans) > self._count_max or self._bytes > self._bytes_max:
            oldest, _ = self._plans.popitem(last=False)
            self._bytes -= self._sizes.pop(oldest)
        assert self._bytes >= 0, "what goes gives back what it took"

    def latest(self, most: int) -> list[Any]:
        """Return what was used last, `most` of it."""
        return list(islice(reversed(self._plans.values()), most))

    def is_review_due(self) -> bool:
        """Return True once in `REVIEW_SECONDS`."""
        now = self._monotonic()
        if now < self._reviewed_at + REVIEW_SECONDS:
            return False
        self._reviewed_at = now
        return True

    def __len__(self) -> int:
        return len(self._plans)
