"""Client tokens: what was done under one is not done again, and answered as it was.

A token belongs to the operation and the parameters that it came with first. They are kept with the cluster,
the latest TOKENS_MAX of them, and the one that created it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from control_plane.failures import conflict
from dsql.control.resources import ClusterResource, TokenUse

TOKENS_MAX = 32
_TOKEN = "clientToken"


def earlier_answer(
    uses: Iterable[TokenUse], operation: str, given: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return what a request was answered before, None if it is new.

    Raises ServiceError if its token came with something else.
    """
    for use in uses:
        if use.token == given.get(_TOKEN) and use.operation == operation:
            if use.digest != _digest(given):
                text = "The client token was used before, with other parameters."
                raise conflict(text, str(use.answer.get("identifier", "")))
            return dict(use.answer)
    return None


def remember(
    resource: ClusterResource, operation: str, given: Mapping[str, Any], answer: Mapping[str, Any]
) -> None:
    """Keep with a cluster, which has to be saved then, what a request was answered."""
    token = given.get(_TOKEN)
    if token is not None:
        use = TokenUse(operation, token, _digest(given), dict(answer))
        first, latest = resource.tokens[:1], resource.tokens[1:]
        resource.tokens = [*first, *latest[-(TOKENS_MAX - 2) :], use]


def _digest(given: Mapping[str, Any]) -> str:
    parameters = {name: value for name, value in given.items() if name != _TOKEN}
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()
