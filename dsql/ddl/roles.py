"""Roles, and the IAM principals that may become them (AWS IAM GRANT)."""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from dsql.catalog.schema import Role
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.errors import SqlError, unsupported

_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(role|user)/[\w+=,.@/-]+")


def create_role(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a CreateRoleStmt."""
    _require_admin(context, "create role")
    name = statement.role
    if name in context.catalog.roles:
        raise SqlError("42710", f'role "{name}" already exists')
    if name.startswith("pg_"):
        raise SqlError(
            "42939",
            f'role name "{name}" is reserved',
            detail='Role names starting with "pg_" are reserved.',
        )
    role = Role(0, name, login=nodes.enum_name(statement, "stmt_type") == "ROLESTMT_USER")
    role = _with_options(role, statement.options)
    writer = CatalogWriter(context.transaction)
    writer.put_role(replace(role, oid=writer.allocate_oid()))
    return UtilityResult("CREATE ROLE")


def alter_role(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run an AlterRoleStmt."""
    _require_admin(context, "alter role")
    role = _require_role(context, statement.role.rolename)
    if role.name == "admin":
        raise SqlError("42501", "permission denied to alter role")
    CatalogWriter(context.transaction).put_role(_with_options(role, statement.options))
    return UtilityResult("ALTER ROLE")


def drop_role(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a DropRoleStmt."""
    _require_admin(context, "drop role")
    result = UtilityResult("DROP ROLE")
    writer = CatalogWriter(context.transaction)
    for wrapped in statement.roles:
        name = nodes.inner(wrapped).rolename
        role = context.catalog.roles.get(name)
        if role is None:
            if not statement.missing_ok:
                raise SqlError("42704", f'role "{name}" does not exist')
            result.notice("00000", f'role "{name}" does not exist, skipping')
            continue
        if name == "admin":
            raise SqlError("42501", "permission denied to drop role")
        owned = any(table.owner_oid == role.oid for table in context.catalog.tables.values())
        if role.arns or owned:
            raise SqlError(
                "2BP01", f"role {name} cannot be dropped because some objects depend on it"
            )
        writer.drop_role(role)
    return result


def iam_grant(role_name: str, arn: str, context: UtilityContext) -> UtilityResult:
    """Run AWS IAM GRANT role TO 'arn'."""
    role = _mappable_role(role_name, arn, context)
    if arn not in role.arns:
        CatalogWriter(context.transaction).put_role(replace(role, arns=(*role.arns, arn)))
    return UtilityResult("AWS IAM GRANT")


def iam_revoke(role_name: str, arn: str, context: UtilityContext) -> UtilityResult:
    """Run AWS IAM REVOKE role FROM 'arn'."""
    role = _mappable_role(role_name, arn, context)
    if arn not in role.arns:
        raise SqlError("42704", f"IAM role {arn} does not exist")
    rest = tuple(other for other in role.arns if other != arn)
    CatalogWriter(context.transaction).put_role(replace(role, arns=rest))
    return UtilityResult("AWS IAM REVOKE")


def _mappable_role(name: str, arn: str, context: UtilityContext) -> Role:
    if context.user.name != "admin":
        raise SqlError("42501", f"permission denied to grant IAM trust with role {name}")
    if not _ARN.fullmatch(arn):
        raise SqlError("22023", "IAM role must look like an IAM ARN")
    role = context.catalog.roles.get(name)
    if role is None:
        raise SqlError("42704", f"Role {name} does not exist")
    if name == "admin":
        raise SqlError("0A000", f"Role {name} not supported")
    if not role.login:
        raise SqlError("42501", f"role {name} must have the LOGIN attribute")
    return role


def _with_options(role: Role, options: Any) -> Role:
    for wrapped in options:
        option = nodes.inner(wrapped)
        match option.defname:
            case "canlogin":
                role = replace(role, login=nodes.option_flag(option))
            case "inherit":
                role = replace(role, inherit=nodes.option_flag(option))
            case other:
                raise unsupported(f"role option {other} not supported")
    return role


def _require_role(context: UtilityContext, name: str) -> Role:
    role = context.catalog.roles.get(name)
    if role is None:
        raise SqlError("42704", f'role "{name}" does not exist')
    return role


def _require_admin(context: UtilityContext, action: str) -> None:
    if context.user.name != "admin":
        raise SqlError("42501", f"permission denied to {action}")
