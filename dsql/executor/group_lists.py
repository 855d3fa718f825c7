"""What an aggregate like array_agg gathers, a list for each group: in temporary space when it is too much.

The lists of all groups are written out together, in pieces, as sorted runs of rows (number of the group,
items), and begin anew. A group's pieces come back when the group is finished, before what it has in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from dsql.executor.grouped_rows import GroupedRows
from dsql.executor.memory import Held, StatementMemory
from dsql.types.size import size_of

Group = list[Any]

_NUMBER = itemgetter(0)
_PIECE_BYTES = 16 * 1024
_SET_SHIFT = 40  # more groups than one grouping set has


class GroupLists(Held):
    """The account of the lists at one place of all groups; beyond its share they are written out.

    Generated code appends to the lists and calls `sample_one` and `large`.
    """

    __slots__ = ("_place", "_set", "_table", "_written")

    def __init__(
        self, memory: StatementMemory, table: dict[Any, Group], place: int, set_place: int | None
    ) -> None:
        """`set_place`: where a group has the number of its grouping set, if there are several."""
        super().__init__(memory)
        self._table = table
        self._place = place
        self._set = None if set_place is None else itemgetter(set_place)
        self._written: GroupedRows | None = None

    def add(self, size: int) -> None:
        """Take `size` bytes more, or write everything out."""
        super().add(size)
        if self.memory.is_share(self.bytes):
            self._spill()

    def _spill(self) -> None:
        if self._written is None:
            self._written = GroupedRows(self.memory, lambda rows: rows.sort(key=_NUMBER), _NUMBER)
        groups: Iterable[Group] = self._table.values()
        if self._set is not None:
            groups = sorted(groups, key=self._set)
        self._written.append_sorted(self._pieces(groups))
        super().clear()

    def _pieces(self, groups: Iterable[Group]) -> Iterator[tuple[int, list[Any]]]:
        """Yield the items of all groups, and take them away."""
        for number, group in self._numbered(groups):
            items = group[self._place]
            start = size = 0
            for end, item in enumerate(items, 1):
                size += size_of(item)
                if size > _PIECE_BYTES:
                    yield number, items[start:end]
                    start, size = end, 0
            if start < len(items):
                yield number, items[start:]
            items.clear()

    def _numbered(self, groups: Iterable[Group]) -> Iterator[tuple[int, Group]]:
        """Yield groups with numbers that ascend, and that they keep when there are more groups."""
        if self._set is None:
            yield from enumerate(groups)
            return
        number, last = 0, -1
        for group in groups:
            current = self._set(group)
            number = number + 1 if current == last else current << _SET_SHIFT
            last = current
            yield number, group

    @staticmethod
    def complete(groups: Iterable[Group], lists: Sequence[GroupLists]) -> Iterable[Group]:
        """Return all groups of the table, by their sets, each with whole lists while it is looked at."""
        written = [one for one in lists if one._written is not None]
        return GroupLists._completed(groups, written) if written else groups

    @staticmethod
    def _completed(groups: Iterable[Group], lists: Sequence[GroupLists]) -> Iterator[Group]:
        held = Held(lists[0].memory)
        for number, group in lists[0]._numbered(groups):
            for one in lists:
                one._fill(number, group, held)
            yield group
            for one in lists:
                group[one._place] = None
            held.clear()

    def _fill(self, number: int, group: Group, held: Held) -> None:
        """Put what was written of a group's list before what is in memory."""
        assert self._written is not None, "what is whole needs nothing"
        items: list[Any] = []
        for _, piece in self._written.group(number):
            held.list(piece)
            items += piece
        items += group[self._place]
        group[self._place] = items

    def clear(self) -> None:
        """Forget the lists of groups that were given."""
        super().clear()
        self._written = None
