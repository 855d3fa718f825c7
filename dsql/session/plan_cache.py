"""Compiled programs by everything they depend on, shared by all sessions of a query processor."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

PLANS_MAX = 2_000


class PlanCache:
    """The most recently used values; the least recently used one goes when it is full."""

    def __init__(self, size_max: int = PLANS_MAX) -> None:
        self._size_max = size_max
        self._plans: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        """Return the value of `key`, None if there is none."""
        found = self._plans.get(key)
        if found is not None:
            self._plans.move_to_end(key)
        return found

    def put(self, key: Hashable, value: Any) -> None:
        """Keep a value."""
        self._plans[key] = value
        self._plans.move_to_end(key)
        if len(self._plans) > self._size_max:
            self._plans.popitem(last=False)

    def __len__(self) -> int:
        return len(self._plans)
