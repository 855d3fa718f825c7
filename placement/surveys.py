"""What the sessions of a cluster do, gathered for one of them. No I/O.

    query processor --LookAround--> agent --Report--> each of the cluster's
                                    agent <--Told---- each, in parts
    query processor <--Surveyed---- agent, as they come

The agent adds what sessions have said of themselves when they were parked, and keeps nothing: parts are
passed on as they are. A process asks one question at a time, so there are no more surveys than processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count, islice
from typing import NamedTuple

from dsql.session.control import TOLD_AT_ONCE
from placement.worker import Worker


class _Survey(NamedTuple):
    asker: Worker
    inquiry: int
    waiting: set[Worker]


class Surveys:
    """See the module."""

    def __init__(self) -> None:
        self._open: dict[int, _Survey] = {}
        self._numbers = count(1)

    def begin(
        self, asker: Worker, inquiry: int, workers: Iterable[Worker], parked: Iterable[bytes]
    ) -> None:
        """Ask all of a cluster's processes, the asker is one of them; `parked` is what others have left."""
        number = next(self._numbers)
        self._open[number] = survey = _Survey(asker, inquiry, set(workers))
        for part in _parts(parked):
            asker.survey(inquiry, part, last=False)
        for worker in list(survey.waiting):
            worker.report(number)

    def told(self, worker: Worker, number: int, activities: tuple[bytes, ...], last: bool) -> None:
        """Pass a part of an answer on."""
        survey = self._open.get(number)
        if survey is None:
            return
        if last:
            survey.waiting.discard(worker)
        survey.asker.survey(survey.inquiry, activities, last=not survey.waiting)
        if not survey.waiting:
            del self._open[number]

    def lost(self, worker: Worker) -> None:
        """A process is gone: it neither asks nor answers any more."""
        for number, survey in list(self._open.items()):
            if survey.asker is worker:
                del self._open[number]
            elif worker in survey.waiting:
                self.told(worker, number, (), last=True)


def _parts(activities: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
    rest = iter(activities)
    while part := tuple(islice(rest, TOLD_AT_ONCE)):
        yield part
