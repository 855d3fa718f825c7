"""What the other sessions of the cluster do, and what ends it: asked of the agent.

    session --look_around--> LookAround --agent--> Report to each process ... Surveyed --> session

Sessions that look at the same time share one survey, and its result for a moment. So whatever clients do,
the agent is asked some fifty times a second at most, and of signals there are not many more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dsql.errors import SqlError
from dsql.session.activity import Activity, decode
from dsql.session.control import LookAround, Signal, ToAgent
from dsql.session.lost_transactions import LostTransaction
from dsql.session.lost_transactions import decode as decode_lost

_GOOD_SECONDS = 0.02
_SIGNAL_SECONDS = 0.01
_POLL_SECONDS = 0.001
_DEADLINE_SECONDS = 10.0  # a process that hangs has been ended by then

Pause = Callable[[float], None]


@dataclass(slots=True)
class _Survey:
    number: int
    begun_at: float
    activities: list[Activity] = field(default_factory=list)
    conflicts: list[LostTransaction] = field(default_factory=list)
    done: bool = False
    lost: bool = False


class Surveys:
    """Of one query processor. `tell` sends to the agent and raises OSError if there is none."""

    def __init__(self, tell: Callable[[ToAgent], None], monotonic: Callable[[], float]) -> None:
        self._tell = tell
        self._monotonic = monotonic
        self._last: _Survey | None = None
        self._number = 0
        self._signal_at = 0.0

    def look_around(self, pause: Pause) -> list[Activity]:
        """Return what the cluster's sessions do, the asking one too.

        Waits by `pause`. Raises SqlError 57P03 if there is nobody to ask.
        """
        return self._result(pause).activities

    def look_for_lost(self, pause: Pause) -> list[LostTransaction]:
        """Return which of the cluster's transactions have lost lately; otherwise as `look_around`."""
        return self._result(pause).conflicts

    def _result(self, pause: Pause) -> _Survey:
        survey = self._last
        if survey is None or (survey.done and self._age(survey) > _GOOD_SECONDS):
            survey = self._begin()
        while not survey.done:
            if survey.lost or self._age(survey) > _DEADLINE_SECONDS:
                raise _nobody()
            pause(_POLL_SECONDS)
        return survey

    def _age(self, survey: _Survey) -> float:
        return self._monotonic() - survey.begun_at

    def _begin(self) -> _Survey:
        self._number += 1
        self._last = survey = _Survey(self._number, self._monotonic())
        try:
            self._tell(LookAround(self._number))
        except OSError:
            self._last = None
            raise _nobody() from None
        return survey

    def heard(self, number: int, activities: Iterable[bytes], *, last: bool) -> None:
        """Take in a part of the answer. For signal handlers too."""
        survey = self._last
        if survey is not None and survey.number == number:
            for data in activities:
                if (activity := decode(data)) is not None:
                    survey.activities.append(activity)
                elif (lost := decode_lost(data)) is not None:
                    survey.conflicts.append(lost)
            survey.done = last

    def deserted(self) -> None:
        """The agent is gone, and with it the answer. For signal handlers too."""
        if self._last is not None and not self._last.done:
            self._last.lost, self._last = True, None

    def signal(self, process_id: int, pause: Pause, *, ends: bool) -> None:
        """Have a session of the cluster cancel what it runs, or end. Raises SqlError 57P03."""
        now = self._monotonic()
        self._signal_at = turn = max(now, self._signal_at) + _SIGNAL_SECONDS
        if turn - now > _SIGNAL_SECONDS:
            pause(turn - now)
        try:
            self._tell(Signal(process_id, ends))
        except OSError:
            raise _nobody() from None


def _nobody() -> SqlError:
    return SqlError("57P03", "the host's agent does not answer", hint="Try again in a moment.")
