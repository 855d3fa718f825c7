"""The one step that every statement passes before it runs, on whatever road it came.

What runs takes an `Authorized` value, and nobody but `authorize` makes one
(tests/architecture/test_authorization.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from dsql.access.authority import Authority
from dsql.access.requirements import Holding, RelationUse, Requirement

Subject = TypeVar("Subject")


class Authorized(Generic[Subject]):
    """Something that may run: a statement whose requirements a role was found to meet.

    `relied_on` are the roles by whose memberships it met them, none if its own rights suffice: a writing
    transaction must not commit after one of them has changed.
    """

    __slots__ = ("relied_on", "subject")

    def __init__(self, subject: Subject, relied_on: frozenset[int]) -> None:
        self.subject = subject
        self.relied_on = relied_on


def authorize(
    subject: Subject, requirements: Iterable[Requirement], authority: Authority
) -> Authorized[Subject]:
    """Return a statement as one that may run.

    Raises SqlError 42501 for the first requirement that is not met, and what listing them raises: names are
    looked up on the way, so that the first fault is reported as PostgreSQL would.
    """
    relied_on: set[int] = set()
    for requirement in requirements:
        check(requirement, authority)
        relied_on.update(_relied_on(requirement, authority))
    return Authorized(subject, frozenset(relied_on))


def _relied_on(requirement: Requirement, authority: Authority) -> tuple[int, ...]:
    """Return the roles whose memberships it takes to meet a requirement that is met."""
    by_other = isinstance(requirement, Holding | RelationUse) and requirement.as_role
    holder = authority.of(by_other) if by_other else authority
    if not holder.relied_on or requirement.is_met(authority.alone()):
        return ()
    return holder.relied_on


def check(requirement: Requirement, authority: Authority) -> None:
    """Raise SqlError 42501 if a requirement is not met: for what is needed to look a name up."""
    if not requirement.is_met(authority):
        raise requirement.error()
