"""The random numbers of the running session: what random(), random_normal() and setseed() share."""

from __future__ import annotations

import array
import secrets
import sys
from contextvars import ContextVar
from random import Random

_generator: ContextVar[SessionRandom] = ContextVar("_generator")
_VERSION = 3  # of what Random.getstate returns


class SessionRandom(Random):
    """`seeded`: by the session, which expects certain numbers of it."""

    seeded = False


def session_random() -> SessionRandom:
    """Return the generator of the session that runs, a context of its own; seeded when first asked for.

    It takes 2.5 KB, which most sessions never need, and is never inherited from a process that forks.
    """
    generator = _generator.get(None)
    if generator is None:
        generator = SessionRandom(secrets.randbits(128))
        _generator.set(generator)
    return generator


def set_seed(seed: float) -> None:
    """Let the running session's numbers be those that follow from a seed."""
    generator = session_random()
    generator.seed(seed)
    generator.seeded = True


def seeded_state() -> tuple[bytes, float | None] | None:
    """Return the state of the running session's generator, None if any other one would do as well."""
    generator = _generator.get(None)
    if generator is None or not generator.seeded:
        return None
    _, numbers, half = generator.getstate()
    return _little_endian(array.array("I", numbers)).tobytes(), half


def take_up(numbers: bytes, half: float | None) -> None:
    """Go on from a state. Raises ValueError for one that no generator has."""
    generator = session_random()
    found = _little_endian(array.array("I", numbers))
    generator.setstate((_VERSION, tuple(found), half))
    generator.seeded = True


def _little_endian(numbers: array.array[int]) -> array.array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
