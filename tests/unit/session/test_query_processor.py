"""What a query processor does with its agent's orders, with work in the place of a tenant's."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from dsql.hub.hub import Hub
from dsql.rpc import packets
from dsql.session.control import (
    Assign,
    Ended,
    Full,
    Ready,
    Retire,
    RunJobs,
    Used,
    decode_from_query_processor,
    encode,
)
from dsql.session.lost_transactions import LostTransactions
from dsql.session.query_processor import QueryProcessor
from dsql.transaction.usage import Usage


@pytest.fixture(autouse=True)
def undisturbed() -> Iterator[None]:
    """Put the signals back that a query processor listens to."""
    numbers = (signal.SIGTERM, signal.SIGIO, signal.SIGPROF)
    before = [signal.getsignal(number) for number in numbers]
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


class Builder:
    """A tenant with one long job, which goes on after its process was told to end."""

    temporary_sizes: ClassVar[list[int]] = []

    def __init__(self, hub: Hub) -> None:
        self.usage = Usage(transactions=2)
        self.lost = LostTransactions()
        self.hub = hub
        self.processor: QueryProcessor
        self.built = 0

    def open(self) -> None:
        pass

    def run_jobs(self, number: int) -> bool:
        while not self.processor._retiring:
            self.hub.wait(self.hub.monotonic() + 0.001)
        for _ in range(10):
            self.hub.wait(self.hub.monotonic() + 0.001)
            self.built += 1
        return True

    def mourn(self, process_ids: tuple[int, ...]) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_process_that_is_told_to_end_finishes_its_job_first() -> None:
    builders: list[Builder] = []

    def open_tenant(*given: Any) -> Any:
        builders.append(Builder(next(each for each in given if isinstance(each, Hub))))
        builders[0].processor = processor
        return builders[0]

    ours, agents = packets.pair()
    with ours, agents:
        processor = QueryProcessor(ours, lambda *_: [], open_tenant)
        for order in (Assign("a" * 26, "postgres", ["a"], None), RunJobs(1), Retire()):
            packets.send(agents, encode(order))
        processor.run()
        assert builders[0].built == 10
        told: list[Any] = []
        while not (told and isinstance(told[-1], Used)):
            told.append(decode_from_query_processor(packets.receive(agents)[0]))
    told = [
        message for message in told if not isinstance(message, Full)
    ]  # as large as the tests are
    assert told[:-1] == [Ready([]), Ended(1, cut=False)]
    assert told[-1].usage.transactions == 2
    assert told[-1].usage.compute_microseconds > 0
    assert not builders[0].usage
