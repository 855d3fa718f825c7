"""What is asked of policies, what they answer, and how names in them are matched."""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

_ASSUMED_ROLE = re.compile(r"arn:(aws[^:]*):sts::(\d{12}):assumed-role/([^/]+)/.+")
_ACCOUNT = 4  # which of an ARN's parts it is
_PATTERNS_MAX = 1024

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
    """Match with `*` (any run of characters) and `?` (any one); nothing else is special."""
    if "*" not in pattern and "?" not in pattern:
        return pattern == value
    return _compile(pattern).fullmatch(value) is not None


@functools.lru_cache(_PATTERNS_MAX)
def _compile(pattern: str) -> re.Pattern[str]:
    """Join runs of stars, and take no step back behind a piece that was found: linear in the value."""
    pieces = [
        re.escape(piece).replace(r"\?", ".") for piece in re.sub(r"\*+", "*", pattern).split("*")
    ]
    first, *others = pieces
    if not others:
        return re.compile(first, re.DOTALL)
    middle = "".join(f"(?>.*?{piece})" for piece in others[:-1])
    return re.compile(f"{first}{middle}.*{others[-1]}", re.DOTALL)
