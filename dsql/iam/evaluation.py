"""Deciding a request by policies: one Deny beats every Allow, and what nobody allows is not allowed.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html. Within an
account an Allow of either side is enough; a principal of another account needs one of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from dsql.iam.document import Names, Policy, Statement
from dsql.iam.patterns import Context, has_variables, has_wildcards, matches, substitute
from dsql.iam.request import (
    AccessRequest,
    Decision,
    account_of,
    mapped_identity,
    principal_context,
)

_ALLOWED = Decision(True)
# What narrows an Allow to principals that somebody chose; without any of it, it is everybody's.
_NARROWING = frozenset(
    {
        *("aws:sourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:sourcearn", "aws:sourceaccount"),
        *("aws:principalarn", "aws:principalaccount", "aws:principalorgid", "aws:userid"),
    }
)
_IDENTITY, _SESSION, _RESOURCE = "identity-based", "session", "resource-based"
_WIDEST = ("0.0.0.0/0", "::/0")


class Grants(NamedTuple):
    """What a principal brings: its own policies, and the one that narrows its session, if any."""

    own: tuple[Policy, ...] = ()
    session: Policy | None = None


class _Found(NamedTuple):
    """The statements of one policy, or of several, that speak about a request."""

    statements: tuple[Statement, ...]

    @property
    def denied(self) -> bool:
        return any(not statement.allows for statement in self.statements)

    @property
    def allowed(self) -> bool:
        return any(statement.allows for statement in self.statements)


def decide(request: AccessRequest, grants: Grants, resource: Policy | None) -> Decision:
    """Decide by what the principal brings and by the resource's policy, if it has one."""
    own, session, others = _find(request, grants, resource)
    for kind, found in ((_IDENTITY, own), (_SESSION, session), (_RESOURCE, others)):
        if found is not None and found.denied:
            return Decision(False, f"with an explicit deny in {_article(kind)}")
    narrow = session is None or session.allowed
    granted = _granted(request, others, narrow=narrow)
    foreign = account_of(request.resource) not in ("", account_of(request.principal))
    entitled = own.allowed and narrow
    if (entitled and granted) if foreign else (entitled or granted):
        return _ALLOWED
    missing = _RESOURCE if foreign and entitled else _IDENTITY if narrow else _SESSION
    return _lacking(request, missing)


def decide_trust(request: AccessRequest, grants: Grants, trust: Policy) -> Decision:
    """Decide who may assume a role: its trust policy has to allow it.

    Where that leaves it to an account, or to another account's principal, the principal's policies have to
    as well.
    """
    own, session, others = _find(request, grants, trust)
    if others.denied or own.denied or (session is not None and session.denied):
        return Decision(False, "with an explicit deny")
    narrow = session is None or session.allowed
    foreign = account_of(request.resource) != account_of(request.principal)
    trusted = _granted(request, others, narrow=narrow) and not foreign
    if others.allowed and (trusted or (own.allowed and narrow)):
        return _ALLOWED
    return _lacking(request, _IDENTITY if others.allowed else _RESOURCE)


def is_public(policy: Policy) -> bool:
    """Return whether a resource policy allows something to everybody."""
    return any(
        statement.allows
        and statement.principals is not None
        and ("*" in statement.principals.patterns or statement.principals.excluded)
        and not _is_narrowed(statement)
        for statement in policy.statements
    )


def _is_narrowed(statement: Statement) -> bool:
    return any(
        condition.key in _NARROWING
        and condition.is_selective
        and not any(_is_anything(value) for value in condition.values)
        for condition in statement.conditions
    )


def _is_anything(value: str) -> bool:
    """Return whether a condition's value may be fulfilled by principals of every account."""
    if has_variables(value) or value in _WIDEST:
        return True
    account = account_of(value)
    return has_wildcards(value) and (not account or has_wildcards(account))


def _find(
    request: AccessRequest, grants: Grants, resource: Policy | None
) -> tuple[_Found, _Found | None, _Found]:
    context = {**request.context, **principal_context(request.principal)}

    def found(policies: Iterable[Policy]) -> _Found:
        statements = chain.from_iterable(policy.statements for policy in policies)
        return _Found(tuple(_covering(statements, request, context)))

    session = None if grants.session is None else found((grants.session,))
    return found(grants.own), session, found(() if resource is None else (resource,))


def _covering(
    statements: Iterable[Statement], request: AccessRequest, context: Context
) -> Iterator[Statement]:
    """Yield the statements that speak about a request."""
    action = request.action.lower()
    for statement in statements:
        allows = statement.allows
        if (
            (statement.principals is None or _concerns(statement.principals, request))
            and _covers(statement.actions, action)
            and _reaches(statement.resources, request.resource, context, allows=allows)
            and all(one.holds(context, allows=allows) for one in statement.conditions)
        ):
            yield statement


def _covers(names: Names, value: str) -> bool:
    return any(matches(pattern, value) for pattern in names.patterns) != names.excluded


def _reaches(names: Names, resource: str, context: Context, *, allows: bool) -> bool:
    """Return whether resources are meant; of what nobody can say, nothing is allowed."""
    patterns = [substitute(pattern, context) for pattern in names.patterns]
    if allows and names.excluded and None in patterns:
        return False
    known = tuple(pattern for pattern in patterns if pattern is not None)
    return _covers(Names(known, names.excluded), resource)


def _concerns(names: Names, request: AccessRequest) -> bool:
    return any(word in names.patterns for word in ("*", *_known_as(request))) != names.excluded


def _known_as(request: AccessRequest) -> tuple[str, ...]:
    account = account_of(request.principal)
    return (
        request.principal,
        mapped_identity(request.principal),
        f"arn:aws:iam::{account}:root",
    )


def _granted(request: AccessRequest, found: _Found, *, narrow: bool) -> bool:
    """Return whether an Allow is the principal's; to its account it only leaves the decision to it.

    What is granted to a session by its own name its session's policy does not narrow (`narrow`: it allows).
    """
    for statement in found.statements:
        names = statement.principals
        assert names is not None, "a resource policy says whom it speaks of"
        named = set(names.patterns)
        if names.excluded or "*" in named or mapped_identity(request.principal) in named:
            if narrow:
                return True
        elif request.principal in named:
            return True
    return False


def _lacking(request: AccessRequest, kind: str) -> Decision:
    return Decision(False, f"because no {kind} policy allows the {request.action} action")


def _article(kind: str) -> str:
    return f"an {kind} policy" if kind[0] in "aeiou" else f"a {kind} policy"
