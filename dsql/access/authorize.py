"""The one step that every statement passes before it runs, on whatever road it came.

What runs takes an `Authorized` value, and nobody but `authorize` makes one
(tests/architecture/test_authorization.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from dsql.access.authority import Authority
from dsql.access.requirements import Requirement

Subject = TypeVar("Subject")


class Authorized(Generic[Subject]):
    """Something that may run: a statement whose requirements a role was found to meet."""

    __slots__ = ("subject",)

    def __init__(self, subject: Subject) -> None:
        self.subject = subject


def authorize(
    subject: Subject, requirements: Iterable[Requirement], authority: Authority
) -> Authorized[Subject]:
    """Return a statement as one that may run.

    Raises SqlError 42501 for the first requirement that is not met, and what listing them raises: names are
    looked up on the way, so that the first fault is reported as PostgreSQL would.
    """
    for requirement in requirements:
        check(requirement, authority)
    return Authorized(subject)


def check(requirement: Requirement, authority: Authority) -> None:
    """Raise SqlError 42501 if a requirement is not met: for what is needed to look a name up."""
    if not requirement.is_met(authority):
        raise requirement.error()
