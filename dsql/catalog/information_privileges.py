"""information_schema's views of what is granted, and of the roles that are in force.

Each shows what the user has granted or been granted, itself or through its roles, and what everybody has.
An owner's privileges count as grantable, since an owner always has the grant options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dsql.access.authority import Authority
from dsql.access.privileges import Kind, Privilege, in_words
from dsql.catalog.catalog import Catalog
from dsql.catalog.information_schema import DATABASE
from dsql.catalog.routines import specific_name
from dsql.catalog.schema import ADMIN_OID, PUBLIC, Acl, AclItem, Table
from dsql.catalog.virtual import provides, virtual_tables
from dsql.functions import registry as functions
from dsql.functions.function import Function

Row = Mapping[str, Any]


class _Viewer:
    """Who looks, and how it sees the items of ACLs."""

    def __init__(self, context: Any) -> None:
        self.catalog: Catalog = context.catalog
        self._authority = Authority(self.catalog, context.user.oid)

    def enabled(self, role: int) -> bool:
        """Return whether the viewer has the privileges of a role."""
        return self._authority.owns(role)

    def rows(self, acl: Acl, kind: Kind, owner: int) -> Iterator[tuple[AclItem, Row]]:
        """Yield each item that may be seen with its row, once for each privilege of the kind."""
        for item in acl:
            if item.grantee == PUBLIC or self.enabled(item.grantee) or self.enabled(item.grantor):
                for privilege in in_words(item.privileges & kind.every):
                    grantable = self._owns(item.grantee, owner) or privilege & item.grantable
                    yield (
                        item,
                        {
                            "grantor": self.name(item.grantor),
                            "grantee": self.name(item.grantee),
                            "privilege_type": privilege.word,
                            "is_grantable": "YES" if grantable else "NO",
                        },
                    )

    def _owns(self, grantee: int, owner: int) -> bool:
        return grantee != PUBLIC and owner in self.catalog.memberships.inherited(grantee)

    def name(self, oid: int) -> str | None:
        """Return a role's name, PUBLIC for everybody."""
        if oid == PUBLIC:
            return "PUBLIC"
        role = self.catalog.memberships.role(oid)
        return role.name if role else None


# ---------------------------------------------------------------- roles


@provides("information_schema", "enabled_roles")
def _enabled_roles(context: Any) -> Iterator[Row]:
    viewer = _Viewer(context)
    for role in viewer.catalog.roles.values():
        if viewer.enabled(role.oid):
            yield {"role_name": role.name}


@provides("information_schema", "applicable_roles")
def _applicable_roles(context: Any) -> Iterator[Row]:
    viewer = _Viewer(context)
    for member in viewer.catalog.roles.values():
        if viewer.enabled(member.oid):
            for granted in member.memberships:
                yield {
                    "grantee": member.name,
                    "role_name": viewer.name(granted.role),
                    "is_grantable": "YES" if granted.admin else "NO",
                }


@provides("information_schema", "administrable_role_authorizations")
def _administrable_roles(context: Any) -> Iterator[Row]:
    for row in _applicable_roles(context):
        if row["is_grantable"] == "YES":
            yield row


# ---------------------------------------------------------------- tables and columns


def _tables(context: Any, viewer: _Viewer) -> Iterator[tuple[AclItem, Row]]:
    for virtual in virtual_tables().values():
        place = _place(virtual.schema, virtual.name)
        for item, row in viewer.rows(virtual.acl, Kind.TABLE, PUBLIC):
            yield item, {**row, **place}
    for table in context.catalog.tables.values():
        if table.kind in "rv":
            place = _place(table.schema, table.name)
            for item, row in viewer.rows(_acl(table), Kind.TABLE, table.owner_oid):
                yield item, {**row, **place}


def _place(schema: str, name: str) -> Row:
    return {"table_catalog": DATABASE, "table_schema": schema, "table_name": name}


def _acl(table: Table) -> Acl:
    return Kind.TABLE.default_acl(table.owner_oid) if table.acl is None else table.acl


def _table_privileges(context: Any, viewer: _Viewer) -> Iterator[tuple[AclItem, Row]]:
    for item, row in _tables(context, viewer):
        hierarchy = "YES" if row["privilege_type"] == "SELECT" else "NO"
        yield item, {**row, "with_hierarchy": hierarchy}


