import threading

import pytest

from dsql.errors import SqlError
from dsql.session.cancellation import Cancellation


def test_what_is_held_is_done_to_its_end_and_cancelled_then():
    cancellation = Cancellation()
    done = []

    def send():
        cancellation.request()
        done.append("all of it")

    cancellation.enter(0)
    with pytest.raises(SqlError, match="user request"):
        cancellation.hold(send)
    assert done == ["all of it"]
    cancellation.check()


def test_outside_a_program_what_is_held_only_notes_a_request():
    cancellation = Cancellation()
    cancellation.hold(cancellation.request)
    assert cancellation.requested


def test_only_the_programs_thread_is_interrupted():
    cancellation = Cancellation()
    cancellation.enter(0)
    other = threading.Thread(target=cancellation.request)
    other.start()
    other.join()
    assert cancellation.requested
