"""The random numbers of the running session: what random(), random_normal() and setseed() share."""

from __future__ import annotations

from random import Random

# Every session seeds it anew: processes that were forked from one would all tell the same numbers.
session_random = Random()
