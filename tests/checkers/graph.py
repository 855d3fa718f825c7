"""The start/commit graph of a history: a cycle in it is what strict snapshot isolation forbids.

Each transaction is two moments, its start s and its commit c, with s before c. What was seen puts moments
in order (Adya's start-ordered serialization graph, split):

    ww   B overwrites what A wrote         c(A) -> s(B)   first committer wins: they do not overlap
    wr   B sees what A wrote               c(A) -> s(B)
    rw   A does not see what B wrote       s(A) -> c(B)
    rt   A had ended before B began        c(A) -> s(B)   whoever told the client of A told the truth

So a cycle is G0 (ww only), G1c (ww and wr), G-single (one rw), a violation of real time, or one of several
rw that pass through a commit that precedes a start. Write skew (G2-item) makes no cycle: its two rw
do not meet in a moment.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence

from checkers.history import Anomaly, Outcome, Transaction, Value

Moment = Hashable  # (transaction, "s" or "c"), or a number: a point of real time
Edge = tuple[Moment, str]  # where to, and why


class StartCommitGraph:
    """Moments, and which lies before which."""

    def __init__(self, transactions: Iterable[Transaction]) -> None:
        self._edges: dict[Moment, list[Edge]] = {}
        self._transactions = list(transactions)
        for transaction in self._transactions:
            self._add((transaction, "s"), (transaction, "c"), "")

    def overwrites(self, first: Transaction, second: Transaction) -> None:
        """`second` wrote the version after one of `first`."""
        self._commit_before_start(first, second, "ww")

    def sees(self, writer: Transaction, reader: Transaction) -> None:
        """`reader` read what `writer` wrote."""
        self._commit_before_start(writer, reader, "wr")

    def misses(self, reader: Transaction, writer: Transaction) -> None:
        """`reader` read the version before one of `writer`."""
        if reader is not writer:
            self._add((reader, "s"), (writer, "c"), "rw")

    def add_versions(
        self,
        versions: Mapping[int, Sequence[int]],
        writers: Mapping[int, Transaction],
        reads: Iterable[tuple[Transaction, int, Value]],
    ) -> None:
        """Add what follows from each key's versions, in order, and from who read which."""
        following: dict[tuple[int, Value], int] = {}
        for key, values in versions.items():
            for before, after in itertools.pairwise((None, *values)):
                following[key, before] = after
                if before is not None:
                    self.overwrites(writers[before], writers[after])
        for reader, key, value in reads:
            if value is not None:
                self.sees(writers[value], reader)
            if (key, value) in following:
                self.misses(reader, writers[following[key, value]])

    def add_real_time(self) -> None:
        """Put everything that had ended before what began later.

        A chain of points, one for each end, keeps the edges linear in number. What ended and began at the
        same time is not ordered.
        """
        begins = sorted(self._transactions, key=lambda one: one.began)
        ends = [
            (one.ended, number, one)
            for number, one in enumerate(self._transactions)
            if one.outcome
            is Outcome.COMMITTED  # one of unknown outcome may go on when its client has left
        ]
        heapq.heapify(ends)
        point = 0
        for transaction in begins:
            while ends and ends[0][0] < transaction.began:
                ended = heapq.heappop(ends)[2]
                self._add((ended, "c"), point + 1, "rt")
                if point:
                    self._add(point, point + 1, "rt")
                point += 1
            if point:
                self._add(point, (transaction, "s"), "rt")

    def anomalies(self) -> list[Anomaly]:
        """Return a short cycle of each strongly connected part."""
        return [self._describe(self._cycle_in(part)) for part in self._components()]

    def _commit_before_start(self, first: Transaction, second: Transaction, why: str) -> None:
        if first is not second:
            self._add((first, "c"), (second, "s"), why)

    def _add(self, before: Moment, after: Moment, why: str) -> None:
        self._edges.setdefault(before, []).append((after, why))

    def _components(self) -> list[set[Moment]]:
        """Return the strongly connected parts of several moments (Tarjan, without recursion)."""
        numbers: dict[Moment, int] = {}
        lows: dict[Moment, int] = {}
        path: list[Moment] = []
        on_path: set[Moment] = set()
        found: list[set[Moment]] = []
        for root in list(self._edges):
            if root in numbers:
                continue
            numbers[root] = lows[root] = len(numbers)
            path.append(root)
            on_path.add(root)
            stack = [(root, iter(self._edges[root]))]
            while stack:
                moment, edges = stack[-1]
                for following, _ in edges:
                    if following not in numbers:
                        numbers[following] = lows[following] = len(numbers)
                        path.append(following)
                        on_path.add(following)
                        stack.append((following, iter(self._edges.get(following, ()))))
                        break
                    if following in on_path:
                        lows[moment] = min(lows[moment], numbers[following])
                else:
                    stack.pop()
                    if stack:
                        above = stack[-1][0]
                        lows[above] = min(lows[above], lows[moment])
                    if lows[moment] == numbers[moment]:
                        start = path.index(moment) if path[-1] != moment else len(path) - 1
                        part = set(path[start:])
                        del path[start:]
                        on_path -= part
                        if len(part) > 1:
                            found.append(part)
        return found

    def _cycle_in(self, part: set[Moment]) -> list[tuple[Moment, str]]:
        """Return (moment, how the next one follows) of a shortest cycle through one moment of a part."""
        root = next(iter(part))
        came: dict[Moment, tuple[Moment, str]] = {}
        waiting = deque([root])
        while root not in came:
            moment = waiting.popleft()
            for following, why in self._edges.get(moment, ()):
                if following in part and following not in came:
                    came[following] = (moment, why)
                    waiting.append(following)
        cycle = [came[root]]
        while cycle[-1][0] != root:
            cycle.append(came[cycle[-1][0]])
        return cycle[::-1]

    def _describe(self, cycle: list[tuple[Moment, str]]) -> Anomaly:
        whys = [why for _, why in cycle if why]
        if "rt" in whys:
            name = "real-time"
        elif "rw" in whys:
            name = "G-single" if whys.count("rw") == 1 else "G-SI"
        else:
            name = "G1c" if "wr" in whys else "G0"
        words = [
            f"{moment[0]}.{moment[1]}" if isinstance(moment, tuple) else "time"
            for moment, _ in cycle
        ]
        shown = " -> ".join(
            f"{word} {why}".rstrip() for word, (_, why) in zip(words, cycle, strict=True)
        )
        return Anomaly(name, shown)
