"""The IAM principals that may become a role: AWS IAM GRANT and REVOKE."""

from __future__ import annotations

import re

from msgspec.structs import replace

from dsql.catalog.schema import ADMIN_OID, Role
from dsql.catalog.store import CatalogWriter
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.errors import SqlError

_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(role|user)/[\w+=,.@/-]+")


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
    if context.user.oid != ADMIN_OID:
        raise SqlError("42501", f"permission denied to grant IAM trust with role {name}")
    if not _ARN.fullmatch(arn):
        raise SqlError("22023", "IAM role must look like an IAM ARN")
    role = context.catalog.roles.get(name)
    if role is None:
        raise SqlError("42704", f"Role {name} does not exist")
    if role.oid == ADMIN_OID:
        raise SqlError("0A000", f"Role {name} not supported")
    if not role.login:
        raise SqlError("42501", f"role {name} must have the LOGIN attribute")
    return role
