"""What a statement needs before it may run, as values. `dsql.access.authorize` is the one that checks them.

A statement lists its requirements in the order in which PostgreSQL would miss them. Most are made by the
functions at the end, from the catalog's values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from dsql.access.authority import Authority
from dsql.access.privileges import RELATION_KINDS, Kind, Privilege, must_own, permission_denied
from dsql.catalog.schema import (
    FIRST_USER_OID,
    Acl,
    Database,
    Index,
    Role,
    Schema,
    SqlFunction,
    Table,
    is_temporary_schema,
)
from dsql.errors import SqlError
from dsql.functions.function import Function

NOBODY = 0  # no role's OID


class Requirement(Protocol):
    """One thing that a role must have."""

    def is_met(self, authority: Authority) -> bool:
        """Return whether a role has it."""
        ...

    def error(self) -> SqlError:
        """Return the error (42501) of a role that does not."""
        ...


@dataclass(frozen=True, slots=True)
class Ownership:
    """To be the owner of an object, or one of `others`: the owners of what it is in."""

    kind: Kind
    name: str
    owner_oid: int
    others: tuple[int, ...] = ()

    def is_met(self, authority: Authority) -> bool:
        """See `Requirement`."""
        return any(map(authority.owns, (self.owner_oid, *self.others)))

    def error(self) -> SqlError:
        """See `Requirement`."""
        return must_own(self.kind, self.name)


@dataclass(frozen=True, slots=True)
class Holding:
    """To hold a privilege on an object, one of them if it is a mask of several.

    `as_role` is who must hold it where that is not the statement's user.
    """

    kind: Kind
    name: str
    owner_oid: int
    acl: Acl | None
    privilege: int
    as_role: int = 0

    def is_met(self, authority: Authority) -> bool:
        """See `Requirement`."""
        holder = authority.of(self.as_role) if self.as_role else authority
        return bool(holder.masks(self.kind, self.owner_oid, self.acl)[0] & self.privilege)

    def error(self) -> SqlError:
        """See `Requirement`."""
        return permission_denied(self.kind, self.name)


class RelationUse(NamedTuple):
    """What a query does with one relation: with all of it, or with some of its columns.

    `privileges` is a mask of SELECT, INSERT, UPDATE and DELETE; of the columns, by number, each must be
    open to it, or the whole relation. Without any column, one will do: count(*), FOR UPDATE. Number 0 is
    the whole row; negative ones are system columns.
    """

    relation: Table
    privileges: int
    selected: frozenset[int] = frozenset()
    inserted: frozenset[int] = frozenset()
    updated: frozenset[int] = frozenset()
    as_role: int = 0

    def is_met(self, authority: Authority) -> bool:
        """See `Requirement`."""
        holder = authority.of(self.as_role) if self.as_role else authority
        relation = self.relation
        held = holder.masks(RELATION_KINDS[relation.kind], relation.owner_oid, relation.acl)[0]
        missing = self.privileges & ~held
        if not missing:
            return True
        if missing & Privilege.DELETE:
            return False
        by_column = (
            (Privilege.SELECT, self.selected),
            (Privilege.INSERT, self.inserted),
            (Privilege.UPDATE, self.updated),
        )
        return all(
            self._on_columns(holder, privilege, numbers)
            for privilege, numbers in by_column
            if privilege & missing
        )

    def _on_columns(self, holder: Authority, privilege: int, numbers: frozenset[int]) -> bool:
        relation = self.relation
        if not numbers:
            return holder.holds_on_any_column(relation, privilege)
        if 0 in numbers:
            every = frozenset(column.number for column in relation.live_columns)
            numbers = numbers - {0} | every
        return all(holder.holds_on_column(relation, number, privilege) for number in numbers)

    def error(self) -> SqlError:
        """See `Requirement`."""
        denied = permission_denied(RELATION_KINDS[self.relation.kind], self.relation.name)
        denied.is_at_start = self.relation.kind == "v"
        return denied


class CallUse(NamedTuple):
    """What a query does with a function that not everybody may call: that takes EXECUTE."""

    function: SqlFunction | Function

    def is_met(self, authority: Authority) -> bool:
        """See `Requirement`."""
        function = self.function
        held = authority.masks(Kind.FUNCTION, function.owner_oid, function.acl)[0]
        return bool(held & Privilege.EXECUTE)

    def error(self) -> SqlError:
        """See `Requirement`."""
        return permission_denied(Kind.FUNCTION, self.function.name)


@dataclass(frozen=True, slots=True)
class ColumnsHolding:
    """To hold a privilege on a relation, or on each of some columns of it."""

    relation: Table
    privilege: int
    columns: tuple[int, ...]

    def is_met(self, authority: Authority) -> bool:
        """See `Requirement`."""
        if authority.holds_on_relation(self.relation, self.privilege):
            return True
        return bool(self.columns) and all(
            authority.holds_on_column(self.relation, number, self.privilege)
            for number in self.columns
        )

    def error(self) -> SqlError:
        """See `Requirement`."""
        return permission_denied(RELATION_KINDS[self.relation.kind], self.relation.name)


@dataclass(frozen=True, slots=True)
class RoleMembership:
    """To be able to become a role, for who gives something away to it."""

    role: Role

    def is_met(self, authority: Authority) -> bool:
        """See `Requirement`."""
        return authority.may_set(self.role.oid)

    def error(self) -> SqlError:
        """See `Requirement`."""
        return SqlError("42501", f'must be able to SET ROLE "{self.role.name}"')


@dataclass(frozen=True, slots=True)
class Told:
    """A requirement that comes after notices, which the client gets before its error."""

    requirement: Requirement
    notices: Sequence[object]

    def is_met(self, authority: Authority) -> bool:
        """See `Requirement`."""
        return self.requirement.is_met(authority)

    def error(self) -> SqlError:
        """See `Requirement`."""
        error = self.requirement.error()
        error.notices = self.notices
        return error


@dataclass(frozen=True, slots=True)
class Refusal:
    """What nobody has: a right on the system's own objects, whose owner is nobody who logs in."""

    refusal: SqlError

    def is_met(self, authority: Authority) -> bool:
        """See `Requirement`."""
        del authority
        return False

    def error(self) -> SqlError:
        """See `Requirement`."""
        return self.refusal


