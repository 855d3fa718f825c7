"""Choosing among candidates: steps 3 and 4 of chapter 10.2 and 10.3 of the PostgreSQL manual.

Works on argument type lists only, so that functions and operators share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsql.types import oids, registry

Candidate = tuple[int, ...]


def best(
    actual: Sequence[int],
    offered: list[Candidate],
    fits: Callable[[Sequence[int], Candidate], bool],
) -> list[int]:
    """Return the indexes of the candidates that remain: one if there is a winner.

    All of `offered` must accept `actual` by implicit casts. `fits` tells whether argument types are
    acceptable to a candidate.
    """
    remaining = list(range(len(offered)))
    if len(remaining) < 2:
        return remaining
    known = [at for at, oid in enumerate(actual) if oid != oids.UNKNOWN]
    for score in (_exact, _exact_or_preferred):
        remaining = _most(remaining, [score(actual, candidate, known) for candidate in offered])
        if len(remaining) == 1:
            return remaining
    if len(known) == len(actual):
        return remaining
    remaining = _by_category(actual, offered, remaining)
    if len(remaining) == 1 or not known:
        return remaining
    return _like_the_known(actual, offered, remaining, known, fits)


def _most(indexes: list[int], scores: list[int]) -> list[int]:
    top = max(scores[index] for index in indexes)
    return [index for index in indexes if scores[index] == top]


def _exact(actual: Sequence[int], candidate: Candidate, known: list[int]) -> int:
    return sum(candidate[at] == actual[at] for at in known)


def _exact_or_preferred(actual: Sequence[int], candidate: Candidate, known: list[int]) -> int:
    return sum(
        candidate[at] == actual[at]
        or _is_preferred(registry.get(actual[at]).category, candidate[at])
        for at in known
    )


def _is_preferred(category: str, oid: int) -> bool:
    known = registry.get(oid)
    return known.preferred and known.category == category


def _by_category(
    actual: Sequence[int], offered: list[Candidate], remaining: list[int]
) -> list[int]:
    """Give each unknown argument a category (string if any candidate takes one) and filter by it."""
    wanted: dict[int, tuple[str, bool]] = {}
    for at, oid in enumerate(actual):
        if oid != oids.UNKNOWN:
            continue
        found = [registry.get(offered[index][at]) for index in remaining]
        categories = {known.category for known in found}
        if "S" in categories:
            category = "S"
        elif len(categories) == 1:
            category = categories.pop()
        else:
            return remaining
        wanted[at] = category, any(k.preferred and k.category == category for k in found)
    kept = [index for index in remaining if _suits(offered[index], wanted)]
    return kept or remaining


def _suits(candidate: Candidate, wanted: dict[int, tuple[str, bool]]) -> bool:
    for at, (category, needs_preferred) in wanted.items():
        known = registry.get(candidate[at])
        if known.category != category or (needs_preferred and not known.preferred):
            return False
    return True


def _like_the_known(
    actual: Sequence[int],
    offered: list[Candidate],
    remaining: list[int],
    known: list[int],
    fits: Callable[[Sequence[int], Candidate], bool],
) -> list[int]:
    """If all known arguments have one type, take the unknown ones to have it too."""
    kinds = {actual[at] for at in known}
    if len(kinds) != 1:
        return remaining
    assumed = [kinds.copy().pop()] * len(actual)
    kept = [index for index in remaining if fits(assumed, offered[index])]
    return kept if len(kept) == 1 else remaining
