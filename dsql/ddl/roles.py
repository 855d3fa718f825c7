"""CREATE, ALTER, RENAME and DROP ROLE. Who may: roles with CREATEROLE, on roles they have ADMIN OPTION on.

PostgreSQL 16's rules (user.c), with nobody a superuser. The dsql profile knows LOGIN, INHERIT and the
memberships; the attributes of `_ATTRIBUTES` exist in the postgres profile, for those who have them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from dsql.access.authority import Authority
from dsql.access.role_grants import Options
from dsql.catalog.schema import BOOTSTRAP_OID, Membership, Role
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.cascade import reported
from dsql.ddl.memberships import MembershipChanges
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.role_dependencies import dependency_lines
from dsql.ddl.role_specs import require_role, role_of, roles_of
from dsql.errors import SqlError, unsupported

_FIELDS = {
    "canlogin": "login",
    "inherit": "inherit",
    "createrole": "createrole",
    "createdb": "createdb",
    "isreplication": "replication",
    "bypassrls": "bypassrls",
}
_ATTRIBUTES = {
    "superuser": "SUPERUSER",
    "createdb": "CREATEDB",
    "isreplication": "REPLICATION",
    "bypassrls": "BYPASSRLS",
}
_MEMBERS = ("addroleto", "rolemembers", "adminmembers")
_OF_DSQL = ("canlogin", "inherit", *_MEMBERS)


def create_role(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a CreateRoleStmt."""
    given = _read_options(statement.options, context)
    creator, name = context.user, statement.role
    if not creator.createrole:
        raise _denied("create role", "Only roles with the CREATEROLE attribute may create roles.")
    for option, attribute in _ATTRIBUTES.items():
        if given.get(option) and not _has(creator, option):
            raise _denied(
                "create role",
                f"Only roles with the {attribute} attribute may create roles "
                f"with the {attribute} attribute.",
            )
    _check_name(name)
    if name in context.catalog.roles:
        raise SqlError("42710", f'role "{name}" already exists')
    result = UtilityResult("CREATE ROLE")
    oid = CatalogWriter(context.transaction).allocate_oid()
    login = nodes.enum_name(statement, "stmt_type") == "ROLESTMT_USER"
    role = _with_attributes(Role(oid, name, login=login), given)
    changes = MembershipChanges(context, result)
    changes.put(role)
    for parent in _named(given.get("addroleto", ()), role, context):
        changes.check_administration(parent, grants=True)
        grantor = changes.grantor_for(parent, None, grants=True)
        changes.add(parent, [role], grantor, Options())
    administration = Membership(oid, BOOTSTRAP_OID, admin=True, inherit=False, set=False)
    changes.put(replace(creator, memberships=(*creator.memberships, administration)))
    for option, options in (("rolemembers", Options()), ("adminmembers", Options(admin=True))):
        members = _named(given.get(option, ()), role, context)
        changes.add(role, members, creator.oid, options)
    changes.write()
    return result


def _named(wrapped: Iterable[Any], new: Role, context: UtilityContext) -> list[Role]:
    """Return the roles of a list in CREATE ROLE, which knows the role that it makes."""
    specs = map(nodes.inner, wrapped)
    return [new if spec.rolename == new.name else role_of(spec, context) for spec in specs]


