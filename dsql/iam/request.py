"""What is asked of policies, and what they answer."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import re
from collections.abc import Mapping
from typing import NamedTuple

from dsql.iam.patterns import Context

_ASSUMED_ROLE = re.compile(r"arn:(aws[^:]*):sts::(\d{12}):assumed-role/([^/]+)/.+")
_MAPPED = "::ffff:"  # what an IPv4 address begins with among those of IPv6
_KNOWN_MAX = 4_096
_ACCOUNT = 4  # which of an ARN's parts it is


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
    context = tag_values("aws:resourcetag", tags)
    context |= {
        "aws:currenttime": (moment.isoformat(),),
        "aws:epochtime": (str(int(now)),),
        "aws:securetransport": ("true",),
    }
    return context | ({"aws:sourceip": (_plain(address),)} if address else {})


def tag_values(prefix: str, tags: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the condition keys `PREFIX/KEY` of tags.

    Condition keys do not differ in their case, and tags do: what differs in that alone is several values.
    """
    found: dict[str, tuple[str, ...]] = {}
    for key, value in tags.items():
        name = f"{prefix}/{key.lower()}"
        found[name] = (*found.get(name, ()), value)
    return found


def principal_context(principal: str) -> dict[str, tuple[str, ...]]:
    """Return the condition keys of who asks. A session's role is the principal; it has no user's name."""
    role = mapped_identity(principal)
    context: dict[str, tuple[str, ...]] = {
        "aws:principalarn": (role,),
        "aws:principalaccount": (account_of(principal),),
        "aws:principaltype": ("User" if role == principal else "AssumedRole",),
    }
    if role == principal:
        context["aws:username"] = (principal.rpartition("/")[2],)
    return context


@functools.lru_cache(_KNOWN_MAX)
def mapped_identity(principal: str) -> str:
    """Return the ARN that `AWS IAM GRANT` maps: for a session of an assumed role, the role's own."""
    assumed = _ASSUMED_ROLE.fullmatch(principal)
    if assumed is None:
        return principal
    partition, account, role = assumed.groups()
    return f"arn:{partition}:iam::{account}:role/{role}"


def _plain(address: str) -> str:
    """Return an IPv4 address as one, also where a socket for both kinds has taken the connection."""
    if not address.lower().startswith(_MAPPED):
        return address
    mapped = ipaddress.IPv6Address(address).ipv4_mapped
    return address if mapped is None else str(mapped)


def account_of(arn: str) -> str:
    """Return the account in an ARN, "" if there is none."""
    parts = arn.split(":")
    return parts[_ACCOUNT] if len(parts) > _ACCOUNT else ""
