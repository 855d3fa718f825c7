"""What is asked of policies, what they answer, and how names in them are matched."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import NamedTuple

_ASSUMED_ROLE = re.compile(r"arn:(aws[^:]*):sts::(\d{12}):assumed-role/([^/]+)/.+")
_ACCOUNT = 4  # which of an ARN's parts it is

Context = Mapping[str, tuple[str, ...]]


class AccessRequest(NamedTuple):
    """Whether `principal` (an ARN) may do `action` (`dsql:DbConnect`) to `resource` (an ARN, or `*`).

    `context` has the condition keys' values by name in lower case (`aws:sourceip`), several for a list;
    a key that is not there has no value.
    """

    principal: str
    action: str
    resource: str
    context: Context = {}


class Decision(NamedTuple):
    """Whether it is allowed; if not, why, as AWS says it behind `on resource: ...`."""

    allowed: bool
    because: str = ""

    def message(self, request: AccessRequest) -> str:
        """Return AWS's text for a refusal."""
        return (
            f"User: {request.principal} is not authorized to perform: {request.action} "
            f"on resource: {request.resource} {self.because}"
        )


def request_context(
    tags: Mapping[str, str], address: str, now: float
) -> dict[str, tuple[str, ...]]:
    """Return the condition keys of every request: the resource's tags, where from and when it comes."""
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    context: dict[str, tuple[str, ...]] = {
        f"aws:resourcetag/{key.lower()}": (value,) for key, value in tags.items()
    }
    context |= {
        "aws:currenttime": (moment.isoformat(),),
        "aws:epochtime": (str(int(now)),),
        "aws:securetransport": ("true",),
    }
    return context | ({"aws:sourceip": (address,)} if address else {})


def mapped_identity(principal: str) -> str:
    """Return the ARN that `AWS IAM GRANT` maps: for a session of an assumed role, the role's own."""
    assumed = _ASSUMED_ROLE.fullmatch(principal)
    if assumed is None:
        return principal
    partition, account, role = assumed.groups()
    return f"arn:{partition}:iam::{account}:role/{role}"


def account_of(arn: str) -> str:
    """Return the account in an ARN, "" if there is none."""
    parts = arn.split(":")
    return parts[_ACCOUNT] if len(parts) > _ACCOUNT else ""


def matches(pattern: str, value: str) -> bool:
    """Match with `*` (any run of characters) and `?` (any one); nothing else is special.

    A policy may hold thousands of patterns, so that none is worth compiling.
    """
    first, *others = pattern.split("*")
    if not others:
        return _fits(first, value)
    *middle, last = others
    at, end = len(first), len(value) - len(last)
    if at > end or not _fits(first, value[:at]) or not _fits(last, value[end:]):
        return False
    for piece in middle:
        at = _behind(piece, value, at, end)
        if at < 0:
            return False
    return True


def _fits(piece: str, value: str) -> bool:
    """Return whether characters are those of a piece without stars."""
    if "?" not in piece:
        return piece == value
    return len(piece) == len(value) and all(
        wanted in ("?", found) for wanted, found in zip(piece, value, strict=True)
    )


def _behind(piece: str, value: str, at: int, end: int) -> int:
    """Return where a piece ends that is found first between two places, -1 if it is not there."""
    size = len(piece)
    sure = max(piece.split("?"), key=len)  # what has to be there in any case
    before = piece.index(sure)
    while True:
        found = value.find(sure, at + before, end)
        at = found - before
        if found < 0 or at + size > end:
            return -1
        if _fits(piece, value[at : at + size]):
            return at + size
        at += 1
