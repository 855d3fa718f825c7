"""Roles, the database, its settings, background jobs and IAM mappings as system tables."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from dsql.access.privileges import Privilege
from dsql.catalog.jobs import RETENTION_MICROSECONDS, Job, read_jobs
from dsql.catalog.relations import acl_value
from dsql.catalog.schema import ADMIN_OID, Membership, Role
from dsql.catalog.virtual import provides

Row = Mapping[str, Any]
_UTF8 = 6


@provides("pg_catalog", "pg_roles")
def _pg_roles(context: Any) -> Iterator[Row]:
    for role in context.catalog.roles.values():
        shown = {"rolpassword": "********", "oid": role.oid, "rolconfig": _config(role)}
        yield _role_row(role) | shown


@provides("pg_catalog", "pg_authid")
def _pg_authid(context: Any) -> Iterator[Row]:
    for role in context.catalog.roles.values():
        yield _role_row(role) | {"oid": role.oid}


def _role_row(role: Role) -> dict[str, Any]:
    return {
        "rolname": role.name,
        "rolsuper": False,
        "rolinherit": role.inherit,
        "rolcreaterole": role.createrole,
        "rolcreatedb": role.createdb,
        "rolcanlogin": role.login,
        "rolreplication": role.replication,
        "rolbypassrls": role.bypassrls,
        "rolconnlimit": -1,
    }


def _config(role: Role) -> list[str] | None:
    return [f"{name}={value}" for name, value in role.settings] or None


@provides("pg_catalog", "pg_db_role_setting")
def _pg_db_role_setting(context: Any) -> Iterator[Row]:
    for role in context.catalog.roles.values():
        if role.settings:
            yield {"setdatabase": 0, "setrole": role.oid, "setconfig": _config(role)}


@provides("pg_catalog", "pg_user")
def _pg_user(context: Any) -> Iterator[Row]:
    for role in context.catalog.roles.values():
        if role.login:
            yield {
                "usename": role.name,
                "usesysid": role.oid,
                "usecreatedb": role.createdb,
                "usesuper": False,
                "userepl": role.replication,
                "usebypassrls": role.bypassrls,
                "passwd": "********",
                "useconfig": _config(role),
            }


@provides("pg_catalog", "pg_shadow")
def _pg_shadow(context: Any) -> Iterator[Row]:
    for row in _pg_user(context):
        yield {**row, "passwd": None}  # nobody has a password


@provides("pg_catalog", "pg_group")
def _pg_group(context: Any) -> Iterator[Row]:
    for role in context.catalog.roles.values():
        if not role.login:
            members = context.catalog.memberships.members(role.oid)
            yield {
                "groname": role.name,
                "grosysid": role.oid,
                "grolist": [member.oid for member in members],
            }


@provides("pg_catalog", "pg_auth_members")
def _pg_auth_members(context: Any) -> Iterator[Row]:
    for member in context.catalog.roles.values():
        for granted in member.memberships:
            yield {
                "oid": membership_oid(member, granted),
                "roleid": granted.role,
                "member": member.oid,
                "grantor": granted.grantor or ADMIN_OID,
                "admin_option": granted.admin,
                "inherit_option": granted.inherit,
                "set_option": granted.set,
            }


def membership_oid(member: Role, granted: Membership) -> int:
    """Return a membership's OID: it has none of its own, so one is derived, above all real ones."""
    key = b"%d %d %d" % (granted.role, member.oid, granted.grantor)
    return 0x8000_0000 | zlib.crc32(key)


@provides("pg_catalog", "pg_default_acl")
def _pg_default_acl(context: Any) -> Iterator[Row]:
    for default in context.catalog.default_acls.values():
        yield {
            "oid": default.oid,
            "defaclrole": default.role,
            "defaclnamespace": default.schema_oid,
            "defaclobjtype": default.letter,
            "defaclacl": acl_value(default.acl),
        }


@provides("pg_catalog", "pg_database")
def _pg_database(context: Any) -> Iterator[Row]:
    database = context.catalog.database
    yield {
        "oid": database.oid,
        "datname": database.name,
        "datdba": database.owner_oid,
        "datacl": acl_value(database.acl),
        "encoding": _UTF8,
        "datlocprovider": "c",
        "datallowconn": True,
        "datconnlimit": -1,
        "dattablespace": 1663,
        "datcollate": "C",
        "datctype": "C",
    }


@provides("pg_catalog", "pg_tablespace")
def _pg_tablespace(context: Any) -> Iterator[Row]:
    del context
    for oid, name in ((1663, "pg_default"), (1664, "pg_global")):
        yield {"oid": oid, "spcname": name, "spcowner": ADMIN_OID}


@provides("sys", "jobs")
def _sys_jobs(context: Any) -> Iterator[Row]:
    forgotten = context.statement_timestamp - RETENTION_MICROSECONDS
    for job in read_jobs(context.transaction):
        if job.job_type == "REWRITE" or (job.update_time or forgotten + 1) < forgotten:
            continue
        yield {
            "job_id": job.text_id,
            "status": job.status,
            "details": job.details if _shows_details(job, context) else None,
            "job_type": job.job_type,
            "class_id": 1259,
            "object_id": job.object_oid or None,
            "object_name": job.object_name,
            "start_time": job.start_time,
            "update_time": job.update_time,
        }


def _shows_details(job: Job, context: Any) -> bool:
    """Tell whether the user may see why a job failed: that may quote values of its table."""
    if job.status != "failed":
        return True
    table = context.catalog.tables_by_oid.get(job.table_oid)
    authority = context.authority
    return table is not None and (
        authority.owns(table.owner_oid) or authority.holds_on_relation(table, Privilege.SELECT)
    )


@provides("sys", "iam_pg_role_mappings")
def _iam_role_mappings(context: Any) -> Iterator[Row]:
    for role in context.catalog.roles.values():
        for arn in role.arns:
            yield {
                "iam_oid": zlib.crc32(arn.encode()),
                "arn": arn,
                "pg_role_oid": role.oid,
                "pg_role_name": role.name,
                "grantor_pg_role_oid": ADMIN_OID,
                "grantor_pg_role_name": "admin",
            }
