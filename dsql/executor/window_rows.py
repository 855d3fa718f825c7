"""One window partition, in order, as window functions see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any


class WindowRows:
    """The rows of one partition.

    `arguments[i]` is the tuple of argument values of row i. `peers[i]` is the half-open range of the rows
    that ORDER BY does not tell apart from row i; `group(i)` numbers these peer groups from 0.
    `frame(i)` gives the row indexes in row i's frame, in order, exclusions applied.

    `WindowFunction.compute(rows)` yields one value per row: row_number is `range(1, len(rows) + 1)`, rank
    is `(rows.peers[i][0] + 1 for i in range(len(rows)))`, first_value looks at the first of `frame(i)`.
    """

    __slots__ = ("_frames", "_groups", "arguments", "peers")

    def __init__(
        self,
        arguments: Sequence[tuple[Any, ...]],
        peers: Sequence[tuple[int, int]],
        frames: Callable[[int], Iterable[int]],
    ) -> None:
        self.arguments = arguments
        self.peers = peers
        self._frames = frames
        self._groups: list[int] | None = None

    def __len__(self) -> int:
        return len(self.arguments)

    def frame(self, row: int) -> Iterable[int]:
        """Return the indexes of the rows in the frame of `row`, in order."""
        return self._frames(row)

    def group(self, row: int) -> int:
        """Return the number of the peer group that `row` belongs to, from 0."""
        if self._groups is None:
            groups: list[int] = []
            for index, (start, _) in enumerate(self.peers):
                groups.append(0 if index == 0 else groups[-1] + (start == index))
            self._groups = groups
        return self._groups[row]
