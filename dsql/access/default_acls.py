"""What ALTER DEFAULT PRIVILEGES gives new objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsql.access.acl import in_order, merge, same
from dsql.access.privileges import Kind

if TYPE_CHECKING:
    from dsql.catalog.catalog import Catalog
    from dsql.catalog.schema import Acl

LETTERS = {
    Kind.TABLE: "r",
    Kind.VIEW: "r",
    Kind.MATERIALIZED_VIEW: "r",
    Kind.SEQUENCE: "S",
    Kind.FUNCTION: "f",
    Kind.DOMAIN: "T",
    Kind.TYPE: "T",
    Kind.SCHEMA: "n",
}


def initial_acl(catalog: Catalog, kind: Kind, owner: int, schema_oid: int = 0) -> Acl | None:
    """Return the ACL of an object that is being created; None if it is the kind's default.

    What holds in all schemas replaces that default, what holds in the object's schema comes on top.
    """
    letter = LETTERS[kind]
    everywhere = catalog.default_acls.get((owner, 0, letter))
    here = catalog.default_acls.get((owner, schema_oid, letter)) if schema_oid else None
    if everywhere is None and here is None:
        return None
    default = kind.default_acl(owner)
    found = everywhere.acl if everywhere else default
    if here is not None:
        found = merge(found, here.acl)
    return None if same(found, default) else in_order(found)
