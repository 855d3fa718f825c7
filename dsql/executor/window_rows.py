"""One window partition, in order, as window functions see it (`dsql.functions.windows.WindowRows`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class WindowRows:
    """The rows of one partition.

    `arguments[i]` is the tuple of argument values of row i. `peers(i)` is the half-open range of the rows
    that ORDER BY does not tell apart from row i. `frame(i)` gives the row indexes in row i's frame, in
    order, exclusions applied: a range where there are none.
    """

    __slots__ = ("arguments", "frame", "peers")

    def __init__(
        self,
        arguments: Sequence[tuple[Any, ...]],
        peers: Callable[[int], tuple[int, int]],
        frame: Callable[[int], Sequence[int]],
    ) -> None:
        self.arguments = arguments
        self.frame = frame
        self.peers = peers

    def __len__(self) -> int:
        return len(self.arguments)

    def argument(self, number: int, row: int) -> Any:
        """Return the call's argument `number` (from 0) evaluated at a row."""
        return self.arguments[row][number]

    def argument_count(self) -> int:
        """Return how many arguments the call has."""
        return len(self.arguments[0]) if self.arguments else 0