def _column_privileges(context: Any, viewer: _Viewer) -> Iterator[tuple[AclItem, Row]]:
    """A privilege on a table is one on each of its columns; the same one shows once.

    One with the grant option is not the same as one without, even if an owner's both show as grantable.
    """
    for virtual in virtual_tables().values():
        for item, row in viewer.rows(virtual.acl, Kind.COLUMN, PUBLIC):
            for name, _ in virtual.columns:
                yield item, {**row, **_place(virtual.schema, virtual.name), "column_name": name}
    for table in context.catalog.tables.values():
        if table.kind not in "rv":
            continue
        on_table = list(viewer.rows(_acl(table), Kind.COLUMN, table.owner_oid))
        for column in table.live_columns:
            own = viewer.rows(column.acl or (), Kind.COLUMN, table.owner_oid)
            place = {**_place(table.schema, table.name), "column_name": column.name}
            seen: set[tuple[int, int, int, int]] = set()
            for item, row in (*on_table, *own):
                privilege = Privilege[row["privilege_type"]]
                shown = (item.grantee, item.grantor, privilege, privilege & item.grantable)
                if shown not in seen:
                    seen.add(shown)
                    yield item, {**row, **place}


# ---------------------------------------------------------------- other objects


def _usage_privileges(context: Any, viewer: _Viewer) -> Iterator[tuple[AclItem, Row]]:
    for name in ("default", "C", "POSIX"):
        row = {
            "grantor": viewer.name(ADMIN_OID),
            "grantee": "PUBLIC",
            "privilege_type": "USAGE",
            "is_grantable": "NO",
        }
        item = AclItem(PUBLIC, ADMIN_OID, 0)
        yield item, row | _object("pg_catalog", name, "COLLATION")
    for sequence in context.catalog.tables.values():
        if sequence.kind == "S":
            owner = sequence.owner_oid
            acl = Kind.SEQUENCE.default_acl(owner) if sequence.acl is None else sequence.acl
            for item, found in viewer.rows(acl, Kind.SEQUENCE, owner):
                if found["privilege_type"] == "USAGE":
                    yield item, {**found, **_object(sequence.schema, sequence.name, "SEQUENCE")}


def _object(schema: str, name: str, kind: str) -> dict[str, Any]:
    return {
        "object_catalog": DATABASE,
        "object_schema": schema,
        "object_name": name,
        "object_type": kind,
    }


def _routine_privileges(context: Any, viewer: _Viewer) -> Iterator[tuple[AclItem, Row]]:
    for function in context.catalog.functions.values():
        own = function.acl
        if own is None:
            own = Kind.FUNCTION.default_acl(function.owner_oid)
        routine = {
            **specific_name(function),
            "routine_catalog": DATABASE,
            "routine_schema": function.schema,
            "routine_name": function.name,
        }
        for item, row in viewer.rows(own, Kind.FUNCTION, function.owner_oid):
            yield item, {**row, **routine}
    acl = Kind.FUNCTION.default_acl(ADMIN_OID)
    granted = list(viewer.rows(acl, Kind.FUNCTION, PUBLIC))
    for callee in functions.all_callees():
        if isinstance(callee, Function) and callee.acl is not None:
            continue
        place = {
            "specific_catalog": DATABASE,
            "specific_schema": "pg_catalog",
            "specific_name": f"{callee.name}_{callee.oid}",
            "routine_catalog": DATABASE,
            "routine_schema": "pg_catalog",
            "routine_name": callee.name,
        }
        for item, row in granted:
            yield item, {**row, **place}


def _udt_privileges(context: Any, viewer: _Viewer) -> Iterator[tuple[AclItem, Row]]:
    """Of composite types: each table's and view's row type, whose ACL is always the default one."""
    types = [(virtual.schema, virtual.name, ADMIN_OID) for virtual in virtual_tables().values()] + [
        (table.schema, table.name, table.owner_oid)
        for table in context.catalog.tables.values()
        if table.kind in "rv"
    ]
    for schema, name, owner in types:
        place = {"udt_catalog": DATABASE, "udt_schema": schema, "udt_name": name}
        for item, row in viewer.rows(Kind.TYPE.default_acl(owner), Kind.TYPE, owner):
            yield item, {**row, **place, "privilege_type": "TYPE USAGE"}


# ---------------------------------------------------------------- pairs of views

_View = Callable[[Any, _Viewer], Iterator[tuple[AclItem, Row]]]


def _provide(name: str, grants_name: str, view: _View) -> None:
    """Provide a view of all that may be seen, and its part that is about enabled roles."""

    def everything(context: Any) -> Iterator[Row]:
        for _, row in view(context, _Viewer(context)):
            yield row

    def of_enabled_roles(context: Any) -> Iterator[Row]:
        viewer = _Viewer(context)
        for item, row in view(context, viewer):
            if viewer.enabled(item.grantee) or viewer.enabled(item.grantor):
                yield row

    provides("information_schema", name)(everything)
    provides("information_schema", grants_name)(of_enabled_roles)


_provide("table_privileges", "role_table_grants", _table_privileges)
_provide("column_privileges", "role_column_grants", _column_privileges)
_provide("usage_privileges", "role_usage_grants", _usage_privileges)
_provide("udt_privileges", "role_udt_grants", _udt_privileges)
_provide("routine_privileges", "role_routine_grants", _routine_privileges)
