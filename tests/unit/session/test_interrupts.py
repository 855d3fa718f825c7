from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from dsql.errors import ClientGoneError, FatalError, Interrupted, SqlError
from dsql.hub.waiter import Blocking
from dsql.session import interrupts as room
from dsql.session.interrupts import Interrupts


class Around:
    """Settings, transaction and client of a session, and its clock."""

    def __init__(self) -> None:
        self.statement_timeout_seconds = 0.0
        self.now = 100.0
        self.too_old: SqlError | None = None
        self.gone = False
        self.input_ended = False
        self.naps: list[float] = []

    def age_error(self) -> SqlError | None:
        return self.too_old

    def client_is_gone(self) -> bool:
        return self.gone

    def end_input(self) -> None:
        self.input_ended = True

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


@pytest.fixture
def around() -> Around:
    return Around()


@pytest.fixture
def interrupts(around: Around) -> Interrupts:
    made = Interrupts(around, around, Blocking(lambda: around.now, around.sleep))
    made.adopt()
    return made


def raised(act) -> Exception:
    with pytest.raises(Interrupted) as caught:
        act()
    return caught.value.error


def test_a_cancel_ends_a_statement_at_the_next_tick(interrupts: Interrupts) -> None:
    interrupts.resume()
    interrupts.cancel()
    error = raised(interrupts.tick)
    assert isinstance(error, SqlError)
    assert (error.sqlstate, error.message) == (
        "57014",
        "canceling statement due to user request",
    )


def test_a_cancel_between_two_statements_is_none(interrupts: Interrupts) -> None:
    interrupts.cancel()
    interrupts.resume()
    interrupts.check()


def test_nothing_that_catches_errors_catches_an_interrupt(interrupts: Interrupts) -> None:
    interrupts.resume()

    def statement() -> None:
        try:
            interrupts.cancel()
            interrupts.tick()
        except Exception:
            pytest.fail("it was taken for an error of the statement")

    raised(statement)


def test_what_is_held_is_not_cut_and_what_follows_is(interrupts: Interrupts) -> None:
    interrupts.resume()
    interrupts.hold()
    interrupts.cancel()
    assert str(raised(interrupts.resume)) == "canceling statement due to user request"


@pytest.mark.parametrize("line", range(3))
def test_a_cancel_at_any_line_of_becoming_interruptible_arrives(
    interrupts: Interrupts, line: int
) -> None:
    """As the signal handler does it: between reading what is pending and going on, or before."""
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., object] | None:
        nonlocal lines
        if frame.f_code.co_name != "resume":
            return None
        if event == "line" or (event == "return" and lines == line):
            if lines == line:
                interrupts.cancel()
                interrupts.tick(frame)
            lines += 1
        return trace

    def resume_and_go_on() -> None:
        former = sys.gettrace()
        sys.settrace(trace)
        try:
            interrupts.resume()
        finally:
            sys.settrace(former)
        interrupts.tick()

    interrupts.hold()
    assert isinstance(raised(resume_and_go_on), SqlError)
    assert lines > line


def test_a_cancel_during_the_commit_of_the_last_statement_came_too_late(
    interrupts: Interrupts,
) -> None:
    interrupts.resume()
    interrupts.hold()
    interrupts.cancel()
    interrupts.rest()
    interrupts.resume()


def frame_in(module: str, back: FrameType | None) -> FrameType:
    code = SimpleNamespace(co_name="read")
    made: Any = SimpleNamespace(f_globals={"__name__": module}, f_back=back, f_code=code)
    return made


def test_an_interrupt_waits_while_an_atomic_room_is_on_the_stack(interrupts: Interrupts) -> None:
    here = sys._getframe()
    inside, outside = frame_in("storage.board", here), frame_in("storages", None)
    interrupts.resume()
    interrupts.cancel()
    interrupts.tick(inside)
    raised(lambda: interrupts.tick(outside))


def test_all_atomic_rooms_exist() -> None:
    for name in room._ATOMIC:
        assert any((module + ".").startswith(name) for module in _modules()), name


def _modules() -> list[str]:
    from source_tree import modules

    return list(modules())


def test_another_thread_cannot_be_interrupted_but_notices(interrupts: Interrupts) -> None:
    interrupts.resume()
    other = threading.Thread(target=interrupts.cancel)
    other.start()
    other.join()
    raised(interrupts.check)


def test_what_a_destructor_has_swallowed_is_raised_again(interrupts: Interrupts) -> None:
    interrupts.resume()
    interrupts.cancel()
    raised(interrupts.tick)
    raised(interrupts.tick)


def test_a_destructor_is_not_interrupted(interrupts: Interrupts) -> None:
    class Held:
        def __del__(self) -> None:
            interrupts.cancel()
            interrupts.tick(sys._getframe())

    interrupts.resume()
    Held()
    raised(lambda: interrupts.tick(sys._getframe()))


