"""How long something takes that is quick as a rule, and slow when it has to wait for a disk."""

from __future__ import annotations


class Pace:
    """`seconds`: an estimate that falls quickly and rises slowly.

    A busy machine makes some waits longer, the wait for another thread among them; a slow disk makes all
    of them longer. So what was long is forgotten over a single short one, and believed after several.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Take in how long it took this time."""
        above = seconds - self.seconds
        self.seconds += above / 64 if above > 0 else above / 2
