from __future__ import annotations

import os

from greenlet import greenlet

from dsql.functions.session_random import session_random


def numbers(seed: float | None = None) -> list[float]:
    """What a session of its own is told."""
    told: list[float] = []

    def live() -> None:
        if seed is not None:
            session_random().seed(seed)
        told.extend(session_random().random() for _ in range(3))

    greenlet(live).switch()
    return told


def test_sessions_are_told_different_numbers() -> None:
    assert numbers() != numbers()


def test_a_seed_is_its_sessions_own() -> None:
    seeded = numbers(0.5)
    assert numbers() != seeded
    assert numbers(0.5) == seeded


def test_processes_that_were_forked_from_one_tell_different_numbers() -> None:
    told = []
    for _ in range(2):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, repr(numbers()).encode())
            os._exit(0)
        os.waitpid(child, 0)
        told.append(os.read(reading, 1_000))
        os.close(reading)
        os.close(writing)
    assert told[0] != told[1]