def test_what_is_raised_again_on_the_way_arrives_once(interrupts: Interrupts) -> None:
    """Objects that go with a statement's frames may run code, in which a tick finds nothing handled."""

    class Held:
        def __del__(self) -> None:
            with suppress(Interrupted):
                interrupts.tick()

    def statement() -> None:
        interrupts.resume()
        _ = [Held(), interrupts.cancel(), interrupts.tick()]  # operands go at once, variables later

    try:
        statement()
    except Interrupted:
        interrupts.tick()
        interrupts.caught()
    interrupts.tick()
    interrupts.check()


def test_what_is_noted_again_on_the_way_does_not_hit_who_catches(interrupts: Interrupts) -> None:
    """A tick in a destructor only notes it; the next one may come when the `except` has been reached."""

    class Held:
        def __del__(self) -> None:
            interrupts.tick(sys._getframe())

    def statement() -> None:
        interrupts.resume()
        _ = [Held(), interrupts.cancel(), interrupts.tick()]  # operands go at once, variables later

    try:
        statement()
    except Interrupted:
        interrupts.tick(sys._getframe())
        interrupts.caught()
    interrupts.tick()
    interrupts.check()


def test_what_is_on_its_way_is_not_raised_again(interrupts: Interrupts) -> None:
    def statement() -> None:
        try:
            interrupts.resume()
            interrupts.cancel()
            interrupts.tick()
        finally:
            interrupts.tick()

    raised(statement)
    interrupts.caught()
    interrupts.tick()


def test_a_statement_has_its_timeout_from_its_first_message_on(
    around: Around, interrupts: Interrupts
) -> None:
    around.statement_timeout_seconds = 1.0
    interrupts.resume()
    interrupts.begin_statement()
    around.now += 0.7
    interrupts.begin_statement()
    interrupts.tick()
    around.now += 0.4
    error = raised(interrupts.tick)
    assert str(error) == "canceling statement due to statement timeout"


def test_the_next_statement_has_its_own_timeout(around: Around, interrupts: Interrupts) -> None:
    around.statement_timeout_seconds = 1.0
    interrupts.resume()
    interrupts.begin_statement()
    around.now += 0.7
    interrupts.end_statement()
    interrupts.begin_statement()
    around.now += 0.7
    interrupts.tick()


def test_what_comes_after_a_timeout_has_its_own(around: Around, interrupts: Interrupts) -> None:
    around.statement_timeout_seconds = 1.0
    for _ in range(2):
        interrupts.resume()
        interrupts.begin_statement()
        around.now += 1.1
        raised(interrupts.tick)
        interrupts.caught()


def test_time_runs_on_behind_a_statement_for_its_replays(
    around: Around, interrupts: Interrupts
) -> None:
    around.statement_timeout_seconds = 1.0
    interrupts.resume()
    interrupts.begin_statement()
    interrupts.end_statement()
    interrupts.hold()
    around.now += 1.1
    interrupts.tick()
    interrupts.resume()
    raised(interrupts.tick)


def test_no_time_runs_while_it_is_the_clients_turn(around: Around, interrupts: Interrupts) -> None:
    around.statement_timeout_seconds = 1.0
    interrupts.resume()
    interrupts.begin_statement()
    interrupts.stop_clock()
    interrupts.rest()
    around.now += 5
    interrupts.tick()
    interrupts.attend()
    interrupts.resume()


def test_a_vanished_client_and_an_old_transaction_are_noticed(
    around: Around, interrupts: Interrupts
) -> None:
    interrupts.resume()
    around.too_old = SqlError("54000", "old")
    assert raised(interrupts.tick) is around.too_old
    interrupts.caught()
    interrupts.resume()
    around.gone = True
    around.now += 0.1
    assert isinstance(raised(interrupts.attend), ClientGoneError)


def test_the_client_is_looked_at_now_and_then(around: Around, interrupts: Interrupts) -> None:
    interrupts.resume()
    interrupts.tick()
    around.gone = True
    interrupts.tick()
    around.now += 0.05
    raised(interrupts.tick)


def test_termination_beats_a_cancel_and_outlasts_the_statement(
    around: Around, interrupts: Interrupts
) -> None:
    interrupts.resume()
    interrupts.hold()
    interrupts.cancel()
    interrupts.terminate()
    interrupts.rest()
    assert around.input_ended
    error = raised(interrupts.check)
    assert isinstance(error, FatalError)
    assert (error.sqlstate, error.message) == (
        "57P01",
        "terminating connection due to administrator command",
    )


def test_who_sleeps_wakes_up_for_what_is_due(around: Around, interrupts: Interrupts) -> None:
    around.statement_timeout_seconds = 0.1
    interrupts.resume()
    interrupts.begin_statement()
    raised(lambda: interrupts.pause(60))
    assert max(around.naps) <= 0.05
    assert around.now < 100.2


def test_a_pause_takes_as_long_as_it_should(around: Around, interrupts: Interrupts) -> None:
    interrupts.pause(1.0)
    assert around.now == pytest.approx(101.0)