def alter_role(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run an AlterRoleStmt: attributes, or the members of ALTER GROUP."""
    result = UtilityResult("ALTER ROLE")
    given = _read_options(statement.options, context)
    role = role_of(statement.role, context)
    members = given.pop("rolemembers", None)
    if given:
        _check_alteration(role, given, context)
    changes = MembershipChanges(context, result)
    changes.put(_with_attributes(role, given))
    if members is not None:
        _change_members(role, members, statement.action > 0, changes, context)
    changes.write()
    return result


def _check_alteration(role: Role, given: dict[str, Any], context: UtilityContext) -> None:
    user = context.user
    if "superuser" in given:
        raise _denied(
            "alter role",
            "Only roles with the SUPERUSER attribute may change the SUPERUSER attribute.",
        )
    if not user.createrole or not Authority(context.catalog, user.oid).administers(role.oid):
        raise _denied(
            "alter role",
            "Only roles with the CREATEROLE attribute and the ADMIN option on role "
            f'"{role.name}" may alter this role.',
        )
    for option, attribute in _ATTRIBUTES.items():
        if option in given and not _has(user, option):
            raise _denied(
                "alter role",
                f"Only roles with the {attribute} attribute may change the {attribute} attribute.",
            )


def _change_members(
    role: Role, members: Any, adds: bool, changes: MembershipChanges, context: UtilityContext
) -> None:
    if not context.authority.administers(role.oid):
        raise _denied(
            "alter role",
            f'Only roles with the ADMIN option on role "{role.name}" may add or drop members.',
        )
    named = roles_of(members, context)
    grantor = changes.grantor_for(role, None, grants=adds)
    if adds:
        changes.add(role, named, grantor, Options())
    else:
        changes.remove(role, named, grantor, Options(), cascade=False)


def rename_role(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a RenameStmt for a role. What it owns and was granted is bound to its OID, and stays."""
    role = require_role(context.catalog, statement.subname)
    new = statement.newname
    for word, current in (("session", context.session_user), ("current", context.user)):
        if role.oid == current.oid:
            raise unsupported(f"{word} user cannot be renamed")
    _check_name(new)
    if new in context.catalog.roles:
        raise SqlError("42710", f'role "{new}" already exists')
    user = context.user
    if not user.createrole or not Authority(context.catalog, user.oid).administers(role.oid):
        raise _denied(
            "rename role",
            "Only roles with the CREATEROLE attribute and the ADMIN option on role "
            f'"{role.name}" may rename this role.',
        )
    CatalogWriter(context.transaction).put_role(replace(role, name=new))
    return UtilityResult("ALTER ROLE")


def drop_role(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a DropRoleStmt. Memberships go along; whatever else depends on a role refuses it (2BP01)."""
    result = UtilityResult("DROP ROLE")
    if not context.user.createrole:
        raise _denied(
            "drop role",
            "Only roles with the CREATEROLE attribute and the ADMIN option on the target roles "
            "may drop roles.",
        )
    dropped: dict[int, Role] = {}
    with result.told():
        for wrapped in statement.roles:
            role = _to_drop(nodes.inner(wrapped), statement.missing_ok, context, result)
            if role is not None:
                dropped[role.oid] = role
        for role in dropped.values():
            _check_dependencies(role, dropped, context)
    changes = MembershipChanges(context, result)
    writer = CatalogWriter(context.transaction)
    for role in dropped.values():
        changes.forget(role.oid)
        writer.drop_role(role)
    changes.write()
    return result


def _to_drop(
    spec: Any, missing_ok: bool, context: UtilityContext, result: UtilityResult
) -> Role | None:
    if nodes.enum_name(spec, "roletype") != "ROLESPEC_CSTRING":
        raise SqlError("22023", "cannot use special role specifier in DROP ROLE")
    name = spec.rolename
    if missing_ok and name not in context.catalog.roles:
        result.notice("00000", f'role "{name}" does not exist, skipping')
        return None
    role = require_role(context.catalog, name)
    for word, current in (("current", context.user), ("session", context.session_user)):
        if role.oid == current.oid:
            raise SqlError("55006", f"{word} user cannot be dropped")
    if not context.authority.administers(role.oid):
        raise _denied(
            "drop role",
            "Only roles with the CREATEROLE attribute and the ADMIN option on role "
            f'"{name}" may drop this role.',
        )
    return role


def _check_dependencies(role: Role, dropped: dict[int, Role], context: UtilityContext) -> None:
    lines = dependency_lines(role, context.catalog, context.search_path, set(dropped))
    if role.arns and not lines:  # Aurora DSQL's words for what PostgreSQL does not have
        message = f"role {role.name} cannot be dropped because some objects depend on it"
        raise SqlError("2BP01", message)
    if not lines:
        return
    raise SqlError(
        "2BP01",
        f'role "{role.name}" cannot be dropped because some objects depend on it',
        detail=reported(lines),
    )


def _read_options(options: Any, context: UtilityContext) -> dict[str, Any]:
    """Return the options by PostgreSQL's names; lists of roles stay nodes. Raises SqlError 0A000, 42601."""
    given: dict[str, Any] = {}
    for wrapped in options:
        option = nodes.inner(wrapped)
        name = option.defname
        known = name in _FIELDS or name in _ATTRIBUTES or name in _MEMBERS
        if not known or (context.profile == "dsql" and name not in _OF_DSQL):
            raise unsupported(f"role option {name} not supported")
        if name in given:
            raise SqlError("42601", "conflicting or redundant options")
        given[name] = option.arg.list.items if name in _MEMBERS else nodes.option_flag(option)
    return given


def _with_attributes(role: Role, given: dict[str, Any]) -> Role:
    return replace(
        role, **{field: given[option] for option, field in _FIELDS.items() if option in given}
    )


def _has(role: Role, option: str) -> bool:
    return option in _FIELDS and bool(getattr(role, _FIELDS[option]))


def _check_name(name: str) -> None:
    if name.startswith("pg_"):
        raise SqlError(
            "42939",
            f'role name "{name}" is reserved',
            detail='Role names starting with "pg_" are reserved.',
        )


def _denied(action: str, detail: str) -> SqlError:
    return SqlError("42501", f"permission denied to {action}", detail=detail)
