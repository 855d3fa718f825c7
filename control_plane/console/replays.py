"""Sign-ins that were seen already: what was overheard opens nothing a second time. Pure."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from control_plane.failures import unauthenticated
from dsql.control.signed_requests import CLOCK_SKEW_SECONDS

SEEN_MAX = 10_000  # far more than can be signed in meanwhile, from some hundred addresses
_GOOD_SECONDS = 2 * CLOCK_SKEW_SECONDS  # a signature may be of a clock that is ahead


class Replays:
    """Remembers each signature for as long as it would be good."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, float] = (
            OrderedDict()
        )  # when it is forgotten, the oldest first

    def check(self, authorization: str | None, now: float) -> None:
        """Raises ServiceError if this header is none, or was shown before; `now` is monotonic."""
        if authorization is None:
            raise unauthenticated("MissingAuthenticationTokenException", "Sign in with a header.")
        while self._seen and next(iter(self._seen.values())) <= now:
            self._seen.popitem(last=False)
        digest = hashlib.sha256(authorization.encode()).digest()
        if digest in self._seen or len(self._seen) >= SEEN_MAX:
            raise unauthenticated("InvalidSignatureException", "The sign-in was used already.")
        self._seen[digest] = now + _GOOD_SECONDS
