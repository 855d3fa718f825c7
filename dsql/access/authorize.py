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

    `relied_on` are the roles whose rows it took: those by whose memberships `role` met them, if its own
    rights do not suffice, and the role itself where nothing has to be taken from it before it can be
    dropped, because everybody may. A writing transaction must not commit after one of them has changed.
    """

    __slots__ = ("relied_on", "role", "subject")

    def __init__(self, subject: Subject, role: int, relied_on: frozenset[int]) -> None:
        self.subject = subject
        self.role = role
        self.relied_on = relied_on


def authorize(
    subject: Subject, requirements: Iterable[Requirement], authority: Authority
) -> Authorized[Subject]:
    """Return a statement as one that may run.

    Raises SqlError 42501 for the first requirement that is not met, and what listing them raises: names are
    looked up on the way, so that the first fault is reported as PostgreSQL would.
    """
    relied_on: set[int] = set()
    everybody, open_to_all = authority.of_everybody(), []
    for requirement in requirements:
        check(requirement, authority)
        relied_on.update(_relied_on(requirement, authority))
        open_to_all.append(requirement.is_met(everybody))
    if open_to_all and all(open_to_all):
        relied_on.add(authority.role)
    return Authorized(subject, authority.role, frozenset(relied_on))


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
