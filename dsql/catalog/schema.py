"""Tables, columns, indexes, schemas, roles and what is granted, as immutable values.

A `Catalog` is what one snapshot sees. It is shared, never changed: DDL writes rows and the next snapshot
builds another one. Objects the server itself provides (pg_catalog, information_schema, sys) have OIDs
below `FIRST_USER_OID`, user objects above it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any, Self

import msgspec

from dsql.encoding.keyspace import is_local_id
from dsql.types import oids

FIRST_USER_OID = 16_384  # PostgreSQL's FirstNormalObjectId


PUBLIC = 0  # the grantee that means everybody
ADMIN_OID = 10  # owns the database and the system's objects; no superuser
# Who makes a role's creator its administrator: nobody who logs in, so nobody takes that back. Shown as
# ADMIN_OID, which is PostgreSQL's bootstrap superuser.
BOOTSTRAP_OID = 0


class AclItem(msgspec.Struct, frozen=True, array_like=True):
    """What `grantor` has granted to `grantee` (role OIDs; PUBLIC means everybody).

    `privileges` and `grantable` (those WITH GRANT OPTION) are masks of `dsql.access.privileges.Privilege`.
    OIDs, not names: a role that is renamed keeps its rights, a new one of an old name gets none.
    """

    grantee: int
    grantor: int
    privileges: int
    grantable: int = 0


Acl = tuple[AclItem, ...]


TEMPORARY_ALIAS = "pg_temp"  # by which every session names its own temporary schema
_TEMPORARY_NAMES = "pg_temp_"


def temporary_schema_name(number: int) -> str:
    """Return what the temporary schema of a session with this number is called."""
    return f"{_TEMPORARY_NAMES}{number}"


def is_temporary_schema(name: str) -> bool:
    """Return whether a schema's name is that of some session's temporary schema."""
    return name.startswith(_TEMPORARY_NAMES)


class OnCommit(enum.Enum):
    """What a commit leaves of a temporary table: all, the table without rows, nothing."""

    PRESERVE = "p"
    DELETE_ROWS = "d"
    DROP = "x"


class Identity(enum.Enum):
    """How a column that is GENERATED ... AS IDENTITY takes values."""

    NONE = ""
    ALWAYS = "a"
    BY_DEFAULT = "d"


class Use(msgspec.Struct, frozen=True, array_like=True):
    """What a stored query or expression reads: a column of a relation, number 0 for the relation itself.

    Of another kind of object `class_oid` is the catalog that has it: 1255, pg_proc.
    """

    oid: int
    column: int = 0
    class_oid: int = 1259


class Column(msgspec.Struct, frozen=True, array_like=True):
    """A column. `number` counts from 1 and is never reused; it is also the row value's slot + 1.

    `acl` here and below: None is the default of the kind of object (`dsql.access.privileges.Kind`).

    `default` is SQL text of an expression (binder: `bind_column_expression`), None if there is none; `uses`
    here and below is what such texts read. `domain` is the OID of a domain, or of its array type, over
    whose base type the column is, 0 for none: its values are checked, and are of the base type.
    `missing` is what a row has that is older than the column: as a
    row value holds it. `unproved`: NOT NULL holds for what is written, but not yet for all that is stored.
    """

    name: str
    number: int
    type_oid: int
    typmod: int = -1
    not_null: bool = False
    default: str | None = None
    identity: str = ""
    generated: bool = False  # default is the expression of GENERATED ALWAYS AS (...) STORED
    dropped: bool = False
    acl: Acl | None = None
    uses: tuple[Use, ...] = ()
    domain: int = 0
    missing: Any = None
    unproved: bool = False

    @property
    def is_present(self) -> bool:
        """Whether no stored row has NULL in it, by its own constraint."""
        return self.not_null and not self.unproved


# The columns that every table and sequence has by itself; views have none. Of their values only those
# of tableoid and xmin can be asked for, but each may be granted by itself.
SYSTEM_COLUMNS = (
    Column("tableoid", -6, oids.OID, not_null=True),
    Column("cmax", -5, oids.CID, not_null=True),
    Column("xmax", -4, oids.XID, not_null=True),
    Column("cmin", -3, oids.CID, not_null=True),
    Column("xmin", -2, oids.XID, not_null=True),
    Column("ctid", -1, oids.TID, not_null=True),
)
SYSTEM_COLUMN_NUMBERS = {column.name: column.number for column in SYSTEM_COLUMNS}


class IndexColumn(msgspec.Struct, frozen=True, array_like=True):
    """One key part of an index: a column number, or SQL text of an expression.

    `opclass` is the operator class that was named, if that is not the type's default one.
    """

    column_number: int  # 0 for an expression
    expression: str | None = None
    type_oid: int = 0
    descending: bool = False
    nulls_first: bool = False
    opclass: str = ""


class Index(msgspec.Struct, frozen=True, array_like=True):
    """A secondary index, or the primary key (`primary`: it is the table's own clustering order).

    A `valid` index may be read; one that is not valid yet is maintained by writers, and a unique one is
    enforced. `keyspace` is the id its entries live under, 0: its OID (see `keyspace_id`).
    """

    oid: int
    name: str
    columns: tuple[IndexColumn, ...]
    unique: bool = False
    primary: bool = False
    valid: bool = True
    nulls_not_distinct: bool = False
    include: tuple[int, ...] = ()  # column numbers
    predicate: str | None = None
    constraint: str | None = None  # name of the UNIQUE or PRIMARY KEY constraint it serves
    constraint_oid: int = 0
    keyspace: int = 0
    uses: tuple[Use, ...] = ()

    @property
    def keyspace_id(self) -> int:
        """The key prefix of its entries (pg_class.relfilenode)."""
        return self.keyspace or self.oid


class CheckConstraint(msgspec.Struct, frozen=True, array_like=True):
    """CHECK (expression), its SQL text without the outer parentheses."""

    oid: int
    name: str
    expression: str
    validated: bool = True
    uses: tuple[Use, ...] = ()


class ForeignKey(msgspec.Struct, frozen=True, array_like=True):
    """FOREIGN KEY (columns) REFERENCES a table (referenced), as pg_constraint keeps it.

    `columns` and `referenced` are column numbers, pairwise; `table_oid` is the referenced table and
    `index_oid` its key. `on_update`, `on_delete` and `match` are PostgreSQL's letters: a NO ACTION,
    r RESTRICT, c CASCADE, n SET NULL, d SET DEFAULT; s SIMPLE, f FULL. `delete_columns`: those that
    SET NULL or SET DEFAULT names, () is all.
    """

    oid: int
    name: str
    columns: tuple[int, ...]
    table_oid: int
    referenced: tuple[int, ...]
    index_oid: int
    on_update: str = "a"
    on_delete: str = "a"
    match: str = "s"
    delete_columns: tuple[int, ...] = ()
    deferrable: bool = False
    initially_deferred: bool = False
    validated: bool = True


class SequenceOptions(msgspec.Struct, frozen=True, array_like=True):
    """What a sequence counts: a row of pg_sequence, and the column that owns it (OWNED BY).

    `owner` is (table OID, column number), None for a sequence of its own; `is_identity`: the column is
    GENERATED ... AS IDENTITY, so that the sequence cannot be dropped or given away by itself.
    """

    type_oid: int
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    cycle: bool = False
    owner: tuple[int, int] | None = None
    is_identity: bool = False


class Statistics(msgspec.Struct, frozen=True, array_like=True):
    """Extended statistics on columns and expressions of a table: a row of pg_statistic_ext.

    `columns` are numbers, rising; `kinds` letters: d ndistinct, f dependencies, m mcv. It may be in another
    schema than its table.
    """

    oid: int
    name: str
    schema_oid: int
    owner_oid: int
    columns: tuple[int, ...] = ()
    expressions: tuple[str, ...] = ()
    kinds: str = ""
    target: int = -1
    uses: tuple[Use, ...] = ()


class PartComment(msgspec.Struct, frozen=True, array_like=True):
    """A comment on a part of a relation, of whatever kind: a row of pg_description."""

    class_oid: int
    oid: int
    column: int
    text: str


class Table(msgspec.Struct, frozen=True, array_like=True):
    """A table. Its rows live under `keyspace_id`, keyed by the primary key's columns.

    Without a primary key the key is a hidden 16-byte row id. `columns` holds dropped ones too, so that
    columns[n - 1].number == n. `keyspace` is 0 until the rows are replaced as a whole (TRUNCATE, a new
    primary key); `frozen` refuses writes while such a replacement runs. `system_acls` is what is granted on
    system columns, as (number, ACL).

    A temporary table is known to its session only, which has OIDs and keyspaces of its own for it.

    A view has its query in `view_definition`, what that reads in `uses`, and its WITH (...) options; a
    materialized view has rows besides. A sequence (its next value is not in the catalog) has `sequence`.
    """

    oid: int
    schema: str
    name: str
    owner_oid: int
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...] = ()
    checks: tuple[CheckConstraint, ...] = ()
    kind: str = "r"  # pg_class.relkind: r table, v view, m materialized view, S sequence
    view_definition: str | None = None
    comment: str | None = None
    acl: Acl | None = None
    row_type_oid: int = 0
    keyspace: int = 0
    frozen: bool = False
    system_acls: tuple[tuple[int, Acl], ...] = ()
    uses: tuple[Use, ...] = ()
    options: tuple[tuple[str, str], ...] = ()  # pg_class.reloptions
    sequence: SequenceOptions | None = None
    foreign_keys: tuple[ForeignKey, ...] = ()
    part_comments: tuple[PartComment, ...] = ()
    on_commit: OnCommit = OnCommit.PRESERVE
    statistics: tuple[Statistics, ...] = ()
    populated: bool = True  # False: a materialized view that has no rows to be read yet

    @property
    def has_rows(self) -> bool:
        """Whether it has rows of its own, and may have indexes on them: a table or a materialized view."""
        return self.kind in "rm"

    @property
    def is_temporary(self) -> bool:
        """Whether it belongs to one session."""
        return is_local_id(self.oid)

    @property
    def persistence(self) -> str:
        """pg_class.relpersistence: p permanent, t temporary."""
        return "t" if self.is_temporary else "p"

    @property
    def keyspace_id(self) -> int:
        """The key prefix of its rows (pg_class.relfilenode)."""
        return self.keyspace or self.oid

    @property
    def primary_key(self) -> Index | None:
        """The primary key's index, None for a table with hidden row ids."""
        return next((index for index in self.indexes if index.primary), None)

    @property
    def live_columns(self) -> tuple[Column, ...]:
        """The columns a user sees, in order."""
        return tuple(column for column in self.columns if not column.dropped)

    @property
    def system_columns(self) -> tuple[Column, ...]:
        """The columns that it has by itself, with what is granted on them."""
        if self.kind not in "rmS":
            return ()
        acls = dict(self.system_acls)
        return tuple(
            msgspec.structs.replace(column, acl=acls[column.number])
            if column.number in acls
            else column
            for column in SYSTEM_COLUMNS
        )

    def column_acl(self, number: int) -> Acl | None:
        """Return what is granted on a column, a system column included."""
        if number < 0:
            return dict(self.system_acls).get(number)
        return self.columns[number - 1].acl

    def with_columns(self, changed: Iterable[Column]) -> Self:
        """Return the table with other values of some of its columns, which keep their numbers."""
        columns = {column.number: column for column in (*self.columns, *changed)}
        system_acls = {**dict(self.system_acls), **{n: c.acl for n, c in columns.items() if n < 0}}
        return msgspec.structs.replace(
            self,
            columns=tuple(columns[column.number] for column in self.columns),
            system_acls=tuple((n, acl) for n, acl in sorted(system_acls.items()) if acl),
        )


class Schema(msgspec.Struct, frozen=True, array_like=True):
    """A namespace."""

    oid: int
    name: str
    owner_oid: int
    acl: Acl | None = None
    comment: str | None = None


class Database(msgspec.Struct, frozen=True, array_like=True):
    """The cluster's one database."""

    oid: int
    name: str
    owner_oid: int
    acl: Acl | None = None
    comment: str | None = None


class DefaultAcl(msgspec.Struct, frozen=True, array_like=True):
    """A row of pg_default_acl: what objects that `role` creates get. `schema_oid` 0: in whatever schema.

    `letter` is the kind: r tables and views, S sequences, f functions, T types, n schemas. An entry of all
    schemas replaces the kind's default, one of a schema adds to that.
    """

    oid: int
    role: int
    schema_oid: int
    letter: str
    acl: Acl


class Membership(msgspec.Struct, frozen=True, array_like=True):
    """A row of pg_auth_members as its member keeps it: GRANT role TO member, made by `grantor`.

    `admin`: the member may grant the role on; `inherit`: it has the role's privileges; `set`: it may
    SET ROLE to it.
    """

    role: int
    grantor: int
    admin: bool = False
    inherit: bool = True
    set: bool = True


class Role(msgspec.Struct, frozen=True, array_like=True):
    """A database role. `arns` are the IAM identities that AWS IAM GRANT mapped to it.

    `inherit` is what memberships granted to it from now on take for their INHERIT option. `settings`:
    (parameter, value) of ALTER ROLE ... SET, with which its sessions begin.
    """

    oid: int
    name: str
    login: bool = False
    inherit: bool = True
    arns: tuple[str, ...] = ()
    memberships: tuple[Membership, ...] = ()
    createrole: bool = False
    createdb: bool = False
    replication: bool = False
    bypassrls: bool = False
    settings: tuple[tuple[str, str], ...] = ()
    comment: str | None = None


class SqlParameter(msgspec.Struct, frozen=True, array_like=True):
    """A parameter of a function. `mode` is pg_proc's letter: i IN, o OUT, b INOUT, v VARIADIC, t TABLE.

    `default` is SQL text of an expression, None if there is none, `uses` what it names. `domain`: see
    `Column`.
    """

    name: str
    type_oid: int
    mode: str = "i"
    default: str | None = None
    uses: tuple[Use, ...] = ()
    domain: int = 0

    @property
    def is_input(self) -> bool:
        """Whether a call gives it."""
        return self.mode in "ibv"

    @property
    def is_output(self) -> bool:
        """Whether it is a column of the result."""
        return self.mode in "obt"


class SqlFunction(msgspec.Struct, frozen=True, array_like=True):
    """A function in LANGUAGE SQL: a row of pg_proc.

    `body` is a script of queries. `form` tells how it was written: "s" a string, whose names are looked up
    by each call's search path, "r" RETURN and "a" BEGIN ATOMIC, whose names mean what they did under
    `path`; `uses` is what it names. The letters of `volatility` (i, s, v) and `parallel` (s, r, u) are
    pg_proc's. `settings`: (parameter, value) of its SET clauses.
    """

    oid: int
    schema: str
    name: str
    owner_oid: int
    parameters: tuple[SqlParameter, ...]
    return_type: int
    body: str
    form: str = "s"
    path: tuple[str, ...] = ()
    returns_set: bool = False
    volatility: str = "v"
    strict: bool = False
    leakproof: bool = False
    security_definer: bool = False
    parallel: str = "u"
    cost: float = 100.0
    rows: float = 0.0
    settings: tuple[tuple[str, str], ...] = ()
    acl: Acl | None = None
    comment: str | None = None
    uses: tuple[Use, ...] = ()
    domain: int = 0  # of the result

    @property
    def inputs(self) -> tuple[SqlParameter, ...]:
        """What a call gives, in order."""
        return tuple(parameter for parameter in self.parameters if parameter.is_input)

    @property
    def outputs(self) -> tuple[SqlParameter, ...]:
        """The columns of the result where it has names for them."""
        return tuple(parameter for parameter in self.parameters if parameter.is_output)

    @property
    def argument_types(self) -> tuple[int, ...]:
        """What tells it from other functions of its name."""
        return tuple(parameter.type_oid for parameter in self.inputs)

    @property
    def variadic(self) -> bool:
        """Whether the last argument takes all that follow."""
        return any(parameter.mode == "v" for parameter in self.parameters)


class DomainCheck(msgspec.Struct, frozen=True, array_like=True):
    """CHECK (expression) of a domain; in the expression `VALUE` is what is checked."""

    oid: int
    name: str
    expression: str
    validated: bool = True
    uses: tuple[Use, ...] = ()


class EnumLabel(msgspec.Struct, frozen=True, array_like=True):
    """A row of pg_enum. `place` is what rows have for the label, and tells its order."""

    oid: int
    place: float
    name: str


class EnumType(msgspec.Struct, frozen=True, array_like=True):
    """An enum: a row of pg_type. `labels` are in order; `array_oid` is the OID of its array type."""

    oid: int
    schema: str
    name: str
    owner_oid: int
    labels: tuple[EnumLabel, ...] = ()
    array_oid: int = 0
    acl: Acl | None = None
    comment: str | None = None


class CompositeType(msgspec.Struct, frozen=True, array_like=True):
    """A type with named attributes: rows of pg_type and pg_class. `attributes` are as columns of tables.

    A row holds the attributes of a value by their numbers, so some may be added or dropped.
    """

    oid: int
    schema: str
    name: str
    owner_oid: int
    attributes: tuple[Column, ...] = ()
    array_oid: int = 0
    acl: Acl | None = None
    comment: str | None = None
    relation_oid: int = 0  # of its row in pg_class

    @property
    def live_attributes(self) -> tuple[Column, ...]:
        """The attributes that have not been dropped."""
        return tuple(each for each in self.attributes if not each.dropped)


class RangeType(msgspec.Struct, frozen=True, array_like=True):
    """A range type and its multirange type: rows of pg_type and pg_range."""

    oid: int
    schema: str
    name: str
    owner_oid: int
    subtype_oid: int = 0
    array_oid: int = 0
    acl: Acl | None = None
    comment: str | None = None
    multirange_name: str = ""
    multirange_oid: int = 0
    multirange_array_oid: int = 0
    # Of the constructors: of two and of three arguments; of a multirange of none, of one and of many.
    function_oids: tuple[int, ...] = ()
    difference_oid: int = 0  # of the function subtype_diff, 0 for none


UserType = EnumType | CompositeType | RangeType


def type_oids(user_type: UserType) -> tuple[int, ...]:
    """Return the OIDs in pg_type that belong to a user's type: its own first."""
    if isinstance(user_type, RangeType):
        multirange = user_type.multirange_oid, user_type.multirange_array_oid
        return user_type.oid, user_type.array_oid, *multirange
    return user_type.oid, user_type.array_oid


class Domain(msgspec.Struct, frozen=True, array_like=True):
    """A domain: a row of pg_type. `type_oid` is the type under all domains, `typmod` its modifier.

    `base`: the domain that it is made over, 0 for none, whose constraints hold as well. `default` is SQL
    text of an expression. `array_oid` is the OID of its array type.
    """

    oid: int
    schema: str
    name: str
    owner_oid: int
    type_oid: int
    typmod: int = -1
    base: int = 0
    array_oid: int = 0
    not_null: bool = False
    default: str | None = None
    checks: tuple[DomainCheck, ...] = ()
    acl: Acl | None = None
    comment: str | None = None
    uses: tuple[Use, ...] = ()
