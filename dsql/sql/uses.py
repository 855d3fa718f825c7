"""What a statement does with the relations it names, gathered while it is bound: what rights it takes.

The rules are PostgreSQL's: a column counts as read where its name is resolved, even if it is never
computed; a relation that only counts rows needs one readable column; the result of a WITH query that nobody
refers to is not computed, and needs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dsql.access.privileges import RELATION_KINDS, Privilege, permission_denied
from dsql.access.requirements import Refusal, RelationUse, Requirement
from dsql.catalog.schema import Table
from dsql.catalog.virtual import VirtualTable
from dsql.sql.bound_query import Cte, Query

_SELECT, _UPDATE = (
    Privilege.SELECT.value,
    Privilege.UPDATE.value,
)  # flags of an enum are slow to join


@dataclass(slots=True, eq=False)
class Use:
    """The use of one range-table entry, `depth` queries deep, `inside` these WITH queries.

    `view` is the OID of the view that asks for it, 0: the statement itself does. Of the system's relations
    only those are noted that nobody may read.
    """

    relation: Table | VirtualTable
    privileges: int
    depth: int = 0
    as_role: int = 0
    inside: tuple[Cte, ...] = ()
    view: int = 0
    selected: set[int] = field(default_factory=set)
    inserted: set[int] = field(default_factory=set)
    updated: set[int] = field(default_factory=set)
    _requirement: Requirement | None = None

    def read(self, number: int) -> None:
        """Note that a column is read."""
        self.privileges |= _SELECT
        self.selected.add(number)

    def update(self, number: int) -> None:
        """Note that a column is assigned."""
        self.privileges |= _UPDATE
        self.updated.add(number)

    @property
    def requirement(self) -> Requirement:
        """The use as a value, the same each time: it is asked for when all is bound."""
        if self._requirement is None:
            self._requirement = self._as_requirement()
        return self._requirement

    def _as_requirement(self) -> Requirement:
        if isinstance(self.relation, VirtualTable):
            return Refusal(
                permission_denied(RELATION_KINDS[self.relation.kind], self.relation.name)
            )
        return RelationUse(
            self.relation,
            self.privileges,
            frozenset(self.selected),
            frozenset(self.inserted),
            frozenset(self.updated),
            self.as_role,
        )

    def is_idle(self) -> bool:
        """Tell whether it is part of a WITH query that nobody refers to."""
        return any(
            isinstance(cte.statement, Query) and cte.references <= cte.recursive
            for cte in self.inside
        )


def requirements(uses: Iterable[Use]) -> tuple[Requirement, ...]:
    """Return what a statement needs, as PostgreSQL checks it: outer queries first, and views before all.

    PostgreSQL asks for views when it plans, so that no estimate tells of rows behind them.
    """
    ordered = sorted(uses, key=lambda use: (use.relation.kind != "v", use.depth))
    return tuple(use.requirement for use in ordered if use.privileges and not use.is_idle())
