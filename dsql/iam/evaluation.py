"""Deciding a request by policies: one Deny beats every Allow, and what nobody allows is not allowed.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html. Within an
account an Allow of either side is enough; a principal of another account needs one of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from dsql.iam.condition import substitute
from dsql.iam.document import Names, Policy, Statement
from dsql.iam.request import AccessRequest, Decision, account_of, mapped_identity, matches

_ALLOWED = Decision(True)
# What narrows an Allow to principals that somebody chose; without any of it, it is everybody's.
_NARROWING = frozenset(
    {
        *("aws:sourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:sourcearn", "aws:sourceaccount"),
        *("aws:principalarn", "aws:principalaccount", "aws:principalorgid", "aws:userid"),
    }
)


def decide(request: AccessRequest, identity: Iterable[Policy], resource: Policy | None) -> Decision:
    """Decide by the principal's own policies and the resource's, if it has one."""
    own = list(_covering(chain.from_iterable(policy.statements for policy in identity), request))
    others = list(_covering(resource.statements if resource is not None else (), request))
    for kind, found in (("identity", own), ("resource", others)):
        if any(not statement.allows for statement in found):
            return Decision(False, f"with an explicit deny in {_article(kind)}-based policy")
    granted = [statement for statement in others if _names_itself(statement, request)]
    foreign = account_of(request.resource) not in ("", account_of(request.principal))
    if (own and granted) if foreign else (own or granted):
        return _ALLOWED
    missing = "resource" if foreign and own else "identity"
    return Decision(False, f"because no {missing}-based policy allows the {request.action} action")


def is_public(policy: Policy) -> bool:
    """Return whether a resource policy allows something to everybody."""
    return any(
        statement.allows
        and statement.principals is not None
        and ("*" in statement.principals.patterns or statement.principals.excluded)
        and not any(condition.key in _NARROWING for condition in statement.conditions)
        for statement in policy.statements
    )


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _covering(statements: Iterable[Statement], request: AccessRequest) -> Iterator[Statement]:
    """Yield the statements that speak about a request."""
    context = dict(request.context)
    context.setdefault("aws:principalarn", (request.principal,))
    context.setdefault("aws:username", (request.principal.rpartition("/")[2],))
    for statement in statements:
        names = statement.resources
        resources = Names(tuple(substitute(p, context) for p in names.patterns), names.excluded)
        if (
            (statement.principals is None or _concerns(statement.principals, request))
            and _covers(statement.actions, request.action.lower())
            and _covers(resources, request.resource)
            and all(condition.holds(context) for condition in statement.conditions)
        ):
            yield statement


def _covers(names: Names, value: str) -> bool:
    return any(matches(pattern, value) for pattern in names.patterns) != names.excluded


def _concerns(names: Names, request: AccessRequest) -> bool:
    return any(word in names.patterns for word in ("*", *_known_as(request))) != names.excluded


def _known_as(request: AccessRequest) -> tuple[str, ...]:
    account = account_of(request.principal)
    return (
        request.principal,
        mapped_identity(request.principal),
        f"arn:aws:iam::{account}:root",
    )


def _names_itself(statement: Statement, request: AccessRequest) -> bool:
    """Return whether an Allow is the principal's; to its account it only leaves the decision to it."""
    names = statement.principals
    assert names is not None, "a resource policy says whom it speaks of"
    itself = {"*", request.principal, mapped_identity(request.principal)}
    return names.excluded or bool(itself.intersection(names.patterns))