@dataclass(frozen=True, slots=True)
class TemporaryCreation:
    """To be allowed to make temporary tables in the database."""

    database: Database

    def is_met(self, authority: Authority) -> bool:
        """See `Requirement`."""
        database = self.database
        held = authority.masks(Kind.DATABASE, database.owner_oid, database.acl)[0]
        return bool(held & Privilege.TEMPORARY)

    def error(self) -> SqlError:
        """See `Requirement`."""
        message = f'permission denied to create temporary tables in database "{self.database.name}"'
        return SqlError("42501", message)


def owner_of(relation: Table) -> Ownership:
    """Return the requirement of who changes a table, view or sequence."""
    return Ownership(RELATION_KINDS[relation.kind], relation.name, relation.owner_oid)


def owner_of_index(table: Table, index: Index) -> Ownership:
    """Return the requirement of who changes an index: it is its table's owner's."""
    return Ownership(Kind.INDEX, index.name, table.owner_oid)


def owner_of_schema(schema: Schema) -> Ownership:
    """Return the requirement of who changes a schema."""
    return Ownership(Kind.SCHEMA, schema.name, schema.owner_oid)


def privilege_on(relation: Table, privilege: int) -> Holding:
    """Return the requirement of a privilege on a whole relation, of one if `privilege` has several."""
    kind = RELATION_KINDS[relation.kind]
    return Holding(kind, relation.name, relation.owner_oid, relation.acl, privilege)


def usage_of(schema: Schema) -> Holding:
    """Return the requirement of who names something in a schema."""
    return Holding(Kind.SCHEMA, schema.name, schema.owner_oid, schema.acl, Privilege.USAGE)


def creation_in(schema: Schema, as_role: int = 0) -> Requirement:
    """Return the requirement of who makes something in a schema, or takes it over (`as_role`)."""
    own = is_temporary_schema(schema.name)
    if schema.oid < FIRST_USER_OID and schema.name != "public" and not own:
        return Refusal(permission_denied(Kind.SCHEMA, schema.name))
    return Holding(
        Kind.SCHEMA, schema.name, schema.owner_oid, schema.acl, Privilege.CREATE, as_role
    )


def schema_creation(database: Database) -> Holding:
    """Return the requirement of who makes a schema."""
    return Holding(Kind.DATABASE, database.name, database.owner_oid, database.acl, Privilege.CREATE)
